# SGDFuse in the size and with the schedule of the paper on MSRS, all three phases:
#     python tools/train.py configs/sgdfuse_msrs.py
# Not as in the paper: masks by saliency (sgdfuse_sam_msrs.py has SAM), the sources reach the head
# (source_skip), and pixels outside the masks count, too (sgdfuse-as-printed_msrs.py undoes both).
# As a config of its own (test, fuse) this is the last phase's.
_base_ = './sgdfuse/sgdfuse-fusion_1xb24-200e_msrs.py'

# a config that inherits this one and changes a network or the data changes it in every phase
data = ('train_dataloader', 'val_dataloader', 'test_dataloader')
diffusion = ('denoiser', 'schedule', 'sampler', 'prediction_type')
phases = [
    dict(
        name='preliminary',
        config='{{ fileDirname }}/sgdfuse/sgdfuse-preliminary_1xb24-200e_msrs.py',
        takes=('model.preliminary', *data),
    ),
    dict(
        name='diffusion',
        config='{{ fileDirname }}/sgdfuse/sgdfuse-diffusion_1xb24-200e_msrs.py',
        inherits=('preliminary',),
        takes=('model.preliminary', *(f'model.{key}' for key in diffusion), *data),
    ),
    dict(name='fusion', inherits=('preliminary', 'denoiser')),
]

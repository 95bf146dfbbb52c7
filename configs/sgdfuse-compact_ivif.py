# What a CPU core (with AMX, --amp) trains in about an hour: all three phases of the compact SGDFuse.
# As a config of its own (test, fuse) this is the last phase's.
_base_ = './sgdfuse/sgdfuse-compact-fusion_1xb8-64e_ivif.py'

# a config that inherits this one and changes a network or the data changes it in every phase
data = ('train_dataloader', 'val_dataloader', 'test_dataloader')
diffusion = ('denoiser', 'schedule', 'sampler', 'prediction_type')
phases = [
    dict(
        name='preliminary',
        config='{{ fileDirname }}/sgdfuse/sgdfuse-compact-preliminary_1xb8-12e_ivif.py',
        takes=('model.preliminary', *data),
    ),
    dict(
        name='diffusion',
        config='{{ fileDirname }}/sgdfuse/sgdfuse-compact-diffusion_1xb8-25e_ivif.py',
        inherits=('preliminary',),
        takes=('model.preliminary', *(f'model.{key}' for key in diffusion), *data),
    ),
    dict(name='fusion', inherits=('preliminary', 'denoiser')),
]

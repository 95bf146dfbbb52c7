# The paper's recipe on MSRS, all three phases: python tools/train.py configs/sgdfuse_msrs.py
# As a config of its own (test, fuse) this is the last phase's.
_base_ = './sgdfuse/sgdfuse-fusion_1xb24-200e_msrs.py'

phases = [
    dict(name='preliminary', config='sgdfuse/sgdfuse-preliminary_1xb24-200e_msrs.py'),
    dict(
        name='diffusion',
        config='sgdfuse/sgdfuse-diffusion_1xb24-200e_msrs.py',
        inherits=('preliminary',),
    ),
    dict(
        name='fusion',
        config='sgdfuse/sgdfuse-fusion_1xb24-200e_msrs.py',
        inherits=('preliminary', 'denoiser'),
    ),
]

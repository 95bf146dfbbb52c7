# What two CPU cores train in about an hour: all three phases of the compact SGDFuse.
# As a config of its own (test, fuse) this is the last phase's.
_base_ = './sgdfuse/sgdfuse-compact-fusion_1xb8-20e_ivif.py'

phases = [
    dict(name='preliminary', config='sgdfuse/sgdfuse-compact-preliminary_1xb8-12e_ivif.py'),
    dict(
        name='diffusion',
        config='sgdfuse/sgdfuse-compact-diffusion_1xb8-25e_ivif.py',
        inherits=('preliminary',),
    ),
    dict(
        name='fusion',
        config='sgdfuse/sgdfuse-compact-fusion_1xb8-20e_ivif.py',
        inherits=('preliminary', 'denoiser'),
    ),
]

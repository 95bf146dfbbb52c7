# SGDFuse for two CPU cores: the networks work on 2x2 patches, and one diffusion time is read
_base_ = './sgdfuse.py'
preliminary = dict(channels=16, num_heads=2, patch_size=2)
denoiser = dict(base_channels=24, channel_mults=(1, 2, 3, 4, 4), num_res_blocks=1, patch_size=2)
head = dict(
    level_channels=24,
    source_channels=48,
    hidden_channels=64,
    num_convs=4,
    mask_skip=True,
    prediction='luma',
    patch_size=2,
)
feature_timesteps = (5,)

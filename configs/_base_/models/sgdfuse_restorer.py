# The restoring diffusion model: works on 2x2 patches, predicts the clean images
denoiser = dict(
    type='NoiseUNet',
    base_channels=32,
    channel_mults=(1, 2, 3, 4),
    num_res_blocks=2,
    patch_size=2,
)
schedule = dict(
    type='LinearNoiseSchedule', num_train_timesteps=1000, beta_start=1e-6, beta_end=1e-2
)

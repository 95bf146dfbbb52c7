# The restoring diffusion model: works on 2x2 patches, predicts the clean images
denoiser = dict(
    type='NoiseUNet',
    base_channels=32,
    channel_mults=(1, 2, 3, 4),
    num_res_blocks=2,
    patch_size=2,
)
# Inference starts from pure noise, so training must end there: this schedule's last level is 0.00005
schedule = dict(type='CosineNoiseSchedule', num_train_timesteps=1000)

# SGDFuse at the paper's size: five levels of 64..512 channels, features at t = 5, 50, 100
preliminary = dict(type='PreliminaryNet', channels=32, depth=3, num_heads=4)
denoiser = dict(
    type='NoiseUNet',
    in_channels=5,
    base_channels=64,
    channel_mults=(1, 2, 4, 8, 8),
    num_res_blocks=2,
)
schedule = dict(
    type='LinearNoiseSchedule', num_train_timesteps=1000, beta_start=1e-6, beta_end=1e-2
)
sampler = dict(type='DPMSolverSampler', solver_order=2)
prediction_type = 'epsilon'
head = dict(
    type='HFAH', level_channels=32, hidden_channels=64, source_skip=True, prediction='image'
)
feature_timesteps = (5, 50, 100)

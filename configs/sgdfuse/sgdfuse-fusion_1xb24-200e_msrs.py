_base_ = './sgdfuse-diffusion_1xb24-200e_msrs.py'

model = dict(
    type='SGDFuse',
    head={{_base_.head}},
    feature_timesteps={{_base_.feature_timesteps}},
    losses=dict(
        intensity=dict(type='MaskedIntensityLoss', mask_floor=0.2, loss_weight=1.5),
        gradient=dict(type='MaskedGradientLoss', mask_floor=0.2, loss_weight=1.0),
    ),
)

_base_ = './sgdfuse-compact-diffusion_1xb8-40e_ivif.py'
max_epochs = 60

model = dict(
    type='SGDFuse',
    head={{_base_.head}},
    feature_timesteps={{_base_.feature_timesteps}},
    train_denoiser=True,
    losses=dict(
        intensity=dict(type='MaskedIntensityLoss', mask_floor=0.2, loss_weight=1.5),
        gradient=dict(type='MaskedGradientLoss', mask_floor=0.2, form='vector', loss_weight=1.0),
        ssim=dict(type='SSIMLoss', loss_weight=1.0),
    ),
)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=1e-6, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs, val_interval=10)

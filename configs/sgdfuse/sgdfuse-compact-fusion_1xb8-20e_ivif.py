_base_ = './sgdfuse-compact-diffusion_1xb8-25e_ivif.py'
max_epochs = 20

model = dict(
    type='SGDFuse',
    head={{_base_.head}},
    feature_timesteps={{_base_.feature_timesteps}},
    train_denoiser=True,
    # Eq. 19, and what the metrics mean: structure, information, edges and differences of both
    # sources, held back by the quiet-region term from amplifying noise
    losses=dict(
        intensity=dict(type='MaskedIntensityLoss', mask_floor=0.1, loss_weight=3.0),
        gradient=dict(type='MaskedGradientLoss', mask_floor=0.2, form='vector', loss_weight=0.5),
        ssim=dict(type='SSIMLoss', loss_weight=1.5),
        vif=dict(type='VIFLoss', loss_weight=1.5),
        edges=dict(type='EdgePreservationLoss', loss_weight=5.0),
        differences=dict(type='DifferenceCorrelationLoss', loss_weight=0.15),
        quiet=dict(type='QuietRegionLoss', loss_weight=0.1),
    ),
)
# the U-Net comes from the diffusion phase and moves less than the new head
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(denoiser=dict(lr_mult=0.3))))
train_cfg = dict(max_epochs=max_epochs, val_interval=10)

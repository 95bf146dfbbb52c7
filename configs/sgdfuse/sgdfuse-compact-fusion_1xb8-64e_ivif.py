_base_ = './sgdfuse-compact-diffusion_1xb8-25e_ivif.py'
max_epochs = 64

model = dict(
    type='SGDFuse',
    head={{_base_.head}},
    feature_timesteps={{_base_.feature_timesteps}},
    train_denoiser=True,
    noise_share=0.5,
    # the U-Net shall still denoise, but its features serve the head first
    noise_loss=dict(type='NoisePredictionLoss', loss_weight=0.3),
    # Eq. 19, and what the metrics mean: structure, information, edges and differences of both
    # sources, held back by the quiet-region term from amplifying noise. Inside the masks every
    # pixel shall be as bright as the brighter source; outside only areas, and less of the infrared.
    losses=dict(
        intensity=dict(
            type='MaskedIntensityLoss', mask_floor=0.03, background=0.5, loss_weight=8.0
        ),
        brightness=dict(type='LocalBrightnessLoss', background=0.5, loss_weight=10.0),
        # in small windows, too: edges alone pay for a dark rim around what is bright in one source
        rims=dict(type='LocalBrightnessLoss', window=5, background=0.5, loss_weight=20.0),
        gradient=dict(type='MaskedGradientLoss', mask_floor=0.5, form='vector', loss_weight=2.0),
        ssim=dict(type='SSIMLoss', loss_weight=1.5),
        vif=dict(type='VIFLoss', loss_weight=1.5),
        edges=dict(type='EdgePreservationLoss', loss_weight=8.0),
        differences=dict(type='DifferenceCorrelationLoss', loss_weight=0.35),
        quiet=dict(type='QuietRegionLoss', loss_weight=0.1),
    ),
)
# the U-Net comes from the diffusion phase and moves less than the new head
optim_wrapper = dict(
    optimizer=dict(lr=1.5e-3), paramwise_cfg=dict(custom_keys=dict(denoiser=dict(lr_mult=0.2)))
)
train_cfg = dict(max_epochs=max_epochs, val_interval=16)

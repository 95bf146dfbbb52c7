_base_ = './sgdfuse-compact-preliminary_1xb8-12e_ivif.py'
max_epochs = 25

model = dict(
    type='DiffusionFuser',
    denoiser={{_base_.denoiser}},
    schedule={{_base_.schedule}},
    sampler={{_base_.sampler}},
    prediction_type={{_base_.prediction_type}},
)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)

# Adam at 1e-4 as in the paper, gradients clipped, the rate lowered on half a cosine that lasts
# as long as the training does, whatever max_epochs becomes
max_epochs = 200
val_interval = 20

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=1e-6, convert_to_iter_based=True)]
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=val_interval)
val_cfg = dict()
test_cfg = dict()

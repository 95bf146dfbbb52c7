# RetinaNet with ResNet-50 and FPN (Lin et al., 2017) as mmdet has it, from ImageNet's weights.
# lr is for batch_size 8; mmdet's is 0.01 for 16.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'
lr = 0.005
max_epochs = 36
val_interval = 4

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=lr, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=35),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=0.0, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=val_interval)

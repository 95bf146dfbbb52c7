# DeepLabV3+ with ResNet-50 (Chen et al., 2018) as mmseg has it, from ImageNet's weights
_base_ = 'mmseg::_base_/models/deeplabv3plus_r50-d8.py'
lr = 0.01
max_epochs = 100
val_interval = 10

# synchronised statistics need a process group; set SyncBN where there is one
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size_divisor=32),
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=norm_cfg),
    auxiliary_head=dict(norm_cfg=norm_cfg),
)

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=lr, momentum=0.9, weight_decay=5e-4)
)
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=1e-4, convert_to_iter_based=True)]
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=val_interval)

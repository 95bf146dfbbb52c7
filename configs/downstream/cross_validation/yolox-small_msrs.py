# A detector small enough to be trained many times on a CPU. Folders, labels, folds and the seed
# come from tools/analysis_tools/cross_validate_detection.py.
_base_ = [
    '../_base_/runtime.py',
    '../_base_/datasets/msrs_boxes.py',
    '../_base_/models/yolox-s.py',
]
scale = (320, 240)  # width, height
batch_size = 4
num_workers = 0
max_epochs = 60
lr = 0.002

model = dict(
    # nothing is downloaded, and what COCO taught would favour visible images
    init_cfg=None,
    backbone=dict(widen_factor=0.125),
    neck=dict(in_channels=[32, 64, 128], out_channels=32),
    bbox_head=dict(num_classes=3, in_channels=32, feat_channels=32),
)
# from random weights Adam gets further than SGD in so few steps
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=lr, weight_decay=0.05),
    clip_grad=dict(max_norm=10.0),
)

augment = [
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=scale, ratio_range=(0.8, 1.4), keep_ratio=True),
    dict(type='RandomCrop', crop_size=scale[::-1], allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
prepare = [dict(type='Resize', scale=scale, keep_ratio=True), *_base_.prepare[1:]]
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(pipeline=_base_.load + augment),
)
test_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(pipeline=_base_.load + prepare),
)
# the frames left out are looked at once, after the last epoch
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=max_epochs)
val_dataloader = None
val_evaluator = None
val_cfg = None
default_hooks = dict(checkpoint=dict(interval=10, max_keep_ckpts=1))
log_level = 'WARNING'

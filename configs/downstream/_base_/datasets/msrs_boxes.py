# MSRS: boxes of three classes, made by check_labels.py (docs/downstream.md); 640x480
default_scope = 'mmdet'
data_root = 'data/MSRS'
cache_dir = 'work_dirs/mask_cache'
scale = (640, 480)  # width, height
batch_size = 8
num_workers = 4
classes = ('person', 'bicycle', 'car')

load = [dict(type='LoadImageFromFile')]
# what a config with fused inputs reads in addition
fuse = [
    dict(type='mmsgdfuse.LoadInfrared', visible='vi', infrared='ir'),
    dict(type='mmsgdfuse.GenerateMasks', cache_dir=cache_dir),
    dict(type='mmsgdfuse.StackPair'),
]
augment = [
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.25), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
prepare = [
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        # from its instances the metric makes the truth that it scores against
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances'),
    ),
]
fused_train_pipeline = load + fuse + augment
fused_test_pipeline = load + fuse + prepare

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    sampler=dict(type='DefaultSampler', shuffle=True),
    worker_init_fn=dict(type='mmsgdfuse.seed_worker'),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/vi'),
        metainfo=dict(classes=classes),
        # an image that shows nothing teaches what is no object
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=load + augment,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=num_workers,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/test.json',
        data_prefix=dict(img='test/vi'),
        metainfo=dict(classes=classes),
        test_mode=True,
        pipeline=load + prepare,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', metric='bbox', classwise=True)
test_evaluator = val_evaluator

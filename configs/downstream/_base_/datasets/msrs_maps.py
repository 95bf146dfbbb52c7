# MSRS: maps of nine class ids; 640x480
default_scope = 'mmseg'
data_root = 'data/MSRS'
cache_dir = 'work_dirs/mask_cache'
scale = (640, 480)  # width, height
crop_size = (480, 640)  # height, width
batch_size = 8
num_workers = 4
classes = (
    'background',
    'car',
    'person',
    'bike',
    'curve',
    'car stop',
    'guardrail',
    'color cone',
    'bump',
)
# the six of the paper's Table 4, over which its mean is
reported = ('background', 'car', 'person', 'curve', 'color cone', 'bike')

load = [dict(type='LoadImageFromFile')]
# what a config with fused inputs reads in addition
fuse = [
    dict(type='mmsgdfuse.LoadInfrared', visible='vi', infrared='ir'),
    dict(type='mmsgdfuse.GenerateMasks', cache_dir=cache_dir),
    dict(type='mmsgdfuse.StackPair'),
]
augment = [
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.95),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
# the truth is loaded after the image is resized, for scores are of the original size
prepare = [
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
fused_train_pipeline = load + fuse + augment
fused_test_pipeline = load + fuse + prepare

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    drop_last=True,  # batch normalisation of pooled features needs more than one image
    sampler=dict(type='DefaultSampler', shuffle=True),
    worker_init_fn=dict(type='mmsgdfuse.seed_worker'),
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        data_prefix=dict(img_path='train/vi', seg_map_path='train/Segmentation_labels'),
        img_suffix='.png',
        metainfo=dict(classes=classes),
        pipeline=load + augment,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=num_workers,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        data_prefix=dict(img_path='test/vi', seg_map_path='test/Segmentation_labels'),
        img_suffix='.png',
        metainfo=dict(classes=classes),
        test_mode=True,
        pipeline=load + prepare,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

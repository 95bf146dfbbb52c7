# MSRS as published: data/MSRS/{train,test}/{ir,vi}, 640x480; 160x160 crops as in the paper
data_root = 'data'
crop_size = 160
batch_size = 24
num_workers = 4
cache_dir = 'work_dirs/mask_cache'

mask_generator = dict(type='ThermalVisualSaliency')
masks = dict(type='GenerateMasks', ir=mask_generator, vis=mask_generator, cache_dir=cache_dir)
test_pipeline = [dict(type='LoadPair'), masks, dict(type='PackFusionInputs')]

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    sampler=dict(type='DefaultSampler', shuffle=True),
    worker_init_fn=dict(type='mmsgdfuse.seed_worker'),
    drop_last=True,
    dataset=dict(
        type='IVIFDataset',
        data_root=data_root,
        data_prefix=dict(ir='MSRS/train/ir', vis='MSRS/train/vi'),
        pipeline=[
            dict(type='LoadPair'),
            masks,
            dict(type='RandomCropPair', crop_size=crop_size),
            dict(type='RandomFlipPair'),
            dict(type='PackFusionInputs'),
        ],
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=num_workers,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='IVIFDataset',
        data_root=data_root,
        data_prefix=dict(ir='MSRS/test/ir', vis='MSRS/test/vi'),
        pipeline=test_pipeline,
    ),
)
val_dataloader = test_dataloader
val_evaluator = dict(type='FusionMetric')
test_evaluator = val_evaluator

# All training pairs of MSRS, RoadScene, LLVIP, M3FD and TNO under one root:
# data/<set>/<split>/{ir,vi}. MSRS is repeated: it is the smallest set and the one of the goal.
data_root = 'data'
crop_size = 128
batch_size = 8
num_workers = 0
cache_dir = 'work_dirs/mask_cache'

mask_generator = dict(type='ThermalVisualSaliency')
masks = dict(type='GenerateMasks', ir=mask_generator, vis=mask_generator, cache_dir=cache_dir)
train_pipeline = [
    dict(type='LoadPair', cache_images=True),
    masks,
    dict(type='RandomCropPair', crop_size=crop_size),
    dict(type='RandomFlipPair'),
    dict(type='RandomRotate90Pair'),
    dict(type='PhotometricJitter'),
    dict(type='AugmentMasks'),
    dict(type='PackFusionInputs'),
]
test_pipeline = [dict(type='LoadPair'), masks, dict(type='PackFusionInputs')]


train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    sampler=dict(type='DefaultSampler', shuffle=True),
    worker_init_fn=dict(type='mmsgdfuse.seed_worker'),
    drop_last=True,
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                type='RepeatDataset',
                times=times,
                dataset=dict(
                    type='IVIFDataset',
                    data_root=data_root,
                    data_prefix=dict(ir=f'{name}/train/ir', vis=f'{name}/train/vi'),
                    pipeline=train_pipeline,
                ),
            )
            for name, times in [
                ('MSRS', 12),
                ('RoadScene', 1),
                ('LLVIP', 2),
                ('M3FD', 4),
                ('TNO', 1),
            ]
        ],
    ),
)

# every tenth pair is enough to watch a training run; no choice of weights depends on it
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='IVIFDataset',
        data_root=data_root,
        data_prefix=dict(ir='MSRS/dev/ir', vis='MSRS/dev/vi'),
        indices=list(range(0, 121, 10)),
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='IVIFDataset',
        data_root=data_root,
        data_prefix=dict(ir='MSRS/dev/ir', vis='MSRS/dev/vi'),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='FusionMetric')
test_evaluator = dict(type='FusionMetric')

# The diffusion model that removes noise, stripes and blur from a pair before it is fused
_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/ivif.py',
    './_base_/models/sgdfuse_restorer.py',
    './_base_/schedules/adam.py',
]
max_epochs = 200
crop_size = 192

model = dict(
    type='PairRestorer',
    denoiser={{_base_.denoiser}},
    schedule={{_base_.schedule}},
    deblur=dict(type='WienerDeblur'),
    num_steps=1,
    restoration_loss=dict(type='RestorationLoss', gradient_weight=0.25, loss_weight=10.0),
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)

m3svd = [
    dict(
        type='RepeatDataset',
        times=2,
        dataset=dict(
            type='IVIFDataset',
            data_root=_base_.data_root,
            data_prefix=dict(ir=f'M3SVD/train/{name}/ir', vis=f'M3SVD/train/{name}/vi'),
        ),
    )
    for name in ('0111_1803', '0114_1551', '0115_1834')
]
train_pipeline = [
    dict(type='LoadPair', cache_images=True),
    dict(type='RandomCropPair', crop_size=crop_size),
    dict(type='RandomFlipPair'),
    dict(type='RandomRotate90Pair'),
    dict(type='RandomDegradePair'),
    dict(type='PackFusionInputs'),
]
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(each, dataset=dict(each['dataset'], pipeline=train_pipeline))
            for each in _base_.train_dataloader.dataset.datasets + m3svd
        ]
    )
)

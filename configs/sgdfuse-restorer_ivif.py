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
    num_steps=1,
    restoration_loss=dict(type='RestorationLoss', gradient_weight=0.25, loss_weight=10.0),
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)

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
            for each in _base_.train_dataloader.dataset.datasets
        ]
    )
)
# a restored pair is no fused image: tools/analysis_tools/degraded_benchmark.py measures it
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None

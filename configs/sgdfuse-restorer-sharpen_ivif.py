# The restorer goes on with blurred visible images in mind: --load-from its weights
_base_ = './sgdfuse-restorer_ivif.py'

model = dict(diffusion=False, restoration_loss=dict(gradient_weight=0.5))
optim_wrapper = dict(optimizer=dict(lr=2e-4))
degrade = dict(
    type='RandomDegradePair',
    ir=dict(
        gamma=(0.55, 1.05), gain=(0.85, 1.1), offset=(-5, 8), blur=(0, 0.8), noise=(0, 20),
        columns=(0, 14), rows=(0, 10),
    ),
    vis=dict(gain=(0.92, 1.02), offset=(0, 12), blur=(0.5, 2.6), noise=(0, 3)),
)  # fmt: skip
train_pipeline = [
    degrade if each['type'] == 'RandomDegradePair' else each for each in _base_.train_pipeline
]
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(each, dataset=dict(each['dataset'], pipeline=train_pipeline))
            for each in _base_.train_dataloader.dataset.datasets
        ]
    )
)

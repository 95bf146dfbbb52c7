# The restorer goes on with blurred visible images alone in mind: --load-from its weights
_base_ = './sgdfuse-restorer_ivif.py'

model = dict(diffusion=False)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
degrade = dict(
    type='RandomDegradePair',
    vis=dict(gain=(0.92, 1.02), offset=(0, 12), blur=(0.8, 2.4), noise=(0, 3)),
)
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

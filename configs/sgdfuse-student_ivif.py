# The student of the shipped SGDFuse, or of any other: model.teacher=FILE.safetensors
_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/ivif.py',
    './_base_/models/sgdfuse_student.py',
    './_base_/schedules/adam.py',
]
max_epochs = 40

model = dict(
    type='StudentFuser',
    network={{_base_.network}},
    teacher=None,
    distillation=dict(type='DistillationLoss', gradient_weight=0.5, loss_weight=10.0),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_epochs=max_epochs, val_interval=10)

# the teacher is asked what it makes of the masks as they are, not of perturbed ones
train_pipeline = [each for each in _base_.train_pipeline if each['type'] != 'AugmentMasks']
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(each, dataset=dict(each['dataset'], pipeline=train_pipeline))
            for each in _base_.train_dataloader.dataset.datasets
        ]
    )
)
# only the teacher needs masks, and it teaches nothing in a test
test_pipeline = [dict(type='LoadPair'), dict(type='PackFusionInputs')]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

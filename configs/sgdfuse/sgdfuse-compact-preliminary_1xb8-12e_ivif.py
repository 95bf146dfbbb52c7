_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/ivif.py',
    '../_base_/models/sgdfuse_compact.py',
    '../_base_/schedules/adam.py',
]
max_epochs = 12

model = dict(type='PreliminaryFuser', preliminary={{_base_.preliminary}})
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)

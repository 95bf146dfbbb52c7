_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/msrs.py',
    '../_base_/models/sgdfuse.py',
    '../_base_/schedules/adam.py',
]
model = dict(type='PreliminaryFuser', preliminary={{_base_.preliminary}})

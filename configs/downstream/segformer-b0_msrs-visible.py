_base_ = [
    './_base_/runtime.py',
    './_base_/datasets/msrs_maps.py',
    './_base_/models/segformer-b0.py',
]
model = dict(decode_head=dict(num_classes=9))

_base_ = [
    './_base_/runtime.py',
    './_base_/datasets/fmb_maps.py',
    './_base_/models/deeplabv3plus-r50.py',
]
model = dict(decode_head=dict(num_classes=15), auxiliary_head=dict(num_classes=15))

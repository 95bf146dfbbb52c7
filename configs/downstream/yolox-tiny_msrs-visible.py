_base_ = [
    './_base_/runtime.py',
    './_base_/datasets/msrs_boxes.py',
    './_base_/models/yolox-tiny.py',
]
model = dict(bbox_head=dict(num_classes=3))

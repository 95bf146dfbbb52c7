_base_ = './yolox-s.py'
model = dict(
    init_cfg=dict(
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_tiny_8x8_300e_coco/'
        'yolox_tiny_8x8_300e_coco_20211124_171234-b4047906.pth',
    ),
    backbone=dict(widen_factor=0.375),
    neck=dict(in_channels=[96, 192, 384], out_channels=96),
    bbox_head=dict(in_channels=96, feat_channels=96),
)

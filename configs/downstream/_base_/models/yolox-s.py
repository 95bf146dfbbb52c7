# YOLOX-s (Ge et al., 2021) as mmdet has it, without mosaic and mixup: a pair is one image here.
# lr is for batch_size 8; mmdet's is 0.01 for 64.
lr = 0.00125
max_epochs = 100
val_interval = 10

model = dict(
    type='YOLOX',
    # weights trained on COCO; None trains from the beginning
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_s_8x8_300e_coco/'
        'yolox_s_8x8_300e_coco_20211121_095711-4592a793.pth',
    ),
    data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
    backbone=dict(type='CSPDarknet', deepen_factor=0.33, widen_factor=0.5),
    neck=dict(type='YOLOXPAFPN', in_channels=[128, 256, 512], out_channels=128, num_csp_blocks=1),
    bbox_head=dict(type='YOLOXHead', num_classes=80, in_channels=128, feat_channels=128),
    train_cfg=dict(assigner=dict(type='SimOTAAssigner', center_radius=2.5)),
    test_cfg=dict(score_thr=0.001, nms=dict(type='nms', iou_threshold=0.65)),
)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=lr, momentum=0.9, weight_decay=5e-4, nesterov=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
# half a cosine to the end, whatever max_epochs becomes, times a warm-up of one epoch
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=0.0, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=val_interval)

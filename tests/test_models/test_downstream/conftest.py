"""Tiny downstream models, and synthetic scenes as data sets of mmdet and mmseg."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from copy import deepcopy

import pytest
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope

from mmsgdfuse.datasets.synthetic import CLASSES, synthetic_scene
from mmsgdfuse.models.downstream import FusedModel
from mmsgdfuse.utils.image_io import write_image

SIDE = 64
COUNT = 4
THINGS = CLASSES[1:]  # what has boxes

_MEAN_STD = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
_DET = dict(type='DetDataPreprocessor', pad_size_divisor=32)
_SEG = dict(type='SegDataPreProcessor', size=(SIDE, SIDE), **_MEAN_STD)
_RESNET = dict(depth=18, stem_channels=8, base_channels=8, norm_cfg=dict(type='BN'))
_NMS = dict(type='nms', iou_threshold=0.6)

YOLOX = dict(
    type='YOLOX',
    data_preprocessor=_DET,
    backbone=dict(type='CSPDarknet', deepen_factor=0.33, widen_factor=0.125),
    neck=dict(
        type='YOLOXPAFPN', in_channels=[32, 64, 128], out_channels=32, num_csp_blocks=1
    ),
    bbox_head=dict(
        type='YOLOXHead',
        num_classes=len(THINGS),
        in_channels=32,
        feat_channels=32,
        stacked_convs=1,
    ),
    train_cfg=dict(assigner=dict(type='SimOTAAssigner')),
    # scores of random weights are low; all are kept, so that nms has work
    test_cfg=dict(score_thr=0.0, nms=_NMS),
)  # fmt: skip
RETINANET = dict(
    type='RetinaNet',
    data_preprocessor=dict(_DET, **_MEAN_STD),
    backbone=dict(type='ResNet', **_RESNET),
    neck=dict(type='FPN', in_channels=[8, 16, 32, 64], start_level=1, out_channels=16,
              add_extra_convs='on_input', num_outs=5),
    bbox_head=dict(
        type='RetinaHead',
        num_classes=len(THINGS),
        in_channels=16,
        feat_channels=16,
        stacked_convs=1,
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=4, scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0], strides=[8, 16, 32, 64, 128],
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss'),
    ),
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0,
                      ignore_iof_thr=-1),
        sampler=dict(type='PseudoSampler'), allowed_border=-1, pos_weight=-1, debug=False,
    ),
    test_cfg=dict(nms_pre=100, min_bbox_size=0, score_thr=0.0, nms=_NMS, max_per_img=20),
)  # fmt: skip
DEEPLAB = dict(
    type='EncoderDecoder',
    data_preprocessor=_SEG,
    backbone=dict(type='ResNetV1c', dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), **_RESNET),
    decode_head=dict(
        type='DepthwiseSeparableASPPHead', in_channels=64, in_index=3, channels=16,
        dilations=(1, 2, 3, 4), c1_in_channels=8, c1_channels=8, num_classes=len(CLASSES),
        norm_cfg=dict(type='BN'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)  # fmt: skip
SEGFORMER = dict(
    type='EncoderDecoder',
    data_preprocessor=_SEG,
    backbone=dict(
        type='MixVisionTransformer', embed_dims=8, num_layers=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 4], drop_path_rate=0.0,
    ),
    decode_head=dict(
        type='SegformerHead', in_channels=[8, 16, 16, 32], in_index=[0, 1, 2, 3], channels=16,
        dropout_ratio=0.0, num_classes=len(CLASSES), norm_cfg=dict(type='BN'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)  # fmt: skip

DOWNSTREAM = {
    'YOLOX': ('mmdet', YOLOX),
    'RetinaNet': ('mmdet', RETINANET),
    'DeepLabV3+': ('mmseg', DEEPLAB),
    'SegFormer': ('mmseg', SEGFORMER),
}
WRAPPERS = dict(mmdet='mmsgdfuse.FusedDetector', mmseg='mmsgdfuse.FusedSegmentor')


@pytest.fixture(scope='session')
def street(tmp_path_factory):
    """Folder with vi/, ir/, labels/ (class ids) and boxes.json (COCO) of synthetic scenes."""
    root = tmp_path_factory.mktemp('street')
    images, boxes = [], []
    for index in range(COUNT):
        scene = synthetic_scene(seed=index, size=(SIDE, SIDE))
        name = f'{index}.png'
        write_image(root / 'ir' / name, scene.ir)
        write_image(root / 'vi' / name, scene.vis)
        write_image(root / 'labels' / name, scene.labels)
        images.append(dict(id=index, file_name=name, width=SIDE, height=SIDE))
        for kind, x0, y0, x1, y1 in scene.boxes:
            width, height = x1 - x0, y1 - y0
            boxes.append(
                dict(id=len(boxes) + 1, image_id=index, category_id=kind, iscrowd=0,
                     bbox=[x0, y0, width, height], area=width * height)
            )  # fmt: skip
    categories = [dict(id=CLASSES.index(name), name=name) for name in THINGS]
    (root / 'boxes.json').write_text(
        json.dumps(dict(images=images, annotations=boxes, categories=categories))
    )
    return root


@pytest.fixture
def dataset(street):
    """Config of mmdet's or mmseg's own data set of the scenes.

    Args:
        scope: 'mmdet' or 'mmseg'.
        images: Folder that is read as the images.
        pair: Transforms that follow the loading.
    """

    def dataset(scope: str, images: str, pair: Sequence[dict] = ()) -> dict:
        boxes = dict(with_bbox=True) if scope == 'mmdet' else {}
        pack = dict(mmdet='PackDetInputs', mmseg='PackSegInputs')[scope]
        pipeline = [
            dict(type='LoadImageFromFile'),
            *pair,
            dict(type='LoadAnnotations', **boxes),
            dict(type='Resize', scale=(SIDE, SIDE)),
            # without a random part, so that two data sets give the same
            dict(type='RandomFlip', prob=1.0),
            dict(type=pack),
        ]
        common = dict(data_root=str(street), pipeline=pipeline)
        if scope == 'mmdet':
            return dict(
                common,
                type='CocoDataset',
                ann_file='boxes.json',
                data_prefix=dict(img=images),
                metainfo=dict(classes=THINGS),
            )
        return dict(
            common,
            type='BaseSegDataset',
            data_prefix=dict(img_path=images, seg_map_path='labels'),
            metainfo=dict(classes=CLASSES, palette=[[0, 0, 0], [255, 0, 0], [0, 255, 0]]),
            img_suffix='.png',
            reduce_zero_label=False,
        )

    return dataset


@pytest.fixture
def batch(dataset):
    """All scenes in one batch of a data set whose config has these arguments."""

    def batch(scope: str, *args) -> dict:
        with DefaultScope.overwrite_default_scope(scope):
            return pseudo_collate(list(DATASETS.build(dataset(scope, *args))))

    return batch


@pytest.fixture
def config():
    """Config of a fused model: name of the downstream model, arguments of the wrapper."""

    def config(name: str, **kwargs) -> dict:
        scope, model = DOWNSTREAM[name]
        pytest.importorskip(scope)
        return dict(kwargs, type=WRAPPERS[scope], model=deepcopy(model))

    return config


@pytest.fixture
def build(config):
    """Build a fused model: name of the downstream model, arguments of the wrapper."""

    def build(name: str, **kwargs) -> FusedModel:
        with DefaultScope.overwrite_default_scope(DOWNSTREAM[name][0]):
            model = MODELS.build(config(name, **kwargs))
        model.init_weights()
        return model

    return build


@pytest.fixture
def examples(repository) -> list[str]:
    """The Python blocks of the page on downstream models."""
    page = (repository / 'docs' / 'downstream.md').read_text(encoding='utf-8')
    return re.findall(r'```python\n(.*?)```', page, flags=re.DOTALL)

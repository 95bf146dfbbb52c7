# ruff: noqa: E501
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsgdfuse.masks import MMDetMaskGenerator, MMSegMaskGenerator
from mmsgdfuse.registry import MASK_GENERATORS
from mmsgdfuse.utils.errors import InputError

SOLO = dict(
    type='SOLO',
    data_preprocessor=dict(type='DetDataPreprocessor', bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3), base_channels=8),
    neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=16, num_outs=5),
    mask_head=dict(
        type='SOLOHead', num_classes=3, in_channels=16, feat_channels=32, stacked_convs=1,
        strides=[8, 8, 16, 32, 32], scale_ranges=((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048)),
        num_grids=[12, 10, 8, 6, 4], loss_mask=dict(type='DiceLoss', use_sigmoid=True),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True),
    ),
    test_cfg=dict(nms_pre=50, score_thr=0.0, mask_thr=0.01, filter_thr=0.0, kernel='gaussian', sigma=2.0, max_per_img=20),
)  # fmt: skip
FCN = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', bgr_to_rgb=True, mean=[128.0] * 3, std=[64.0] * 3),
    backbone=dict(type='ResNetV1c', depth=18, base_channels=8, num_stages=4),
    decode_head=dict(type='FCNHead', in_channels=64, channels=8, num_classes=3, num_convs=1, in_index=3,
                     norm_cfg=dict(type='BN')),
    test_cfg=dict(mode='whole'),
)  # fmt: skip


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)


def test_mmseg_matches_the_library(image, tmp_path):
    apis = pytest.importorskip('mmseg.apis')
    torch.manual_seed(0)
    generator = MMSegMaskGenerator(FCN, class_names=['road', 'person', 'car'], score_thr=0)
    model = generator.model

    model.cfg = Config(
        dict(test_pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')])
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        library = apis.inference_model(model, image[..., ::-1].copy())
    expected = library.pred_sem_seg.data[0].numpy()
    for name in np.unique(expected):
        only = MMSegMaskGenerator(FCN, classes=[int(name)], score_thr=0)
        only.__dict__['model'] = model
        found = np.zeros((96, 128), bool)
        for segment in only.generate(image):
            found |= segment['segmentation']
        assert np.count_nonzero(found != (expected == name)) < 0.05 * found.size
        assert not (found & (expected != name)).any()
    path = tmp_path / 'seg.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    again = MMSegMaskGenerator(FCN, checkpoint=path, class_names=['a', 'b', 'c'], score_thr=0)
    np.testing.assert_array_equal(again(image), generator(image))
    with pytest.raises(InputError, match='no class is called'):
        MMSegMaskGenerator(FCN, classes=['tree'], class_names=['a', 'b', 'c'])(image)


def test_mmdet_matches_the_library(image):
    apis = pytest.importorskip('mmdet.apis')
    torch.manual_seed(0)
    generator = MMDetMaskGenerator(SOLO, score_thr=0)
    model = generator.model
    from mmengine.dataset import Compose

    with DefaultScope.overwrite_default_scope('mmdet'):
        pipeline = Compose(
            [dict(type='mmdet.LoadImageFromNDArray'), dict(type='mmdet.PackDetInputs')]
        )
    model.cfg = Config(dict())
    found = apis.inference_detector(model, image[..., ::-1].copy(), test_pipeline=pipeline)
    expected = found.pred_instances
    masks = [m.numpy().astype(bool) for m in expected.masks if m.any()]
    segments = generator.generate(image)
    assert masks
    assert len(segments) == len(masks)
    assert {s['segmentation'].tobytes() for s in segments} == {m.tobytes() for m in masks}
    few = MMDetMaskGenerator(SOLO, classes=[0], score_thr=0)
    few.__dict__['model'] = model
    assert len(few.generate(image)) == int((expected.labels == 0).sum())


def test_checkpoints_that_do_not_fit_are_refused(tmp_path, image):
    pytest.importorskip('mmseg')
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict=dict(a=torch.zeros(1))), path)
    with pytest.raises(InputError, match='does not fit'):
        MMSegMaskGenerator(FCN, checkpoint=path)(image)


@pytest.mark.parametrize('name', ['MMDetMaskGenerator', 'MMSegMaskGenerator'])
def test_registered(name):
    generator = MASK_GENERATORS.build(dict(type=name, config=dict(FCN)))
    assert generator.settings['type'] == name

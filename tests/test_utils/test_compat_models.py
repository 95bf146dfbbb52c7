"""Models of mmdet and mmseg train and infer without mmcv's compiled operators."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData

from mmsgdfuse.utils.compat import import_downstream

SIDE = 64
DETECTORS = {
    'YOLOX': 'yolox/yolox_tiny_8xb8-300e_coco.py',
    'RetinaNet': 'retinanet/retinanet_r18_fpn_1x_coco.py',
}
SEGMENTORS = {
    'DeepLabV3+': 'deeplabv3plus/deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024.py',
    'SegFormer': 'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
}

DEVICES = ('cpu', pytest.param('cuda', marks=pytest.mark.gpu))


def build(scope: str, config: str) -> BaseModel:
    pytest.importorskip(scope)
    import_downstream(scope)
    cfg = get_config(f'{scope}::{config}').model
    drop_pretrained(cfg)
    cfg.data_preprocessor.pop('batch_augments', None)  # asks a Runner for its iteration
    if 'size' in cfg.data_preprocessor:
        cfg.data_preprocessor.size = (SIDE, SIDE)
    with DefaultScope.overwrite_default_scope(scope):
        return revert_sync_batchnorm(MODELS.build(cfg))


def drop_pretrained(cfg: Config) -> None:
    """Nothing is to be downloaded."""
    cfg.pop('pretrained', None)
    cfg.pop('init_cfg', None)
    for value in cfg.values():
        if isinstance(value, dict):
            drop_pretrained(value)


def detection_batch() -> dict:
    from mmdet.structures import DetDataSample

    sample = DetDataSample(
        metainfo=dict(
            img_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE), scale_factor=(1.0, 1.0), img_id=0
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[4.0, 8, 40, 56]]), labels=torch.tensor([0])
    )
    return dict(inputs=[torch.full((3, SIDE, SIDE), 90, dtype=torch.uint8)], data_samples=[sample])


def segmentation_batch() -> dict:
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(2):  # batch normalisation of 1x1 features needs two
        sample = SegDataSample(metainfo=dict(img_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE)))
        labels = torch.zeros(1, SIDE, SIDE, dtype=torch.long)
        labels[:, :, SIDE // 2 :] = 1
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return dict(inputs=[image, image.flip(1)], data_samples=samples)


def train_once(model: BaseModel, batch: dict) -> None:
    """One step must move the weights."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    assert any((new != old).any() for new, old in zip(model.parameters(), before))


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('name', list(DETECTORS))
def test_detector(name, device):
    model = build('mmdet', DETECTORS[name]).to(device)
    train_once(model, detection_batch())
    model.eval()
    # with random weights scores are low; all are kept, so that nms has work
    model.bbox_head.test_cfg.score_thr = 0.0
    with torch.no_grad():
        found = model.test_step(detection_batch())[0].pred_instances
    assert 0 < len(found) <= model.bbox_head.test_cfg.get('max_per_img', SIDE**2)
    assert (found.scores[:-1] >= found.scores[1:]).all()


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('name', list(SEGMENTORS))
def test_segmentor(name, device):
    model = build('mmseg', SEGMENTORS[name]).to(device)
    train_once(model, segmentation_batch())
    model.eval()
    with torch.no_grad():
        result = model.test_step(segmentation_batch())[0]
    assert result.pred_sem_seg.data.shape == (1, SIDE, SIDE)


def test_faster_rcnn_says_what_it_needs():
    if importlib.util.find_spec('mmcv._ext').origin:
        pytest.skip('mmcv has compiled operators here')
    model = build('mmdet', 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    with pytest.raises(NotImplementedError, match=r'roi_align.*install mmcv>=2\.0\.0'):
        train_once(model, detection_batch())

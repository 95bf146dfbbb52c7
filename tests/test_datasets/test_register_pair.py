"""RegisterPair in a pipeline: one grid, cropped or with the region that both cameras see."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.datasets.transforms import LoadPair, PackFusionInputs, RegisterPair
from mmsgdfuse.io.images import ImageFileError, write_image
from mmsgdfuse.registration import Rig, save_rig
from mmsgdfuse.registry import TRANSFORMS
from mmsgdfuse.utils.errors import InputError

# the infrared image is a part of the visible one, at half its resolution
HOMOGRAPHY = [[2.0, 0, 40.5], [0, 2.0, 30.5], [0, 0, 1]]


@pytest.fixture
def results(tmp_path) -> dict:
    scene = synthetic_scene(seed=0, size=(96, 128))
    ir = cv2.resize(scene.ir[30:90, 40:120], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    write_image(tmp_path / 'ir.png', ir)
    write_image(tmp_path / 'vis.png', scene.vis)
    write_image(tmp_path / 'labels.png', scene.labels)
    paths = {f'{key}_path': str(tmp_path / f'{key}.png') for key in ('ir', 'vis')}
    return dict(paths, name='vis.png', scene=scene, labels_path=str(tmp_path / 'labels.png'))


def test_a_training_pipeline_takes_unregistered_pairs(results, tmp_path):
    rig = tmp_path / 'rig.yaml'
    save_rig(rig, Rig(HOMOGRAPHY, ir_size=(30, 40), vis_size=(96, 128)))
    scene = results['scene']
    for step in (
        dict(type='LoadPair', same_size=False),
        dict(type='RegisterPair', rig=str(rig)),
    ):
        results = TRANSFORMS.build(step)(results)
    box = slice(31, 89), slice(41, 119)
    np.testing.assert_array_equal(results['vis'], scene.vis[box])
    np.testing.assert_array_equal(results['labels'][..., 0], scene.labels[box])
    assert results['img_shape'] == results['ori_shape'] == (58, 78)
    difference = np.abs(results['ir'][..., 0].astype(int) - scene.ir[box])
    assert np.median(difference) <= 3
    packed = PackFusionInputs()(results)
    assert packed['inputs']['ir'].shape == (1, 58, 78)


def test_without_cropping_the_frame_stays(results):
    loaded = LoadPair(same_size=False)(results)
    whole = RegisterPair(HOMOGRAPHY, crop=False)(dict(loaded))
    assert whole['ir'].shape == (96, 128, 1)
    assert whole['valid'].sum() == 58 * 78
    del loaded['labels']
    infrared = RegisterPair(HOMOGRAPHY, grid='infrared', crop=False)(loaded)
    assert infrared['vis'].shape == (30, 40, 3)
    assert infrared['valid'].all()


def test_what_does_not_fit_is_named(results):
    with pytest.raises(ImageFileError, match=r'RegisterPair after LoadPair\(same_size=False\)'):
        LoadPair()(dict(results))
    loaded = LoadPair(same_size=False)(results)
    with pytest.raises(ImageFileError, match=r'labels\.png: is .* infrared image'):
        RegisterPair(HOMOGRAPHY, grid='infrared')(dict(loaded))
    with pytest.raises(ImageFileError, match=r'ir\.png: pair: no part'):
        RegisterPair('auto')(dict(loaded, ir=np.zeros((48, 64, 1), np.uint8)))
    with pytest.raises(InputError, match='homography'):
        RegisterPair([[1, 0], [0, 1]])
    with pytest.raises(InputError, match='grid'):
        RegisterPair(HOMOGRAPHY, grid='both')

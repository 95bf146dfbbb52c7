"""FusionInferencer with a rig: as a registered pair inside, the visible image outside."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.registration import RegistrationError, Rig, save_rig
from mmsgdfuse.utils.errors import InputError

BOX = slice(40, 200), slice(60, 280)
SHIFT = np.array([[1.0, 0, 60], [0, 1, 40], [0, 0, 1]])


@pytest.fixture(scope='module')
def pair():
    scene = synthetic_scene(seed=1, size=(240, 320))
    return scene.ir[BOX], scene.vis


@pytest.fixture
def weights(tiny_weights):
    return dict(weights=tiny_weights, device='cpu', masks=dict(type='DropMask'))


@pytest.mark.parametrize('form', ['file', 'rig', 'array'])
def test_inside_it_is_the_registered_pairs_fusion(pair, weights, tmp_path, form):
    rig = dict(file=tmp_path / 'rig.yaml', rig=Rig(SHIFT), array=SHIFT)[form]
    if form == 'file':
        save_rig(rig, Rig(SHIFT))
    result = FusionInferencer(**weights, rig=rig, seam=8)(*pair)
    assert result.fused.shape == pair[1].shape
    expected = np.zeros((240, 320), bool)
    expected[BOX] = True
    np.testing.assert_array_equal(result.valid, expected)
    np.testing.assert_array_equal(result.fused[~expected], pair[1][~expected])
    np.testing.assert_array_equal(result.ir[..., 0][BOX], pair[0])
    # what the network sees outside of the box differs, and so do a few levels near its border
    alone = FusionInferencer(**weights)(pair[0], np.ascontiguousarray(pair[1][BOX])).fused
    inner = slice(40, -40), slice(40, -40)
    assert np.abs(result.fused[BOX][inner].astype(int) - alone[inner]).mean() < 2
    assert result.panel().ndim == 3


def test_the_infrared_grid(pair, weights):
    result = FusionInferencer(**weights, rig=SHIFT, grid='infrared')(*pair)
    assert result.fused.shape == (160, 220, 3)
    assert result.valid.all()


def test_without_a_rig_the_remedy_is_named(pair, weights):
    with pytest.raises(InputError, match=r'give rig= \(--rig FILE, --register\)'):
        FusionInferencer(**weights)(*pair)


def test_a_pair_that_cannot_be_registered_is_named(pair, weights, tmp_path):
    path = tmp_path / 'blank.png'
    cv2.imwrite(str(path), np.full((64, 80), 9, np.uint8))
    with pytest.raises(RegistrationError, match=r'blank\.png: pair: no part'):
        FusionInferencer(**weights, rig='auto')(path, pair[1])
    with pytest.raises(InputError, match='seam'):
        FusionInferencer(**weights, rig=SHIFT, seam=-1)

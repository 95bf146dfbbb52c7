"""How strongly masked things are lifted is the user's choice."""

from __future__ import annotations

import numpy as np
import pytest

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.utils.errors import InputError


@pytest.fixture(scope='module')
def scene():
    return synthetic_scene(seed=1, size=(96, 128))


def fused(scene, **options) -> np.ndarray:
    return FusionInferencer(device='cpu', **options)(scene.ir, scene.vis).fused


def test_one_changes_nothing_and_zero_is_no_mask(scene):
    default = fused(scene)
    np.testing.assert_array_equal(fused(scene, emphasis=1), default)
    without = fused(scene, masks=dict(type='DropMask'))
    np.testing.assert_array_equal(fused(scene, emphasis=0), without)
    assert not np.array_equal(default, without)


def test_half_masks_are_between(scene):
    half = FusionInferencer(device='cpu', emphasis=0.5)(scene.ir, scene.vis)
    whole = FusionInferencer(device='cpu')(scene.ir, scene.vis)
    np.testing.assert_allclose(half.mask_ir, whole.mask_ir / 2)
    strong = FusionInferencer(device='cpu', emphasis=3)(scene.ir, scene.vis)
    np.testing.assert_allclose(strong.mask_ir, np.minimum(3 * whole.mask_ir, 1), rtol=1e-6)


@pytest.mark.parametrize('value', [-1, float('nan'), float('inf')])
def test_impossible_values(value):
    with pytest.raises(InputError, match='emphasis'):
        FusionInferencer(device='cpu', emphasis=value)

"""What a fusion of degraded sources is worth, and restoring without learning."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmsgdfuse.datasets import synthetic_scene
from mmsgdfuse.datasets.degradation import degrade
from mmsgdfuse.evaluation.classical_restoration import (
    denoise,
    destripe_columns,
    noise_level,
    restore_pair,
    wiener_deblur,
)
from mmsgdfuse.evaluation.functional import fusion_metrics, to_luma
from mmsgdfuse.evaluation.restoration import RESTORATION_METRICS, score_restoration


def error(image, clean):
    return float(np.mean((image.astype(float) - clean) ** 2))


@pytest.fixture
def pair(scene):
    return scene.ir.reshape(96, 128, 1), scene.vis


def test_scores_by_hand_and_by_the_catalogue(pair):
    ir, vis = pair
    clean = np.maximum(ir[..., 0], to_luma(vis)) // 2 + 50
    fused = clean + np.uint8(3)
    values = score_restoration(fused, clean, ir, vis)
    assert tuple(values) == RESTORATION_METRICS
    assert values['PSNR_own'] == pytest.approx(20 * np.log10(255 / 3))
    # SSIM of an image that is brighter by a constant: its structure is the same
    assert 0.98 < values['SSIM_own'] < 1
    assert values['VIF_own'] == pytest.approx(1, abs=1e-6)
    names = ('PSNR', 'SSIM', 'VIF', 'Qabf')
    assert {name: values[name] for name in names} == fusion_metrics(ir, vis, fused, names)


def test_the_own_clean_fusion_is_perfect(pair):
    ir, vis = pair
    values = score_restoration(vis, vis, ir, vis)
    assert values['PSNR_own'] == np.inf
    assert values['SSIM_own'] == pytest.approx(1)
    assert values['Qabf_own'] == pytest.approx(0.9753, abs=5e-3)


def test_noise_level_sees_noise_and_no_stripes():
    flat = np.full((200, 300, 1), 100, np.uint8)
    rng = np.random.default_rng(0)
    noisy = degrade(flat, [dict(type='gaussian_noise', sigma=8)], rng)
    assert noise_level(noisy[..., 0]) == pytest.approx(8, rel=0.05)
    striped = degrade(flat, [dict(type='column_stripes', offset=8, gain=0)], rng)
    assert noise_level(striped[..., 0]) == 0


def test_column_offsets_are_taken_away():
    # a scene of 96 rows has objects over half of them, which the median takes for stripes
    ir = synthetic_scene(seed=0, size=(240, 320)).ir.reshape(240, 320, 1)
    steps = [dict(type='column_stripes', offset=8, gain=0)]
    striped = degrade(ir, steps, np.random.default_rng(0))[..., 0]
    assert error(destripe_columns(striped), ir[..., 0]) < 0.3 * error(striped, ir[..., 0])
    flat = np.full((20, 30), 90, np.uint8)
    np.testing.assert_array_equal(destripe_columns(flat), flat)


@pytest.mark.parametrize('key', ['ir', 'vis'])
def test_denoising_removes_noise_and_leaves_clean_images_alone(pair, key):
    image = pair[key == 'vis']
    image = cv2.GaussianBlur(image, (0, 0), 1.5).reshape(image.shape)
    plane = image[..., 0] if key == 'ir' else image
    noisy = degrade(image, 'gaussian_noise', np.random.default_rng(0), 'heavy').reshape(plane.shape)
    assert error(denoise(noisy), plane) < 0.4 * error(noisy, plane)
    np.testing.assert_array_equal(denoise(plane), plane)


def test_wiener_undoes_a_known_blur(scene):
    steps = [dict(type='gaussian_blur', sigma=1.5)]
    blurred = degrade(scene.vis, steps, np.random.default_rng(0))
    sharp = wiener_deblur(blurred, 1.5)
    assert error(sharp, scene.vis) < 0.7 * error(blurred, scene.vis)
    flat = np.full((40, 41), 130, np.uint8)
    np.testing.assert_array_equal(wiener_deblur(flat, 2.0), flat)


def test_a_pair_is_restored_in_its_shapes(pair):
    ir, vis = pair
    rng = np.random.default_rng(0)
    poor_ir = degrade(ir, 'column_stripes', rng, 'heavy')
    poor_vis = degrade(vis, [dict(type='gaussian_blur', sigma=1.5)], rng)
    restored_ir, restored_vis = restore_pair(poor_ir, poor_vis, 1.5)
    assert restored_ir.shape == ir.shape
    assert restored_vis.shape == vis.shape
    assert error(restored_ir, ir) < error(poor_ir, ir)
    assert error(restored_vis, vis) < error(poor_vis, vis)

"""One resampling, a valid region that is right, and a seam that is soft."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmsgdfuse.registration import Rig, align_pair, feather, fill_outside, valid_box
from mmsgdfuse.utils.errors import InputError


def smooth_image(height: int, width: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, channels))
    blurred = cv2.GaussianBlur(noise, (0, 0), 4).reshape(height, width, channels)
    blurred -= blurred.min()
    return (blurred * 255 / blurred.max()).astype(np.uint8)


def test_the_infrared_image_lands_on_the_visible_grid():
    whole = smooth_image(120, 160)
    # the infrared camera sees a part of the scene, at half the resolution
    homography = np.array([[2, 0, 20.5], [0, 2, 10.5], [0, 0, 1]])
    ir = cv2.resize(whole[10:110, 20:140], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    vis = whole.repeat(3, axis=2)
    aligned = align_pair(ir[..., None], vis, Rig(homography))
    assert aligned.ir.shape == (120, 160, 1)
    assert aligned.ir.dtype == np.uint8
    expected = np.zeros((120, 160), bool)
    expected[11:109, 21:139] = True  # between the centres of the outermost pixels
    np.testing.assert_array_equal(aligned.valid, expected)
    difference = np.abs(aligned.ir[..., 0].astype(int) - whole[..., 0])[expected]
    assert difference.mean() < 2
    assert aligned.vis is vis


def test_the_visible_image_is_not_aliased_on_the_infrared_grid():
    stripes = np.zeros((120, 160, 3), np.uint8)
    stripes[:, ::2] = 255
    ir = smooth_image(40, 53)
    aligned = align_pair(
        ir, stripes, Rig(np.array([[3.0, 0, 1], [0, 3, 1], [0, 0, 1]])), 'infrared'
    )
    assert aligned.vis.shape == (40, 53, 3)
    inside = aligned.vis[5:-5, 5:-5].astype(int)
    assert np.abs(inside - 127.5).max() < 25  # one pixel in three, unfiltered, is black or white
    assert aligned.ir is ir


def test_floating_point_stays():
    ir = smooth_image(40, 50).astype(np.float32) + 0.25
    aligned = align_pair(ir, smooth_image(40, 50, 3), Rig(np.eye(3)))
    np.testing.assert_allclose(aligned.ir, ir, atol=1e-3)
    assert aligned.valid.all()


def test_images_beside_each_other_are_refused():
    with pytest.raises(InputError, match='beside each other'):
        align_pair(
            smooth_image(40, 50),
            smooth_image(40, 50, 3),
            Rig(np.array([[1.0, 0, 900], [0, 1, 0], [0, 0, 1]])),
        )
    with pytest.raises(InputError, match='grid must be'):
        align_pair(smooth_image(40, 50), smooth_image(40, 50, 3), Rig(np.eye(3)), 'thermal')


def test_the_seam_is_soft_and_the_frame_is_none():
    valid = np.zeros((40, 60), bool)
    valid[:, 20:] = True
    weight = feather(valid, 10)
    assert weight[:, :20].max() == 0
    np.testing.assert_allclose(weight[20, 20:30], np.arange(1, 11) / 10, atol=0.01)
    assert (weight[:, 31:] == 1).all()  # up to the frame's own border
    assert (feather(np.ones((5, 5), bool), 10) == 1).all()
    fused, other = np.full((40, 60, 3), 200, np.uint8), np.full((40, 60, 1), 100, np.uint8)
    filled = fill_outside(fused, other, valid, 10)
    assert (filled[:, :20] == 100).all()
    assert (filled[:, 31:] == 200).all()
    assert (np.diff(filled[20, :, 0].astype(int)) >= 0).all()
    assert fill_outside(fused, other, valid, 0)[20, 20, 0] == 200


def test_the_largest_rectangle_is_found():
    rng = np.random.default_rng(0)
    for _ in range(20):
        valid = rng.random((9, 11)) > 0.3
        rows, columns = valid_box(valid)
        assert valid[rows, columns].all()
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        best = max(
            (b - t) * (r - a)
            for t in range(9) for b in range(t + 1, 10)
            for a in range(11) for r in range(a + 1, 12)
            if valid[t:b, a:r].all()
        )  # fmt: skip
        assert area == best
    with pytest.raises(InputError, match='overlap'):
        valid_box(np.zeros((3, 3), bool))

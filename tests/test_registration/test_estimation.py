"""Unknown transforms are found, from one pair or several, or refused with the number."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmsgdfuse.registration import (
    RegistrationError,
    SearchOptions,
    corner_error,
    measure_misregistration,
    register_pair,
    register_rig,
)
from mmsgdfuse.utils.errors import InputError

SIZE = (256, 320)
# infrared to visible: the visible camera sees a part of it at twice the resolution
TRUTH = np.array([[2.05, 0.03, -52.0], [-0.02, 2.02, -31.0], [1e-5, 2e-5, 1.0]])


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Infrared and visible image of a flat world of polygons, whose contrasts have no relation."""
    rng = np.random.default_rng(seed)
    heat, light = np.full((512, 640), 90, np.uint8), np.full((512, 640, 3), 120, np.uint8)
    for _ in range(70):
        centre, reach = rng.uniform(0, (640, 512)), rng.uniform(15, 70)
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
        corners = centre + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        polygon = [corners.round().astype(np.int32)]
        if rng.random() < 0.85:
            cv2.fillPoly(heat, polygon, int(rng.integers(20, 235)))
        if rng.random() < 0.85:
            cv2.fillPoly(light, polygon, rng.integers(20, 235, 3).tolist())
    world_to_ir = np.diag([0.5, 0.5, 1])
    ir = cv2.warpPerspective(heat, world_to_ir, SIZE[::-1], flags=cv2.INTER_AREA)
    vis = cv2.warpPerspective(light, TRUTH @ world_to_ir, (560, 450))
    noise = rng.normal(0, 3, ir.shape)
    return np.clip(ir + noise, 0, 255).astype(np.uint8), vis


@pytest.mark.parametrize('seed', [0, 1])
def test_one_pair_alone(seed):
    ir, vis = scene(seed)
    found = register_pair(ir, vis)
    assert corner_error(found.homography, TRUTH, SIZE) < 1.5
    assert found.residual < 1
    assert found.coverage > 0.3
    assert found.uncertainty < 5
    assert abs(found.distortion) < 0.02
    assert found.ir_size == SIZE
    assert found.vis_size == (450, 560)


def test_a_rig_from_several_pairs_and_a_bad_one():
    pairs = [(f'frame{seed}', *scene(seed)) for seed in range(3)]
    blank = np.full(SIZE, 90, np.uint8)
    pairs.insert(1, ('blank', blank, pairs[0][2]))
    found = register_rig(pairs)
    assert corner_error(found.homography, TRUTH, SIZE) < 0.8
    used = {frame.name: frame.used for frame in found.frames}
    assert used == dict(frame0=True, blank=False, frame1=True, frame2=True)
    assert all(frame.residual < 1 for frame in found.frames if frame.used)


def test_unrelated_and_blank_images_are_refused():
    ir, _ = scene(0)
    _, vis = scene(7)
    with pytest.raises(RegistrationError, match=r'pair: (no part|the transform is not trusted)'):
        register_pair(ir, vis)
    with pytest.raises(RegistrationError, match='no part'):
        register_pair(np.full(SIZE, 9, np.uint8), vis)


def own_matches(*_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points all over the frame, half a pixel off, a quarter of them wrong."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, (319, 255), (300, 2))
    moved = cv2.perspectiveTransform(points[:, None], TRUTH)[:, 0] + rng.normal(0, 0.5, (300, 2))
    moved[::4] = rng.uniform(0, 400, (75, 2))
    return points, moved


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(min_matches=10**6), r'matches agree, min_matches is 1000000'),
        (dict(min_coverage=1), r'cover 0\.\d\d of the infrared frame, min_coverage is 1'),
        (dict(max_uncertainty=1e-6), r'corners may be \d+\.\d pixels off'),
        (dict(max_distortion=0.0), r'max_distortion is 0'),
    ],
)
def test_the_number_is_in_the_refusal(options, message):
    blank = np.zeros(SIZE, np.uint8)
    with pytest.raises(RegistrationError, match=message):
        register_pair(blank, blank, SearchOptions(**options), own_matches)


def test_a_matcher_of_ones_own_takes_the_place_of_the_search():
    blank = np.zeros(SIZE, np.uint8)
    found = register_pair(blank, blank, matcher=own_matches)
    assert corner_error(found.homography, TRUTH, SIZE) < 1.5
    assert found.matches > 200
    with pytest.raises(InputError, match='two arrays'):
        register_pair(blank, blank, matcher=lambda *_: (np.zeros((9, 2)), np.zeros((5, 2))))


@pytest.mark.parametrize('kind', ['similarity', 'affine'])
def test_other_kinds_have_fewer_parameters(kind):
    blank = np.zeros(SIZE, np.uint8)
    options = SearchOptions(kind=kind, max_uncertainty=50)
    homography = register_pair(blank, blank, options, own_matches).homography
    np.testing.assert_allclose(homography[2], [0, 0, 1], atol=1e-12)
    if kind == 'similarity':
        np.testing.assert_allclose(homography[0, 0], homography[1, 1])
        np.testing.assert_allclose(homography[0, 1], -homography[1, 0])


def test_misregistration_is_measured():
    ir, vis = scene(0)
    on_grid = cv2.warpPerspective(
        vis, TRUTH, SIZE[::-1], flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    )
    ir, on_grid = ir[30:240, 40:300], on_grid[30:240, 40:300]
    assert measure_misregistration(ir, on_grid).distance < 0.5
    shifted = np.roll(ir, 5, axis=1)
    assert measure_misregistration(shifted, on_grid).distance == pytest.approx(5, abs=0.6)
    doubled = cv2.resize(on_grid, None, fx=2, fy=2)
    assert measure_misregistration(ir, doubled).distance < 0.6
    nothing = measure_misregistration(np.full_like(ir, 7), on_grid)
    assert np.isnan(nothing.distance)
    assert nothing.matches == 0


@pytest.mark.parametrize(
    ('pairs', 'message'),
    [
        ([], 'no pair'),
        ([('a', np.zeros((40, 50), np.float32), np.zeros((40, 50), np.uint8))], 'uint8'),
        ([('a', np.zeros((40, 50, 2), np.uint8), np.zeros((40, 50), np.uint8))], r'\(H, W\)'),
        (
            [
                (n, np.zeros((40, w), np.uint8), np.zeros((40, 50), np.uint8))
                for n, w in (('a', 50), ('b', 60))
            ],
            'b: its ir image',
        ),
    ],
)
def test_bad_input_is_named(pairs, message):
    with pytest.raises(InputError, match=message):
        register_rig(pairs)


@pytest.mark.parametrize(
    'options', [dict(kind='projective'), dict(scales=(2, 1)), dict(min_coverage=2)]
)
def test_bad_options(options):
    with pytest.raises(InputError, match=next(iter(options))):
        SearchOptions(**options)

"""Degradations: each parameter measured on flat or simple images, and the transform."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmsgdfuse.datasets import IVIFDataset
from mmsgdfuse.datasets.degradation import (
    DEGRADATIONS,
    STRENGTH_TABLE,
    STRENGTHS,
    degradation_steps,
    degrade,
    disc_kernel,
    line_kernel,
)
from mmsgdfuse.datasets.transforms import DegradePair, LoadPair, PackFusionInputs
from mmsgdfuse.registry import TRANSFORMS


def flat(level=100.0, size=(200, 300), channels=1):
    return np.full((*size, channels), level, np.float32)


def after(image, name, seed=0, **parameters):
    return DEGRADATIONS[name](image, np.random.default_rng(seed), **parameters)


def test_gaussian_noise_has_its_deviation():
    noisy = after(flat(), 'gaussian_noise', sigma=7)
    assert noisy.std() == pytest.approx(7, rel=0.02)
    assert noisy.mean() == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize('level', [20, 200])
def test_shot_noise_grows_with_the_root_of_the_level(level):
    noisy = after(flat(level), 'poisson_noise', electrons=500)
    assert noisy.mean() == pytest.approx(level, rel=0.01)
    assert noisy.std() == pytest.approx((255 * level / 500) ** 0.5, rel=0.02)


@pytest.mark.parametrize(('name', 'axis'), [('column_stripes', 0), ('row_stripes', 1)])
def test_stripes_are_constant_along_their_line(name, axis):
    striped = after(flat(size=(400, 400)), name, offset=6, gain=0)
    assert np.ptp(striped, axis=axis).max() == 0
    assert striped.mean(axis=axis).std() == pytest.approx(6, rel=0.15)
    gained = after(flat(size=(400, 400)), name, offset=0, gain=0.05)
    assert gained.mean(axis=axis).std() == pytest.approx(5, rel=0.15)


def test_dead_pixels_and_lines_are_counted_and_black_or_white():
    dead = after(flat(channels=3), 'dead_pixels', fraction=0.01)
    changed = (dead != 100).any(axis=2)
    assert changed.sum() == 600
    assert set(np.unique(dead[changed])) == {0, 255}
    assert np.ptp(dead, axis=2).max() == 0
    lines = after(flat(), 'dead_lines', columns=4, rows=2)[..., 0]
    assert (lines != 100).all(axis=0).sum() == 4
    assert (lines != 100).all(axis=1).sum() == 2


def test_a_point_out_of_focus_becomes_a_disc():
    point = flat(0, size=(41, 41))
    point[20, 20] = 255
    y, x = np.mgrid[-20:21, -20:21]
    blurred = after(point, 'defocus', radius=5)[..., 0]
    assert blurred.sum() == pytest.approx(255, rel=1e-4)
    distance = np.hypot(y, x)
    inner = blurred[distance <= 4.5]
    assert np.ptp(inner) < 1e-3
    assert inner.mean() == pytest.approx(255 / (np.pi * 25), rel=0.05)
    assert np.abs(blurred[distance >= 5.5]).max() < 1e-3


@pytest.mark.parametrize(('angle', 'row', 'column'), [(0, 10, 14), (90, 6, 10), (45, 7, 13)])
def test_motion_draws_a_line_at_its_angle(angle, row, column):
    length = 9.0
    point = flat(0, size=(21, 21))
    point[10, 10] = 255
    blurred = after(point, 'motion_blur', length=length, angle=angle)[..., 0]
    assert blurred.sum() == pytest.approx(255, rel=1e-4)
    assert blurred[row, column] > 5
    assert blurred[row, 20 - column] < 1e-3 or angle in (0, 90)
    y, x = np.mgrid[-10:11, -10:11]
    spread = ((x**2 + y**2) * blurred).sum() / blurred.sum()
    # the variance of a line of the points' way, and of sharing each out to its neighbours
    assert spread == pytest.approx((length - 1) ** 2 / 12, abs=0.5)


def test_kernels_of_no_size_change_nothing():
    for kernel in (disc_kernel(0), line_kernel(1, 30)):
        assert kernel.sum() == pytest.approx(1)
        assert kernel.max() == pytest.approx(1)


def test_low_light_keeps_its_share_of_the_light_and_gain_lifts_it_back():
    dark = after(flat(200), 'low_light', exposure=0.25, read_noise=0, electrons=1e6)
    assert dark.mean() == pytest.approx(200 * 0.25 ** (1 / 2.2), rel=1e-3)
    lifted = after(flat(200), 'low_light', exposure=0.25, read_noise=0, electrons=1e6, gain=4)
    assert lifted.mean() == pytest.approx(200, rel=1e-3)
    linear = dict(exposure=1.0, electrons=1e4, gamma=1)
    quiet = after(flat(128), 'low_light', read_noise=0, **linear).std()
    loud = after(flat(128), 'low_light', read_noise=100, **linear).std()
    # variances of independent noises add; 100 electrons are 2.55 levels
    assert loud**2 - quiet**2 == pytest.approx(2.55**2, rel=0.1)


def test_haze_contrast_and_tone_by_hand():
    image = np.float32([[[0.0], [100.0]], [[200.0], [100.0]]])
    hazy = after(image, 'haze', transmission=0.6, airlight=210)
    np.testing.assert_allclose(hazy[..., 0], [[84, 144], [204, 144]], rtol=1e-6)
    weak = after(image, 'low_contrast', factor=0.5)
    np.testing.assert_allclose(weak[..., 0], [[50, 100], [150, 100]], rtol=1e-6)
    bright = after(image, 'tone', gain=1.1, offset=5)
    np.testing.assert_allclose(bright[..., 0], [[5, 115], [225, 115]], rtol=1e-6)
    gamma = after(image, 'tone', gamma=0.5)
    assert gamma[0, 1, 0] == pytest.approx((255 * 100) ** 0.5, rel=1e-5)


@pytest.mark.parametrize(('name', 'better', 'worse'), [('jpeg', 90, 10), ('video_blocks', 20, 40)])
@pytest.mark.parametrize('key', ['ir', 'vis'])
def test_compression_loses_more_at_lower_quality(name, better, worse, key, scene):
    image = getattr(scene, key).reshape(96, 128, -1).astype(np.float32)
    parameter = dict(jpeg='quality', video_blocks='qp')[name]
    errors = [
        np.abs(after(image, name, **{parameter: value}) - image).mean() for value in (better, worse)
    ]
    assert 0 < errors[0] < 0.5 * errors[1] < 20


def test_video_blocks_quantise_the_mean_of_a_block():
    # QP 36 has step 40; a flat block of 103 has the one coefficient 824, level 20.6 -> 20
    coded = after(flat(103, size=(16, 19)), 'video_blocks', qp=36)
    np.testing.assert_allclose(coded, 100, atol=1e-3)


def test_colours_keep_their_order_in_compression():
    red = np.zeros((16, 16, 3), np.float32)
    red[..., 0] = 200
    for name, parameters in (('jpeg', dict(quality=95)), ('video_blocks', dict(qp=10))):
        assert np.abs(after(red, name, **parameters) - red).max() < 5


@pytest.mark.parametrize('name', STRENGTH_TABLE)
def test_strengths_grow_and_repeat(name, scene):
    image = cv2.cvtColor(scene.vis, cv2.COLOR_RGB2GRAY)[..., None]
    degraded = [degrade(image, name, np.random.default_rng(3), s) for s in STRENGTHS]
    errors = [np.mean((d.astype(float) - image) ** 2) for d in degraded]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert degraded[0].dtype == np.uint8
    assert degraded[0].shape == image.shape
    again = degrade(image, name, np.random.default_rng(3), 'light')
    np.testing.assert_array_equal(again, degraded[0])
    colour = degrade(scene.vis.astype(np.float32), name, np.random.default_rng(3))
    assert colour.dtype == np.float32
    assert colour.shape == scene.vis.shape
    assert colour.min() >= 0
    assert colour.max() <= 255


def test_strength_between_two_is_interpolated():
    assert degradation_steps('gaussian_noise', 1.5)[0]['sigma'] == pytest.approx(50**0.5)
    assert degradation_steps('gaussian_noise', 3)[0]['sigma'] == 20
    assert degradation_steps('dead_lines', 1.5)[0]['rows'] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ('steps', 'message'),
    [
        ('blur', 'unknown degradation'),
        ([dict(type='rain')], 'unknown degradation'),
        ([dict(type='jpeg')], 'lacks'),
        ([dict(type='jpeg', quality=5, blocks=2)], 'has no'),
    ],
)
def test_unknown_degradations_are_refused(steps, message):
    with pytest.raises(ValueError, match=message):
        degrade(flat(), steps, np.random.default_rng(0))


def test_image_without_channels_and_wrong_strength_are_refused():
    with pytest.raises(ValueError, match='H, W, C'):
        degrade(flat()[..., 0], 'haze', np.random.default_rng(0))
    for strength in ('strong', 0.5, 4):
        with pytest.raises(ValueError, match='strength'):
            degradation_steps('haze', strength)


def pair(scene, **more):
    return dict(ir=scene.ir.reshape(96, 128, 1), vis=scene.vis, **more)


def test_a_seeded_transform_repeats_by_sample_and_keeps_the_clean_images(scene):
    transform = TRANSFORMS.build(dict(type='mmsgdfuse.DegradePair', seed=1))
    first, other, again = (transform(pair(scene, sample_idx=i)) for i in (0, 1, 0))
    for key in ('ir', 'vis'):
        np.testing.assert_array_equal(first[key], again[key])
        assert (first[key] != other[key]).any()
        np.testing.assert_array_equal(first[f'clean_{key}'], pair(scene)[key])
    named = transform(pair(scene, name='a.png'))
    np.testing.assert_array_equal(named['ir'], transform(pair(scene, name='a.png'))['ir'])
    with pytest.raises(ValueError, match='sample_idx'):
        transform(pair(scene))


def test_without_seed_the_global_generator_decides(scene):
    transform = DegradePair(keep_clean=False)
    np.random.seed(5)
    first, second = transform(pair(scene)), transform(pair(scene))
    np.random.seed(5)
    again = transform(pair(scene))
    assert (first['ir'] != second['ir']).any()
    np.testing.assert_array_equal(first['ir'], again['ir'])
    assert 'clean_ir' not in first


def test_probability_pick_and_ranges(scene):
    clean = pair(scene)
    untouched = DegradePair(probability=0)(pair(scene))
    np.testing.assert_array_equal(untouched['ir'], clean['ir'])
    only_vis = DegradePair(ir=[], vis=[dict(type='tone', offset=(10, 10))])(
        dict(ir=clean['ir'], vis=np.full((8, 8, 3), 50, np.uint8))
    )
    np.testing.assert_array_equal(only_vis['ir'], clean['ir'])
    assert (only_vis['vis'] == 60).all()
    steps = [dict(type='tone', offset=offset) for offset in (1, 2, 4)]
    grey = np.full((8, 8, 1), 50, np.uint8)
    one, every = (
        {
            int(DegradePair(ir=steps, vis=[], pick=pick)(dict(ir=grey, vis=grey))['ir'][0, 0, 0])
            for _ in range(30)
        }
        for pick in ('one', 'all')
    )
    assert one == {51, 52, 54}
    assert every == {57}


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(ir='haze'), 'must be a list'),
        (dict(ir=['rain']), 'unknown degradation'),
        (dict(vis=[dict(type='haze', airlight=200)]), 'lacks'),
        (dict(strength=(3, 1)), 'increasing'),
        (dict(strength=(1, 2, 3)), 'pair'),
        (dict(probability=2), 'probability'),
        (dict(pick='two'), 'pick'),
    ],
)
def test_wrong_arguments_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DegradePair(**kwargs)


def test_it_stands_in_a_pipeline(make_pairs):
    dataset = IVIFDataset(
        data_root=str(make_pairs()),
        pipeline=[
            LoadPair(cache_images=True),
            DegradePair(strength=(1, 3), seed=0),
            PackFusionInputs(),
        ],
    )
    first = dataset[0]['inputs']
    assert tuple(first['ir'].shape) == (1, 33, 47)
    # the cached image was not written into
    assert (dataset[0]['inputs']['ir'] == first['ir']).all()
    assert (dataset[1]['inputs']['ir'] != first['ir']).any()

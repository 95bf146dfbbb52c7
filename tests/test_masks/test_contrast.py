import numpy as np
import pytest

from mmsgdfuse.masks import centre_surround


def naive(features, scales, noise):
    """The definition, window by window."""
    stack = features if features.ndim == 3 else features[..., None]
    low, high = np.percentile(features, (5, 95))
    floor = max(0.05 * (high - low), noise)
    height, width = features.shape[:2]
    total = np.zeros((height, width))
    for scale in scales:
        half = (int(min(height, width) * scale) | 1) // 2
        padded = np.pad(stack, ((half, half), (half, half), (0, 0)), 'symmetric').astype(float)
        for y in range(height):
            for x in range(width):
                window = padded[y : y + 2 * half + 1, x : x + 2 * half + 1].reshape(
                    -1, stack.shape[2]
                )
                offset = stack[y, x] - window.mean(axis=0)
                offset = offset[0] if features.ndim == 2 else np.linalg.norm(offset)
                total[y, x] += offset / (np.sqrt(window.var(axis=0).sum()) + floor)
    return total / len(scales)


@pytest.mark.parametrize('channels', [(), (3,)], ids=['grey', 'colour'])
def test_against_the_definition(channels):
    features = np.random.default_rng(0).uniform(0, 100, (24, 33, *channels)).astype(np.float32)
    found = centre_surround(features, (0.25, 1.0), noise=1.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, naive(features, (0.25, 1.0), 1.0), atol=2e-4)


def test_large_images_use_coarse_statistics_that_are_close():
    yy, xx = np.mgrid[:480, :480] / 480
    smooth = (50 + 40 * np.sin(6 * xx) * np.cos(5 * yy)).astype(np.float32)
    fine = centre_surround(smooth[::4, ::4].copy(), (0.5, 1.0))
    coarse = centre_surround(smooth, (0.5, 1.0))[::4, ::4]
    assert np.abs(coarse - fine).max() < 0.1


def test_constant_images_have_no_contrast():
    assert np.abs(centre_surround(np.full((40, 50), 70, np.float32), (0.5, 2.0))).max() < 1e-3


def test_stretching_changes_nothing_above_the_noise():
    features = np.random.default_rng(1).uniform(20, 60, (60, 80)).astype(np.float32)
    before = centre_surround(features, (0.5, 1.0))
    np.testing.assert_allclose(centre_surround(2 * features + 5, (0.5, 1.0)), before, atol=1e-3)


def test_noise_damps_what_is_weaker():
    features = np.zeros((60, 60), np.float32)
    features[30, 30] = 1
    quiet = centre_surround(features, (0.5,), noise=10.0)
    assert quiet.max() < 0.1 < centre_surround(features, (0.5,), noise=0.1).max()

"""Noise is normal, white, and a function of seed and position alone."""

from __future__ import annotations

import hashlib

import numpy as np

from mmsgdfuse.utils.noise import position_noise


def test_a_tile_has_the_noise_of_its_place():
    whole = position_noise(3, 1, (5, 700, 90))
    np.testing.assert_array_equal(
        position_noise(3, 1, (5, 400, 33), (290, 41)), whole[:, 290:690, 41:74]
    )


def test_values_are_standard_normal_and_white():
    noise = position_noise(0, 0, (2, 512, 512))
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    assert abs((noise**4).mean() - 3) < 0.05
    # the highest of 131,000 exponentially distributed powers is near log(131,000) = 11.8
    power = np.abs(np.fft.rfft2(noise[0])[1:, 1:]) ** 2 / noise[0].size
    assert power.max() < 20


def test_seeds_draws_and_channels_are_independent():
    noise = [
        *position_noise(0, 0, (2, 256, 256)),
        *position_noise(1, 0, (1, 256, 256)),
        *position_noise(0, 1, (1, 256, 256)),
        *position_noise(-1, 0, (1, 256, 256)),
        position_noise(0, 0, (1, 256, 256))[0].T,
    ]
    correlation = np.corrcoef([each.ravel() for each in noise]) - np.eye(len(noise))
    assert np.abs(correlation).max() < 0.02


def test_the_values_stay_as_they_are():
    # exported models and published numbers rest on them
    digest = hashlib.sha256(position_noise(0, 0, (5, 64, 64)).tobytes()).hexdigest()
    assert digest.startswith('3a2dffad300e9fa6')

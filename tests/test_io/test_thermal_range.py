from __future__ import annotations

import numpy as np
import pytest

from mmsgdfuse.io.thermal_range import (
    AS_STORED,
    CELSIUS,
    COUNTS,
    KELVIN,
    RangeError,
    RangeMapping,
    find_range,
    given_range,
    join_ranges,
    picture_depth,
)


@pytest.fixture
def counts(scene):
    """28,000 counts and 12 more for each grey level."""
    return (28000 + 12 * scene.ir.astype(int)).astype(np.uint16)


def test_mapping_by_hand():
    mapping = RangeMapping(100.0, 300.0)
    values = np.array([50, 100, 200, 300, 400], np.uint16)
    np.testing.assert_allclose(mapping.apply(values), [0, 0, 127.5, 255, 255])
    turned = RangeMapping(100.0, 300.0, polarity='black-hot')
    np.testing.assert_allclose(turned.apply(values), [255, 255, 127.5, 0, 0])
    floats = np.array([np.nan, np.inf, -np.inf, 300], np.float32)
    np.testing.assert_array_equal(mapping.apply(floats), [0, 255, 0, 255])


def test_8_bits_are_never_changed(scene):
    for scaling in ('auto', 'full', 'minmax', 'percentile'):
        mapping = find_range(scene.ir, scaling)
        assert mapping is AS_STORED
        assert mapping.changes_nothing
        assert mapping.apply(scene.ir) is scene.ir


def test_a_narrow_band_uses_all_levels(counts):
    mapping = find_range(counts)
    assert (mapping.low, mapping.high) == (counts.min(), counts.max())
    assert (mapping.unit, mapping.how) == (COUNTS, 'auto')


def test_defective_pixels_do_not_count(counts):
    expected = find_range(counts)
    spoilt = counts.copy()
    spoilt[3, 5] = spoilt[40, 60:62] = 65535
    spoilt[7, 9] = spoilt[50] = 0  # a dead line, too
    assert find_range(spoilt) == expected


def test_a_small_hot_thing_counts(counts):
    counts[20:23, 30:32] = 40000
    assert find_range(counts).high == 40000


def test_an_empty_border_does_not_count(counts):
    expected = find_range(counts[20:])
    counts[:20] = 0
    assert find_range(counts) == expected


def test_a_scene_without_contrast_is_not_stretched_to_noise():
    rng = np.random.default_rng(0)
    frame = (9000 + rng.normal(0, 2, (64, 64))).astype(np.uint16)
    mapping = find_range(frame)
    assert mapping.high - mapping.low == 128
    assert mapping.apply(frame).std() < 5
    celsius = (20 + rng.normal(0, 0.05, (64, 64))).astype(np.float32)
    mapping = find_range(celsius)
    assert mapping.high - mapping.low == pytest.approx(4)
    assert mapping.apply(celsius).std() < 4


def test_a_constant_frame_is_black():
    for values in (np.full((40, 40), 9000, np.uint16), np.full((40, 40), 290.5, np.float32)):
        np.testing.assert_array_equal(find_range(values).apply(values), 0)


def test_finished_pictures_of_16_bits_stay_as_they_are(scene):
    dim = (scene.ir // 3 + 40).astype(np.uint16)
    for picture, high in ((dim * 257, 65535), (dim, 255)):
        mapping = find_range(picture)
        assert (mapping.low, mapping.high, mapping.how) == (0, high, 'full')
        np.testing.assert_allclose(mapping.apply(picture), dim, atol=1e-4)


@pytest.mark.parametrize(
    ('values', 'unit'),
    [((-20, 35), CELSIUS), ((250, 310), KELVIN), ((7000, 8000), COUNTS)],
)
def test_what_floats_mean_is_told_from_their_values(values, unit):
    frame = np.linspace(*values, 1600, dtype=np.float32).reshape(40, 40)
    frame[0, 0] = np.nan
    mapping = find_range(frame)
    assert mapping.unit == unit
    np.testing.assert_allclose((mapping.low, mapping.high), values, rtol=0.01, atol=0.1)


def test_values_without_a_range_are_refused():
    with pytest.raises(RangeError, match=r'within 0\.\.1 .*state its range'):
        find_range(np.random.default_rng(0).random((40, 40)))
    with pytest.raises(RangeError, match='no finite value'):
        find_range(np.full((40, 40), np.nan))
    with pytest.raises(RangeError, match='no full range'):
        find_range(np.full((40, 40), 20.0), 'full')


@pytest.mark.parametrize('arguments', [(5, 5), (9, 1), (0, np.nan)])
def test_given_ranges_rise(arguments):
    with pytest.raises(ValueError, match='LOW < HIGH'):
        given_range(*arguments)


def test_one_range_for_a_sequence():
    mappings = [RangeMapping(100, 300), RangeMapping(50, 200)]
    assert join_ranges(mappings) == RangeMapping(50, 300)
    with pytest.raises(ValueError, match='different units'):
        join_ranges([RangeMapping(1, 2), RangeMapping(1, 2, CELSIUS)])
    with pytest.raises(ValueError, match='at least one'):
        join_ranges([])


def test_depth_of_visible_pictures(scene):
    vis = scene.vis.astype(np.uint16)
    vis[0, 0] = 255
    assert picture_depth(vis) == 8
    assert picture_depth(vis * 4) == 10
    assert picture_depth(vis * 16) == 12
    assert picture_depth(vis * 64) == 14
    assert picture_depth(vis * 257) == 16

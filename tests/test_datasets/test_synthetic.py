from __future__ import annotations

import numpy as np
import pytest

from mmsgdfuse.datasets.synthetic import CAR, CLASSES, PERSON, synthetic_scene


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (240, 320), (480, 640)])
def test_any_size(size):
    scene = synthetic_scene(1, size)
    assert scene.ir.shape == size
    assert scene.vis.shape == (*size, 3)
    assert scene.labels.shape == size
    assert {array.dtype for array in scene[:3]} == {np.dtype('uint8')}
    assert scene.labels.max() < len(CLASSES)


def test_same_seed_same_bytes_and_other_seed_other_scene():
    first, again, other = (synthetic_scene(seed, (96, 128)) for seed in (4, 4, 6))
    for a, b, c in zip(first[:3], again[:3], other[:3]):
        np.testing.assert_array_equal(a, b)
        assert (a != c).mean() > 0.02
    assert first.boxes == again.boxes != other.boxes


def test_does_not_touch_the_global_generator():
    np.random.seed(5)
    expected = np.random.uniform()
    np.random.seed(5)
    synthetic_scene(0, (32, 32))
    assert np.random.uniform() == expected


@pytest.mark.parametrize('seed', range(6))
def test_boxes_hold_the_labelled_objects(seed):
    scene = synthetic_scene(seed, (240, 320))
    assert {CAR, PERSON} <= {box[0] for box in scene.boxes}
    inside = np.zeros(scene.labels.shape, bool)
    for kind, x0, y0, x1, y1 in scene.boxes:
        assert 0 <= x0 < x1 <= 320
        assert 0 <= y0 < y1 <= 240
        inside[y0:y1, x0:x1] |= scene.labels[y0:y1, x0:x1] == kind
    np.testing.assert_array_equal(inside, scene.labels > 0)


@pytest.mark.parametrize('seed', range(4))
def test_people_stand_out_in_infrared_day_and_night(seed):
    for night in (False, True):
        scene = synthetic_scene(seed, (240, 320), night=night)
        people = scene.labels == PERSON
        assert scene.ir[people].mean() > scene.ir[scene.labels == 0].mean() + 80


def test_night_is_dark_and_day_is_colourful():
    day, night = (synthetic_scene(2, (240, 320), night=night) for night in (False, True))
    assert night.vis.mean() < 0.75 * day.vis.mean()
    assert night.vis.max() > 200  # windows and head lamps
    assert (day.vis.max(axis=2).astype(int) - day.vis.min(axis=2)).mean() > 25
    np.testing.assert_array_equal(day.labels, night.labels)


def test_odd_seeds_are_nights():
    np.testing.assert_array_equal(
        synthetic_scene(3, (64, 64)).vis, synthetic_scene(3, (64, 64), night=True).vis
    )
    np.testing.assert_array_equal(
        synthetic_scene(2, (64, 64)).vis, synthetic_scene(2, (64, 64), night=False).vis
    )


def test_too_small():
    with pytest.raises(ValueError, match='at least 32 pixels'):
        synthetic_scene(0, (31, 64))

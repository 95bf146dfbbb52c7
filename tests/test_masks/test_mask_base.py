import warnings

import numpy as np
import pytest

from mmsgdfuse.masks import BaseMaskGenerator

SHAPE = (20, 30)


class Fixed(BaseMaskGenerator):
    """Returns the segments that it was given, and remembers the image."""

    def __init__(self, segments=(), **kwargs):
        super().__init__(**kwargs)
        self.segments = segments

    @property
    def own_settings(self):
        return dict(count=len(self.segments))

    def segment(self, image):
        self.image = image
        return list(self.segments)


@pytest.mark.parametrize('shape', [SHAPE, (*SHAPE, 1), (*SHAPE, 3)])
def test_images_of_every_shape(shape):
    generator = Fixed()
    assert generator(np.zeros(shape, np.uint8)).shape == SHAPE
    assert generator.image.shape == (SHAPE if shape[2:] != (3,) else shape)
    assert generator.image.flags.c_contiguous


@pytest.mark.parametrize('image', [np.zeros(SHAPE, np.float32), [[1, 2]], None])
def test_only_uint8_images_are_taken(image):
    with pytest.raises(TypeError, match='uint8'):
        Fixed().generate(image)


@pytest.mark.parametrize('shape', [(5,), (5, 6, 2), (5, 6, 4), (2, 5, 6, 3), (0, 6)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match='found'):
        Fixed().generate(np.zeros(shape, np.uint8))


def test_generate_adds_the_contrast(make_segment):
    segment = make_segment(SHAPE, (5, 10), (5, 10))
    del segment['contrast']
    image = np.where(segment['segmentation'], 200, 20).astype(np.uint8)
    assert Fixed([segment]).generate(image)[0]['contrast'] > 1


def test_maps_have_256_levels(make_segment):
    segment = make_segment(SHAPE, (0, 4), (0, 4), predicted_iou=0.7003)
    mask = Fixed([segment], composer='score')(np.zeros(SHAPE, np.uint8))
    assert mask.dtype == np.float32
    assert mask.max() == np.float32(179) / np.float32(255)


def test_the_covered_share_is_reported_and_a_full_mask_warned_of(make_segment):
    image = np.zeros(SHAPE, np.uint8)
    half = Fixed([make_segment(SHAPE, (0, 10), (0, 30))])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        half(image)
    assert half.last_covered == 0.5
    full = Fixed([make_segment(SHAPE, (0, 20), (0, 29))])
    with pytest.warns(UserWarning, match=r'covers 96\.7%.*composer'):
        full(image)


def test_settings_name_everything_that_matters():
    assert Fixed(composer=dict(type='salience', floor=0.5)).settings == dict(
        type='Fixed', revision=1, count=0, composer=dict(type='salience', floor=0.5)
    )
    assert Fixed(composer='union').settings['composer'] == dict(type='union')

import numpy as np
import pytest

from mmsgdfuse.masks import add_contrast, as_luma, covered_share, mask_box, segment_contrast
from mmsgdfuse.masks.semantic import label_segments


def square(shape=(40, 60), rows=(10, 20), columns=(20, 40)):
    mask = np.zeros(shape, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def test_mask_box():
    assert mask_box(square()) == [20, 10, 20, 10]
    assert mask_box(np.zeros((5, 6), bool)) == [0, 0, 0, 0]


def test_contrast_is_the_difference_over_the_spreads():
    mask = square()
    luma = np.where(mask, 90, 30).astype(np.float32)
    # the ring is constant, so only a tenth of the image's own deviation is left below
    assert segment_contrast(luma, mask, ring=3) == pytest.approx(60 / (0.1 * luma.std()), rel=1e-5)


def test_contrast_counts_the_deviation_of_the_ring_only():
    mask = square()
    luma = np.where(mask, 90, 30).astype(np.float32)
    luma[9, 20:40] = 50
    ring = np.zeros_like(mask)
    ring[7:23, 17:43] = True
    ring &= ~mask
    expected = (90 - luma[ring].mean()) / (luma[ring].std() + 0.1 * luma.std())
    assert segment_contrast(luma, mask, ring=3) == pytest.approx(expected, rel=1e-5)


def test_contrast_does_not_change_when_the_image_is_stretched():
    rng = np.random.default_rng(0)
    luma = rng.uniform(0, 80, (40, 60)).astype(np.float32)
    luma[square()] += 30
    before = segment_contrast(luma, square(), ring=4)
    assert segment_contrast(3 * luma + 7, square(), ring=4) == pytest.approx(before, rel=1e-4)


@pytest.mark.parametrize(
    ('luma', 'mask'),
    [
        (np.full((40, 60), 7, np.float32), square()),
        (np.eye(40, 60, dtype=np.float32), np.zeros((40, 60), bool)),
        (np.eye(40, 60, dtype=np.float32), np.ones((40, 60), bool)),
    ],
    ids=['constant image', 'empty segment', 'no surround'],
)
def test_contrast_is_zero_where_it_has_no_meaning(luma, mask):
    assert segment_contrast(luma, mask, ring=3) == 0


def test_add_contrast_keeps_what_is_there(make_segment):
    image = np.where(square(), 90, 30).astype(np.uint8)
    known = make_segment((40, 60), (0, 5), (0, 5), contrast=9.0)
    unknown = make_segment((40, 60), (10, 20), (20, 40))
    del unknown['contrast']
    assert add_contrast([known, unknown], image) == [known, unknown]
    assert known['contrast'] == 9
    assert unknown['contrast'] > 5


def test_luma_weighs_the_channels():
    rgb = np.zeros((2, 3, 3), np.uint8)
    rgb[..., 1] = 100
    assert as_luma(rgb) == pytest.approx(58.7)
    assert as_luma(rgb[..., :1]).shape == (2, 3)


def test_covered_share():
    mask = np.array([[0, 0.2], [0.5, 1]])
    assert covered_share(mask) == 0.75
    assert covered_share(mask, threshold=0.5) == 0.25


class TestLabelSegments:
    label_map = np.zeros((30, 40), np.uint8)
    label_map[2:8, 2:8] = 2  # two regions of class 2, one of class 1
    label_map[20:28, 30:38] = 2
    label_map[10:15, 10:20] = 1
    label_map[0, 0] = 3  # too small

    def test_each_region_is_a_segment(self):
        segments = label_segments(self.label_map)
        assert [s['area'] for s in segments] == [50, 36, 64]
        assert segments[0]['bbox'] == [10, 10, 10, 5]
        assert all(s['segmentation'].dtype == bool for s in segments)

    def test_classes_are_chosen(self):
        assert [s['area'] for s in label_segments(self.label_map, classes=(2, 9))] == [36, 64]
        assert len(label_segments(self.label_map[..., None], min_area=1)) == 4

    @pytest.mark.parametrize('bad', [label_map / 2, np.zeros((4, 5, 3), np.uint8)])
    def test_other_arrays_are_refused(self, bad):
        with pytest.raises(ValueError, match='whole numbers'):
            label_segments(bad)

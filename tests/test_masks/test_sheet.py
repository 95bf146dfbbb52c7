import numpy as np
import pytest

from mmsgdfuse.masks import contact_sheet


@pytest.fixture
def row(make_segment):
    shape = (30, 40)
    segments = [make_segment(shape, (0, 30), (0, 20)), make_segment(shape, (5, 15), (5, 15))]
    mask = np.zeros(shape, np.float32)
    mask[5:15, 5:15] = 1
    return 'a.png', np.full(shape, 100, np.uint8), segments, mask


def test_image_segments_and_mask_side_by_side(row):
    sheet = contact_sheet([row], width=80)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (22 + 60, 240, 3)
    image, segments, mask = np.split(sheet[22:], 3, axis=1)
    assert np.all(image == 100)
    assert np.all(segments[:, 60:] == 50)  # what belongs to none is dimmed
    whole, part = segments[50, 5], segments[20, 20]
    assert np.any(whole != part)
    assert np.ptp(whole) > 50
    assert np.all(mask[:, 60:] == 50)
    assert np.ptp(mask[20, 20]) > 50


def test_rows_of_every_kind_of_image(row):
    caption, image, _, mask = row
    colour = np.repeat(image[..., None], 3, axis=2)
    sheet = contact_sheet(
        [row, (caption, image[..., None], [], mask), (caption, colour[:, :20], [], mask[:, :20])],
        width=40,
    )
    assert sheet.shape == (3 * 22 + 30 + 30 + 60, 120, 3)


def test_nothing_to_draw(row):
    with pytest.raises(ValueError, match='at least one'):
        contact_sheet([])

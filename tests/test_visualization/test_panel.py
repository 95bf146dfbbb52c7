from __future__ import annotations

import numpy as np
import pytest

from mmsgdfuse.visualization import fusion_panel


def flat(value, size=(100, 160), channels=3):
    return np.full((*size, channels), value, np.uint8)


def test_tiles_keep_their_pixels_and_the_order_of_the_fusion():
    images = dict(fused=flat((9, 8, 7)), ir=flat(50, channels=1), vis=flat((10, 20, 30)))

    panel = fusion_panel(images)

    bar, gap = 20, 4
    assert panel.shape == (bar + 100, 3 * 160 + 2 * gap, 3)
    assert panel.dtype == np.uint8
    for index, colour in enumerate([(50, 50, 50), (10, 20, 30), (9, 8, 7)]):
        left = index * (160 + gap)
        np.testing.assert_array_equal(panel[bar:, left : left + 160], flat(colour))


def test_every_tile_has_its_own_title():
    blank = flat(255)
    panel = fusion_panel(dict(ir=blank, vis=blank, other=blank), columns=1)
    bars = [panel[index * 124 : index * 124 + 20] for index in range(3)]
    assert all(bar.min() < 100 for bar in bars)
    assert not np.array_equal(bars[0], bars[1])
    assert not np.array_equal(bars[1], bars[2])


def test_maps_are_shown_as_grey_levels():
    mask = np.zeros((100, 160), np.float32)
    mask[:50] = 0.2
    panel = fusion_panel(dict(mask_ir=mask, mask_vis=mask[..., None] > 0))
    assert panel[20, 0].tolist() == [51, 51, 51]
    assert panel[119, 0].tolist() == [0, 0, 0]
    assert panel[20, 164].tolist() == [255, 255, 255]


def test_columns_break_the_row():
    panel = fusion_panel({str(index): flat(index) for index in range(5)}, columns=3)
    assert panel.shape == (2 * 120 + 4, 3 * 160 + 2 * 4, 3)
    assert panel[124 + 20, 164].tolist() == [4, 4, 4]
    assert panel[124 + 20, 2 * 164].tolist() == [255, 255, 255]  # the sixth place stays empty


@pytest.mark.parametrize('width', [40, 320])
def test_tiles_are_scaled_without_changing_flat_colours(width):
    panel = fusion_panel(dict(fused=flat(70)), tile_width=width)
    assert panel.shape[1] == width
    assert (panel[-width * 100 // 160 :] == 70).all()


def test_long_titles_fit_their_tile():
    # anything drawn outside would be cut, and the title would then touch both edges
    panel = fusion_panel({'a method with a very long name': flat(255)})
    assert (panel[:20, [0, -1]] == 255).all()
    assert panel[:20].min() < 100


def test_the_same_images_give_the_same_bytes(scene):
    images = dict(ir=scene.ir, vis=scene.vis)
    assert fusion_panel(images).tobytes() == fusion_panel(images).tobytes()


@pytest.mark.parametrize(
    ('images', 'options', 'error', 'message'),
    [
        ({}, {}, ValueError, 'empty'),
        (dict(ir=flat(0), vis=flat(0, (8, 8))), {}, ValueError, 'ir 100x160, vis 8x8'),
        (dict(ir=flat(0, channels=4)), {}, ValueError, r'ir must be .*\(100, 160, 4\)'),
        (dict(ir=np.zeros((4, 4), np.uint16)), {}, TypeError, 'uint16'),
        (dict(ir=flat(0)), dict(columns=0), ValueError, 'columns'),
        (dict(ir=flat(0)), dict(tile_width=0), ValueError, 'tile_width'),
    ],
)
def test_bad_arguments(images, options, error, message):
    with pytest.raises(error, match=message):
        fusion_panel(images, **options)

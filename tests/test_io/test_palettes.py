from __future__ import annotations

import cv2
import numpy as np
import pytest
from thermal_files import stretched

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.io.palettes import (
    UnknownPaletteError,
    has_colour,
    invert_palette,
    match_palette,
    palette_names,
    palette_table,
    read_palette_strip,
)


@pytest.fixture
def heat(scene):
    return stretched(scene.ir)


@pytest.mark.parametrize(
    'name', ['inferno', 'magma', 'plasma', 'viridis', 'turbo', 'jet', 'hot', 'rainbow', 'parula']
)
def test_palettes_are_inverted_exactly(heat, name):
    image = palette_table(name)[heat]
    match = match_palette(image)
    assert match.name == name
    found = invert_palette(image, palette_table(name))
    assert found.shape == (*heat.shape, 1)
    # neighbours in a table may have the same colour
    assert np.abs(found[..., 0].astype(int) - heat).max() <= 1


@pytest.mark.parametrize('name', ['inferno', 'plasma', 'turbo', 'jet', 'hot'])
def test_palettes_are_found_in_jpeg(name):
    heat = stretched(synthetic_scene(size=(240, 320)).ir)
    coded = cv2.imencode('.jpg', palette_table(name)[heat][..., ::-1])[1]
    image = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]
    assert match_palette(image).name == name
    error = np.abs(invert_palette(image, palette_table(name))[..., 0].astype(int) - heat)
    assert error.mean() < 5


def test_natural_colours_are_no_palette(scene):
    assert has_colour(scene.vis)
    assert match_palette(scene.vis) is None


def test_grey_has_no_colour(heat):
    assert not has_colour(np.dstack([heat] * 3))


@pytest.mark.parametrize('name', ['hsv', 'twilight_shifted', 'autumn'])
def test_colours_that_mean_two_heats_are_refused(heat, name):
    with pytest.raises(UnknownPaletteError, match=r'more than one heat|differ in heat'):
        match_palette(palette_table(name)[heat])


def test_a_strip_of_the_cameras_scale(tmp_path, heat):
    table = palette_table('gnuplot')
    cv2.imwrite(str(tmp_path / 'scale.png'), np.repeat(table[None, :, ::-1], 9, axis=0))
    upright = np.rot90(np.repeat(table[None, :, ::-1], 9, axis=0))  # hot at the top
    cv2.imwrite(str(tmp_path / 'upright.png'), upright)
    for name in ('scale.png', 'upright.png'):
        np.testing.assert_array_equal(read_palette_strip(tmp_path / name), table)
    with pytest.raises(ValueError, match=r'none\.png: cannot be read'):
        read_palette_strip(tmp_path / 'none.png')
    cv2.imwrite(str(tmp_path / 'grey.png'), heat)
    with pytest.raises(ValueError, match='no coloured strip'):
        read_palette_strip(tmp_path / 'grey.png')


def test_unknown_names_are_refused():
    assert 'inferno' in palette_names()
    with pytest.raises(ValueError, match="found 'mauve'"):
        palette_table('mauve')

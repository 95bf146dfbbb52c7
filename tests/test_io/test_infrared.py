from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from thermal_files import KINDS, TOLERANCE, dji_jpeg, stretched

from mmsgdfuse.io import FalseColourError, InfraredReader, VisibleReader, explain_swap
from mmsgdfuse.io.errors import ImageFileError
from mmsgdfuse.io.palettes import palette_table


@pytest.fixture
def heat(scene):
    return stretched(scene.ir)


@pytest.mark.parametrize('kind', KINDS)
def test_what_cameras_write_becomes_the_same_picture(tmp_path, heat, kind):
    image = InfraredReader().read(KINDS[kind](tmp_path, heat))
    assert image.pixels.shape == (*heat.shape, 1)
    assert image.pixels.dtype in (np.uint8, np.float32)
    error = np.abs(image.pixels[..., 0].astype(float) - heat)
    # 10..35.5 degrees have 2,000 counts and are no line
    assert error.mean() < TOLERANCE.get(kind, 0.6)


def test_units_and_palettes_are_told(tmp_path, heat):
    found = {kind: InfraredReader().read(write(tmp_path / str(i), heat)) for i, (kind, write) in
             enumerate(KINDS.items())}  # fmt: skip
    assert found['float kelvin'].mapping.unit == 'kelvin'
    assert found['float degrees'].mapping.unit == found['FLIR JPEG'].mapping.unit == 'celsius'
    assert found['narrow counts'].mapping.unit == 'counts'
    assert found['jet'].mapping.palette == 'jet'
    assert 'inside of the JPEG' in found['FLIR JPEG'].notices[0]
    assert found['FLIR JPEG'].mapping.low == pytest.approx(10, abs=0.1)
    assert found['FLIR JPEG'].mapping.high == pytest.approx(35.5, abs=0.1)
    assert "'inferno' were turned into grey" in found['inferno'].notices[0]


def test_8_bits_stay_as_they_are(tmp_path, scene):
    cv2.imwrite(str(tmp_path / 'a.png'), scene.ir)
    for reader in (
        InfraredReader(),
        InfraredReader(range=(10, 20)),
        InfraredReader(scope='folder'),
    ):
        image = reader.read(tmp_path / 'a.png')
        assert image.pixels.dtype == np.uint8
        np.testing.assert_array_equal(image.pixels[..., 0], scene.ir)
    assert 'was not used' in InfraredReader(range=(1, 2)).read(tmp_path / 'a.png').notices[0]


def test_a_given_range_reproduces_the_automatic_one(tmp_path, heat):
    for index, kind in enumerate(['kelvin x 100', 'FLIR JPEG', 'float degrees']):
        path = KINDS[kind](tmp_path / str(index), heat)
        first = InfraredReader().read(path)
        low, high = first.mapping.low, first.mapping.high
        second = InfraredReader(range=(low, high)).read(path)
        np.testing.assert_allclose(second.pixels, first.pixels, atol=1e-3)
        assert second.mapping.how == 'given'
        assert second.mapping.unit == first.mapping.unit


def test_frames_of_a_folder_share_one_range(tmp_path, heat):
    cold = heat // 3
    for name, levels in {'a': cold, 'b': heat}.items():
        KINDS['kelvin x 100'](tmp_path, levels, name)
    (tmp_path / 'damaged.tiff').write_bytes(b'II*\0')
    alone = InfraredReader().read(tmp_path / 'a.tiff').pixels
    assert alone.max() > 240
    reader = InfraredReader(scope='folder')
    shared = {name: reader.read(tmp_path / f'{name}.tiff') for name in 'ab'}
    assert shared['a'].mapping == shared['b'].mapping
    assert np.abs(shared['a'].pixels[..., 0] - cold).mean() < 1
    assert np.abs(shared['b'].pixels[..., 0] - heat).mean() < 1
    fitted = InfraredReader(scope='folder')
    fitted.fit([tmp_path / 'a.tiff'])
    np.testing.assert_allclose(fitted.read(tmp_path / 'a.tiff').pixels, alone)


def test_polarity(tmp_path, heat):
    cv2.imwrite(str(tmp_path / 'white.png'), heat)
    cv2.imwrite(str(tmp_path / 'black.png'), 255 - heat)
    plain = InfraredReader().read(tmp_path / 'black.png')
    assert 'looks black-hot' in plain.notices[0]
    np.testing.assert_array_equal(plain.pixels[..., 0], 255 - heat)
    for polarity in ('black-hot', 'auto'):
        image = InfraredReader(polarity=polarity).read(tmp_path / 'black.png')
        np.testing.assert_array_equal(image.pixels[..., 0], heat)
        assert image.mapping.polarity == 'black-hot'
    white = InfraredReader(polarity='auto').read(tmp_path / 'white.png')
    assert not white.notices
    np.testing.assert_array_equal(white.pixels[..., 0], heat)


def test_raw_planes(tmp_path, heat):
    counts = (28000 + 12 * heat.astype(int)).astype('>u2')
    (tmp_path / 'a.raw').write_bytes(bytes(16) + counts.tobytes())
    image = InfraredReader(raw='128x96,uint16be,16').read(tmp_path / 'a.raw')
    assert np.abs(image.pixels[..., 0] - heat).mean() < 0.6
    with pytest.raises(ImageFileError, match=r'a\.raw: .*correct the layout'):
        InfraredReader(raw='128x96,uint16be').read(tmp_path / 'a.raw')


def test_unknown_colours_are_refused_with_remedies(tmp_path, scene, heat):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), scene.vis[..., ::-1])
    with pytest.raises(
        FalseColourError, match=r"a\.png: .*no known palette.*white-hot.*'luma'"
    ) as caught:
        InfraredReader().read(path)
    grey = np.dstack([heat] * 3)
    swapped = explain_swap(caught.value, grey, 'vis.png')
    assert 'are the two swapped?' in str(swapped)
    assert str(path) in str(swapped)
    assert explain_swap(caught.value, scene.vis, 'vis.png') is caught.value
    luma = InfraredReader(palette='luma').read(path).pixels
    np.testing.assert_array_equal(luma[..., 0], cv2.cvtColor(scene.vis, cv2.COLOR_RGB2GRAY))


def test_a_palette_may_be_named_or_shown(tmp_path, heat):
    cv2.imwrite(str(tmp_path / 'hsv.png'), cv2.applyColorMap(heat, cv2.COLORMAP_AUTUMN))
    named = InfraredReader(palette='autumn').read(tmp_path / 'hsv.png')
    np.testing.assert_array_equal(named.pixels[..., 0], heat)
    # a palette that nobody knows: shown by the camera's own scale
    at = np.linspace(0, 1, 256)
    table = np.stack([255 * at**0.4, 180 * at**2, 120 * np.sin(np.pi * at)], axis=1)
    table = np.rint(table).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'own.png'), table[heat][..., ::-1])
    cv2.imwrite(str(tmp_path / 'scale.png'), np.repeat(table[None, :, ::-1], 8, axis=0))
    with pytest.raises(FalseColourError):
        InfraredReader().read(tmp_path / 'own.png')
    shown = InfraredReader(palette=tmp_path / 'scale.png').read(tmp_path / 'own.png')
    assert np.abs(shown.pixels[..., 0].astype(int) - heat).max() <= 1


def test_a_small_overlay_is_said(tmp_path, heat):
    image = np.dstack([heat] * 3)
    image[2:6, 2:12] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    assert 'overlay' in InfraredReader().read(tmp_path / 'a.png').notices[0]


def test_dji_and_floats_within_0_and_1_are_refused(tmp_path, heat):
    (tmp_path / 'dji.jpg').write_bytes(dji_jpeg(heat))
    with pytest.raises(ImageFileError, match=r'dji\.jpg: .*Thermal SDK'):
        InfraredReader().read(tmp_path / 'dji.jpg')
    cv2.imwrite(str(tmp_path / 'a.tiff'), (heat / 255).astype(np.float32))
    with pytest.raises(ImageFileError, match=r'a\.tiff: .*state its range'):
        InfraredReader().read(tmp_path / 'a.tiff')
    stated = InfraredReader(range=(0, 1)).read(tmp_path / 'a.tiff').pixels
    np.testing.assert_allclose(stated[..., 0], heat, atol=1e-3)


def test_visible_pictures_of_12_bits(tmp_path, scene):
    scene.vis[0, 0] = 255
    cv2.imwrite(str(tmp_path / 'a.png'), scene.vis[..., ::-1].astype(np.uint16) * 16)
    image = VisibleReader().read(tmp_path / 'a.png')
    assert np.abs(image.pixels - scene.vis).max() < 1
    assert 'uses 12 of its 16 bits' in image.notices[0]
    deep = VisibleReader(bits=16).read(tmp_path / 'a.png')
    assert deep.pixels.max() < 16
    assert not deep.notices


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(scaling='log'), 'scaling'),
        (dict(range=(5, 5)), 'LOW < HIGH'),
        (dict(scope='run'), 'scope must be one of'),
        (dict(polarity='hot'), 'polarity must be one of'),
        (dict(palette='mauve'), 'palette must be one of'),
        (dict(raw='5x5'), '640x512,uint16le'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        InfraredReader(**options)


def test_tables_are_what_opencv_draws(heat):
    drawn = cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO)[..., ::-1]
    np.testing.assert_array_equal(palette_table('inferno')[heat], drawn)


def test_the_room_needs_no_torch():
    code = 'import sys, mmsgdfuse.io.infrared; sys.exit("matplotlib" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0

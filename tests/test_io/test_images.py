from __future__ import annotations

import io
import os
import stat

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from mmsgdfuse.io.images import (
    IMAGE_SUFFIXES,
    ImageFileError,
    list_images,
    load_image,
    probe_image,
    read_image,
    read_infrared,
    read_labels,
    read_visible,
    write_image,
)

LOSSLESS = ('.bmp', '.png', '.tif', '.tiff')
DEEP = ('.png', '.tif', '.tiff')


def encode(path, image, **options):
    """Written by Pillow, an encoder other than the one under test."""
    Image.fromarray(image).save(path, **options)
    return path


@pytest.mark.parametrize('suffix', IMAGE_SUFFIXES)
@pytest.mark.parametrize('size', [(33, 47), (96, 128)])
def test_reads_every_format_as_rgb(tmp_path, scene, suffix, size):
    vis = scene.vis[: size[0], : size[1]]
    options = {'lossless': True} if suffix == '.webp' else {}
    image = read_image(encode(tmp_path / f'a{suffix}', vis, **options))
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8
    if suffix in (*LOSSLESS, '.webp'):
        np.testing.assert_array_equal(image, vis)
    else:  # compressed with loss, but the channels are where they belong
        assert np.abs(image.astype(int) - vis).mean(axis=(0, 1)).max() < 12


@pytest.mark.parametrize('suffix', IMAGE_SUFFIXES)
def test_suffix_may_be_upper_case_and_lie(tmp_path, scene, suffix):
    path = encode(tmp_path / 'a.png', scene.ir)
    renamed = path.rename(tmp_path / f'b{suffix.upper()}')
    np.testing.assert_array_equal(read_image(renamed)[..., 0], scene.ir)
    assert list_images(tmp_path) == [renamed]


@pytest.mark.parametrize('suffix', DEEP)
def test_16_bit_keeps_its_samples(tmp_path, suffix):
    deep = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21
    path = encode(tmp_path / f'a{suffix}', deep)
    image = read_image(path)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image[..., 0], deep)


def test_16_bit_colour(tmp_path, scene):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), scene.vis[..., ::-1].astype(np.uint16) * 257)
    visible = read_visible(path)
    assert visible.dtype == np.float32
    np.testing.assert_allclose(visible, scene.vis, atol=1e-4)


def test_full_scaling_agrees_with_8_bit(tmp_path, scene):
    shallow = read_infrared(encode(tmp_path / 'a.png', scene.ir))
    deep = read_infrared(encode(tmp_path / 'b.png', scene.ir.astype(np.uint16) * 257))
    assert (shallow.dtype, deep.dtype) == (np.uint8, np.float32)
    np.testing.assert_allclose(deep, shallow, atol=1e-4)


def test_minmax_scaling(tmp_path):
    counts = np.array([[7000, 7100], [7050, 7200]], np.uint16)
    image = read_infrared(encode(tmp_path / 'a.png', counts), scaling='minmax')
    np.testing.assert_allclose(image[..., 0], [[0, 127.5], [63.75, 255]], rtol=1e-5)


def test_percentile_scaling_ignores_hot_pixels(tmp_path):
    counts = np.tile(np.arange(7000, 7101, dtype=np.uint16), (101, 1))
    counts[0, 0] = 60000
    image = read_infrared(
        encode(tmp_path / 'a.png', counts), scaling='percentile', percentiles=(10, 90)
    )[..., 0]
    assert image[0, 0] == 255
    np.testing.assert_allclose(image[1, [0, 10, 50, 90, 100]], [0, 0, 127.5, 255, 255], atol=0.01)


def test_constant_16_bit_image_is_black_not_nan(tmp_path):
    path = encode(tmp_path / 'a.png', np.full((4, 4), 9000, np.uint16))
    np.testing.assert_array_equal(read_infrared(path, scaling='minmax'), 0)


@pytest.mark.parametrize(
    'arguments',
    [dict(scaling='log'), dict(percentiles=(99, 1)), dict(percentiles=(-1, 50))],
)
def test_infrared_refuses_bad_arguments(tmp_path, scene, arguments):
    path = encode(tmp_path / 'a.png', scene.ir)
    with pytest.raises(ValueError, match=next(iter(arguments))):
        read_infrared(path, **arguments)


def test_grey_and_colour_are_interchangeable(tmp_path, scene):
    grey = encode(tmp_path / 'grey.png', scene.ir)
    colour = encode(tmp_path / 'colour.png', np.repeat(scene.ir[..., None], 3, axis=2))
    for path in (grey, colour):
        np.testing.assert_array_equal(read_infrared(path), scene.ir[..., None])
        np.testing.assert_array_equal(read_visible(path), read_visible(grey))
    assert read_visible(grey).shape == (*scene.ir.shape, 3)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif', '.webp'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_orientation_is_applied_once_in_every_format(tmp_path, scene, suffix, orientation):
    """A picture stored turned is read as Pillow's own transposition shows it."""
    stored = scene.vis[:33, :47]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {'.webp': {'lossless': True}, '.jpg': {'quality': 98}}.get(suffix, {})
    path = encode(tmp_path / f'a{suffix}', stored, exif=exif, **options)
    plain = Image.fromarray(stored)
    plain.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(plain))
    loaded = load_image(path)
    assert loaded.orientation_applied == bool(loaded.notes) == (orientation != 1)
    assert probe_image(path) == loaded.pixels.shape[:2] == expected.shape[:2]
    difference = np.abs(loaded.pixels.astype(int) - expected).mean()
    assert difference < (6 if suffix == '.jpg' else 1e-9)
    assert read_visible(path).shape[:2] == expected.shape[:2]
    grey = encode(tmp_path / f'grey{suffix}', scene.ir[:33, :47], exif=exif, **options)
    assert read_infrared(grey).shape[:2] == expected.shape[:2]


@pytest.mark.parametrize('read', [read_image, read_infrared, read_visible, probe_image])
@pytest.mark.parametrize('suffix', ['.png', '.tif', '.webp'])
def test_alpha_is_refused(tmp_path, scene, read, suffix):
    rgba = np.dstack([scene.vis, np.full(scene.ir.shape, 200, np.uint8)])
    path = encode(tmp_path / f'a{suffix}', rgba)
    with pytest.raises(ImageFileError, match=rf'a\{suffix}: has an alpha channel.*flatten'):
        read(path)


def test_palette_with_transparency_is_refused(tmp_path, scene):
    path = tmp_path / 'a.png'
    Image.fromarray(np.maximum(scene.ir, 1)).convert('P').save(path, transparency=0)
    assert read_image(path).shape[:2] == probe_image(path) == scene.ir.shape
    holed = scene.ir.copy()
    holed[5, 7] = 0
    Image.fromarray(holed).convert('P').save(path, transparency=0)
    for read in (read_image, probe_image):
        with pytest.raises(ImageFileError, match='alpha'):
            read(path)


def test_float_samples_are_refused(tmp_path):
    path = encode(tmp_path / 'a.tif', np.zeros((8, 8), np.float32))
    with pytest.raises(ImageFileError, match=r'a\.tif: has float32 samples; save it with 8 or 16'):
        read_image(path)


def broken_files(suffix, image):
    """An image's bytes, cut at thirty places."""
    buffer = io.BytesIO()
    kind = {
        '.pgm': 'PPM',
        '.pnm': 'PPM',
        '.jpg': 'JPEG',
        '.jpeg': 'JPEG',
        '.tif': 'TIFF',
        '.tiff': 'TIFF',
    }
    Image.fromarray(image).save(buffer, kind.get(suffix, suffix[1:].upper()))
    content = buffer.getvalue()
    cuts = {*np.linspace(1, len(content) - 1, 27).astype(int), len(content) - 2, 2, 30}
    return [content[:cut] for cut in sorted(cuts)]


@pytest.mark.filterwarnings('ignore::UserWarning:PIL')
@pytest.mark.parametrize('suffix', IMAGE_SUFFIXES)
def test_truncated_files_are_refused_wherever_they_break_off(tmp_path, scene, suffix):
    path = tmp_path / f'a{suffix}'
    for content in broken_files(suffix, scene.vis):
        path.write_bytes(content)
        for read in (read_image, probe_image):
            with pytest.raises(ImageFileError, match=rf'a\{suffix}: .*again'):
                read(path)


def test_truncated_jpeg_with_a_thumbnail_is_refused(tmp_path, scene):
    """The thumbnail's end mark is not the image's."""
    thumbnail, whole = io.BytesIO(), io.BytesIO()
    Image.fromarray(scene.vis[::4, ::4]).save(thumbnail, 'JPEG')
    comment = thumbnail.getvalue()
    Image.fromarray(scene.vis).save(whole, 'JPEG', comment=comment)
    path = tmp_path / 'a.jpg'
    path.write_bytes(whole.getvalue())
    assert probe_image(path) == scene.ir.shape
    path.write_bytes(whole.getvalue()[:-200])
    for read in (read_image, probe_image):
        with pytest.raises(ImageFileError, match='truncated'):
            read(path)


def test_bytes_after_the_end_do_no_harm(tmp_path, scene):
    for suffix in ('.jpg', '.png', '.bmp'):
        path = encode(tmp_path / f'a{suffix}', scene.vis)
        path.write_bytes(path.read_bytes() + b'\0' * 100)
        assert probe_image(path) == read_image(path).shape[:2] == scene.ir.shape


def test_damage_inside_a_png_is_found_by_its_checksum(tmp_path, scene):
    path = encode(tmp_path / 'a.png', scene.vis)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    for read in (read_image, probe_image):
        with pytest.raises(ImageFileError, match=r'a\.png: damaged.*checksum'):
            read(path)


@pytest.mark.parametrize('read', [read_image, probe_image])
def test_other_bad_files(tmp_path, read):
    with pytest.raises(ImageFileError, match=r'a\.png: no such file'):
        read(tmp_path / 'a.png')
    with pytest.raises(ImageFileError, match='is a folder'):
        read(tmp_path)
    path = tmp_path / 'a.png'
    path.touch()
    with pytest.raises(ImageFileError, match=r'a\.png: is empty'):
        read(path)
    path.write_text('<html>404</html>')
    with pytest.raises(ImageFileError, match=r'a\.png: is not an image'):
        read(path)


def test_labels_are_8_bit_grey(tmp_path, scene):
    labels = read_labels(encode(tmp_path / 'a.png', scene.labels))
    np.testing.assert_array_equal(labels, scene.labels[..., None])
    for bad in (scene.vis, scene.labels.astype(np.uint16)):
        with pytest.raises(ImageFileError, match='save ids, not their colours'):
            read_labels(encode(tmp_path / 'b.png', bad))


@pytest.mark.parametrize('suffix', IMAGE_SUFFIXES)
def test_written_image_is_what_another_reader_sees(tmp_path, scene, suffix):
    path = tmp_path / 'new' / f'a{suffix}'
    if suffix == '.pgm':  # holds no colour
        with pytest.raises(ValueError, match=r'a\.pgm: the format cannot hold'):
            write_image(path, scene.vis)
        return
    write_image(path, scene.vis)
    seen = np.asarray(Image.open(path).convert('RGB')).astype(int)
    assert np.abs(seen - scene.vis).mean(axis=(0, 1)).max() < (1e-9 if suffix in LOSSLESS else 12)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize('shape', [(33, 47), (33, 47, 1)])
def test_write_grey(tmp_path, scene, shape):
    image = scene.ir[:33, :47].reshape(shape)
    write_image(tmp_path / 'a.png', image)
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), image.reshape(33, 47, 1))


def test_write_refuses_what_is_no_image(tmp_path):
    for bad in (np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(TypeError, match='must be uint8'):
            write_image(tmp_path / 'a.png', bad)
    with pytest.raises(ValueError, match='suffix'):
        write_image(tmp_path / 'a.gif', np.zeros((4, 4), np.uint8))
    assert not os.listdir(tmp_path)


def test_written_files_have_ordinary_permissions(tmp_path, scene):
    write_image(tmp_path / 'a.png', scene.vis)
    (tmp_path / 'b.txt').touch()
    assert stat.S_IMODE((tmp_path / 'a.png').stat().st_mode) == stat.S_IMODE(
        (tmp_path / 'b.txt').stat().st_mode
    )


def test_list_images(tmp_path, scene):
    for name in ('b.PNG', 'a.jpg', '.hidden.png', 'note.txt', 'sub/c.tif'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ['a.jpg', 'b.PNG']
    assert [path.name for path in list_images(tmp_path, recursive=True)] == [
        'a.jpg', 'b.PNG', 'c.tif'
    ]  # fmt: skip
    with pytest.raises(FileNotFoundError, match='no such folder'):
        list_images(tmp_path / 'none')
    with pytest.raises(NotADirectoryError, match='is a file'):
        list_images(tmp_path / 'a.jpg')

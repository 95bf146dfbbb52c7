"""What cameras and hostile files have that data sets do not."""

from __future__ import annotations

import errno
import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from mmsgdfuse.io.files import atomic_path, remove_leftovers, write_text
from mmsgdfuse.io.images import (
    ImageFileError,
    load_image,
    probe_image,
    read_image,
    read_raw,
    split_rgbt,
    write_image,
)
from mmsgdfuse.utils.errors import MMSGDFuseError


def saved(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def png_with_size(content: bytes, width: int, height: int) -> bytes:
    head = b'IHDR' + struct.pack('>II', width, height) + content[24:29]
    return content[:12] + head + struct.pack('>I', zlib.crc32(head)) + content[33:]


def test_the_room_needs_neither_torch_nor_mmengine():
    program = (
        'import sys, types, importlib.util\n'
        'root = importlib.util.find_spec("mmsgdfuse").submodule_search_locations\n'
        'package = types.ModuleType("mmsgdfuse"); package.__path__ = list(root)\n'
        'sys.modules["mmsgdfuse"] = package\n'
        'import mmsgdfuse.io.images, mmsgdfuse.io.files\n'
        'print({"torch", "mmengine", "mmcv"} & set(sys.modules))'
    )
    result = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=120, check=True
    )
    assert result.stdout.strip() == 'set()'


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tif', '.webp', '.jpg', '.pgm'])
def test_the_limit_of_pixels(tmp_path, scene, suffix, monkeypatch):
    path = saved(tmp_path / f'a{suffix}', scene.ir)
    pixels = scene.ir.size
    for read in (read_image, probe_image, read_raw):
        assert read(path, max_pixels=pixels) is not None
        with pytest.raises(ImageFileError, match=rf'a\{suffix}: declares.*MMSGDFUSE_MAX_PIXELS'):
            read(path, max_pixels=pixels - 1)
    monkeypatch.setenv('MMSGDFUSE_MAX_PIXELS', str(pixels - 1))
    with pytest.raises(ImageFileError, match=f'the limit is {pixels - 1}'):
        read_image(path)
    monkeypatch.setenv('MMSGDFUSE_MAX_PIXELS', 'many')
    with pytest.raises(
        ValueError, match="MMSGDFUSE_MAX_PIXELS must be a positive integer, found 'many'"
    ):
        read_image(path)


def test_headers_that_declare_huge_images(tmp_path, scene, monkeypatch):
    path = saved(tmp_path / 'a.png', scene.ir)
    content = path.read_bytes()
    for width, height, message in (
        (60_000, 60_000, 'the limit is 512000000|more pixels than'),
        (20_000, 10_000, 'more pixels than so few bytes can hold'),
    ):
        path.write_bytes(png_with_size(content, width, height))
        for read in (read_image, probe_image):
            with pytest.raises(ImageFileError, match=message):
                read(path)
    path.write_bytes(content)
    monkeypatch.setenv('OPENCV_IO_MAX_IMAGE_PIXELS', '100')
    with pytest.raises(ImageFileError, match=r'a\.png: .*OPENCV_IO_MAX_IMAGE_PIXELS'):
        read_image(path)


@pytest.mark.filterwarnings('error')
def test_an_image_above_pillows_limit_is_read(tmp_path):
    # 200 megapixels in one bit each
    path = tmp_path / 'a.pnm'
    path.write_bytes(b'P4 20000 10000\n' + bytes(2500 * 10000))
    assert probe_image(path) == (10000, 20000)
    path = tmp_path / 'a.png'
    Image.new('1', (14000, 14000)).save(path)
    assert probe_image(path) == (14000, 14000)


@pytest.mark.parametrize('options', [{}, {'restart_marker_rows': 1}, {'progressive': True}])
def test_a_hole_in_a_jpeg_is_noticed(tmp_path, scene, options):
    path = saved(tmp_path / 'a.jpg', scene.vis, quality=95, **options)
    content = path.read_bytes()
    assert read_image(path).shape == scene.vis.shape
    # of a progressive file, the last scan; a hole in the first ones may pass for a flat image
    begin = content.find(b'\xff\xda') + 20 if 'progressive' not in options else 5950
    for start in np.linspace(begin, len(content) - 600, 8).astype(int):
        path.write_bytes(content[:start] + bytes(512) + content[start + 512 :])
        with pytest.raises(ImageFileError, match=r'a\.jpg: damaged'):
            read_image(path)


@pytest.mark.parametrize('lossless', [True, False])
def test_a_hole_and_a_zero_tail_in_a_webp_are_noticed(tmp_path, scene, lossless):
    path = saved(tmp_path / 'a.webp', scene.vis, lossless=lossless, quality=95)
    content = path.read_bytes()
    middle = len(content) // 2
    for bad in (
        content[:middle] + bytes(256) + content[middle + 256 :],
        content[:middle] + bytes(len(content) - middle),
    ):
        path.write_bytes(bad)
        with pytest.raises(ImageFileError, match=r'a\.webp: damaged'):
            read_image(path)


@pytest.mark.parametrize('form', ['JPEG', 'WEBP'])
@pytest.mark.parametrize('level', [0, 1, 127, 128, 255])
def test_flat_images_are_not_taken_for_damaged(tmp_path, form, level):
    path = tmp_path / 'a'
    flat = np.full((1024, 1024, 3), level, np.uint8)
    variants = (
        [{}, {'optimize': True}, {'progressive': True}, {'restart_marker_rows': 1}]
        if form == 'JPEG'
        else [{}, {'lossless': True}]
    )
    for options in variants:
        Image.fromarray(flat).save(path, form, **options)
        assert np.abs(read_image(path).astype(int) - level).max() <= 1


def test_bytes_that_a_camera_appends_are_left_alone(tmp_path, scene):
    path = saved(tmp_path / 'a.jpg', scene.vis)
    content = path.read_bytes()
    expected = read_image(path)
    rng = np.random.default_rng(0)
    for tail in (rng.bytes(5000), b'\xff\xda\xff\xd9', content, b'\xff\xda' + rng.bytes(99)):
        path.write_bytes(content + tail)
        np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.webp'])
@pytest.mark.parametrize('grey', [True, False])
def test_opaque_alpha_is_dropped(tmp_path, scene, suffix, grey):
    colour = [scene.ir] if grey else list(np.moveaxis(scene.vis, 2, 0))
    if grey and suffix == '.webp':
        pytest.skip('WebP has no grey')
    image = np.dstack([*colour, np.full_like(scene.ir, 255)])
    options = {'lossless': True} if suffix == '.webp' else {}
    path = saved(tmp_path / f'a{suffix}', image, **options)
    if suffix != '.webp':  # whose encoder itself leaves such a channel out
        assert 'opaque' in load_image(path).notes[0]
    np.testing.assert_array_equal(read_image(path), np.dstack(colour))
    assert probe_image(path) == scene.ir.shape
    image[3, 4, -1] = 254
    saved(path, image, **options)
    for read in (read_image, probe_image):
        with pytest.raises(ImageFileError, match='alpha channel'):
            read(path)


def test_four_channels_are_split(tmp_path, scene):
    path = saved(tmp_path / 'a.png', np.dstack([scene.vis, scene.ir]))
    with pytest.raises(ImageFileError, match='split_rgbt'):
        read_image(path)
    visible, infrared = split_rgbt(path)
    np.testing.assert_array_equal(visible, scene.vis)
    np.testing.assert_array_equal(infrared[..., 0], scene.ir)
    with pytest.raises(ImageFileError, match='no fourth channel'):
        split_rgbt(saved(tmp_path / 'b.png', scene.vis))


def test_the_largest_page_is_read(tmp_path, scene):
    path = tmp_path / 'a.tif'
    pages = [scene.ir[::4, ::4], scene.ir, 255 - scene.ir]
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, metadata=None)
    image = load_image(path)
    assert (image.page, image.pages) == (1, 3)
    assert 'page 1' in image.notes[0]
    assert probe_image(path) == scene.ir.shape
    for number, page in enumerate(pages):
        np.testing.assert_array_equal(read_image(path, page=number)[..., 0], page)
    with pytest.raises(ImageFileError, match='has no page 3; its 3 pages'):
        read_image(path, page=3)
    with pytest.raises(ImageFileError, match='has one page'):
        read_image(saved(tmp_path / 'a.png', scene.ir), page=1)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'float32'])
@pytest.mark.parametrize('byteorder', ['<', '>'])
@pytest.mark.parametrize('options', [{}, {'compression': 'zlib'}, {'tile': (32, 32)}])
def test_samples_of_tiff_are_read_as_they_are(tmp_path, scene, dtype, byteorder, options):
    path = tmp_path / 'a.tif'
    image = (scene.ir * 1.0).astype(dtype) - (100 if dtype[0] in 'if' else 0)
    tifffile.imwrite(path, image, byteorder=byteorder, metadata=None, **options)
    raw = read_raw(path)
    assert raw.pixels.dtype == dtype
    np.testing.assert_array_equal(raw.pixels[..., 0], image)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_both_photometric_tags_give_the_same_picture(tmp_path, scene, dtype):
    image = scene.ir.astype(dtype) * (1 if dtype is np.uint8 else 257)
    for photometric, stored in (('minisblack', image), ('miniswhite', ~image)):
        path = tmp_path / f'{photometric}.tif'
        tifffile.imwrite(path, stored, photometric=photometric)
        np.testing.assert_array_equal(read_image(path)[..., 0], image)


@pytest.mark.parametrize('maximum', [100, 255, 4095, 65535])
@pytest.mark.parametrize('kind', ['P2', 'P5'])
def test_portable_grey_maps(tmp_path, maximum, kind):
    values = np.linspace(0, maximum, 20).astype(int).reshape(4, 5)
    samples = values.astype('u1' if maximum < 256 else '>u2').tobytes()
    text = ' '.join(map(str, values.ravel())).encode()
    path = tmp_path / 'a.pgm'
    path.write_bytes(
        f'{kind}\n# a comment\n5 4\n{maximum}\n'.encode() + (text if kind == 'P2' else samples)
    )
    raw = read_raw(path)
    assert raw.maximum == maximum
    np.testing.assert_array_equal(raw.pixels[..., 0], values)
    full = 255 if maximum < 256 else 65535
    np.testing.assert_array_equal(
        read_image(path)[..., 0], np.rint(values.astype(np.float32) * np.float32(full / maximum))
    )


def test_unusual_paths(tmp_path, scene):
    assert issubclass(ImageFileError, OSError)
    assert issubclass(ImageFileError, MMSGDFuseError)
    os.mkfifo(tmp_path / 'pipe.png')
    with pytest.raises(ImageFileError, match='no regular file'):
        read_image(tmp_path / 'pipe.png')


@pytest.mark.parametrize('name', [251 * 'a' + '.png', 80 * '\u6e29' + '.png', '.' + 254 * 'b'])
def test_the_longest_names_can_be_written(tmp_path, scene, name):
    path = tmp_path / name
    write_text(path, 'text')
    assert os.listdir(tmp_path) == [name]
    with pytest.raises(StopIteration), atomic_path(path) as leftover:
        raise StopIteration
    assert len(os.fsencode(leftover.name)) <= 255
    leftover.touch()
    assert remove_leftovers(tmp_path, min_age=-10) == 1
    assert os.listdir(tmp_path) == [name]


def test_a_full_disk_names_the_path_and_how_to_go_on(tmp_path):
    path = tmp_path / 'a.png'
    with pytest.raises(OSError, match='make room and start again') as caught, atomic_path(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)


def test_what_a_format_cannot_hold_is_said(tmp_path):
    with pytest.raises(ValueError, match=r'a\.webp: the format cannot hold'):
        write_image(tmp_path / 'a.webp', np.zeros((1, 16384), np.uint8))
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_cut_while_it_is_read_is_an_error_at_most(tmp_path, scene):
    """A memory map would end the process."""
    buffer = io.BytesIO()
    Image.fromarray(scene.vis).save(buffer, 'PNG')
    path = tmp_path / 'a.png'
    program = (
        'import os, sys\n'
        'from mmsgdfuse.io import images\n'
        'parse = images.parse_header\n'
        'def cut(content, *rest):\n'
        '    os.truncate(sys.argv[1], 0)\n'
        '    return parse(content, *rest)\n'
        'images.parse_header = cut\n'
        'print(images.read_image(sys.argv[1]).shape)'
    )
    path.write_bytes(buffer.getvalue())
    result = subprocess.run(
        [sys.executable, '-c', program, str(path)], capture_output=True, text=True, timeout=200
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(scene.vis.shape)

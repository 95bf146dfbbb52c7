"""Infrared beside the images of other packages' data sets."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose, LoadImageFromFile, RandomFlip, RandomResize, Resize

from mmsgdfuse.datasets.transforms import (
    DropMask,
    GenerateMasks,
    LoadInfrared,
    LoadPair,
    StackPair,
)
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.image_io import ImageFileError, write_image


@pytest.fixture
def pair(tmp_path, scene):
    write_image(tmp_path / 'train' / 'ir' / '7.png', scene.ir)
    write_image(tmp_path / 'train' / 'vi' / '7.png', scene.vis)
    return tmp_path / 'train'


def load(pair, *transforms) -> dict:
    return Compose([LoadImageFromFile(), *transforms])(dict(img_path=str(pair / 'vi' / '7.png')))


def test_channels_are_bgr_and_infrared(pair, scene):
    results = load(pair, LoadInfrared(), StackPair())
    assert results['img'].dtype == np.uint8
    np.testing.assert_array_equal(results['img'][..., 2::-1], scene.vis)
    np.testing.assert_array_equal(results['img'][..., 3], scene.ir)
    assert not {'ir', 'vis'} & results.keys()
    assert results['ir_path'] == str(pair / 'ir' / '7.png')


def test_masks_are_those_of_a_pair_of_our_own_data_set(pair):
    """To the byte, so that a cache of either serves both."""
    paths = dict(ir_path=str(pair / 'ir' / '7.png'), vis_path=str(pair / 'vi' / '7.png'))
    own = Compose([LoadPair(), GenerateMasks()])(paths)
    stacked = load(pair, LoadInfrared(), GenerateMasks(), StackPair())['img']
    assert stacked.dtype == np.uint8
    for channel, key in ((4, 'mask_ir'), (5, 'mask_vis')):
        levels = stacked[..., channel].astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(levels, own[key][..., 0])
        assert levels.max() > 0


def test_geometry_moves_all_channels_together(pair, scene):
    results = load(
        pair,
        LoadInfrared(),
        GenerateMasks(),
        StackPair(),
        Resize(scale=(64, 48)),
        RandomFlip(prob=1.0),
        RandomResize(scale=(64, 48), ratio_range=(1.0, 1.0), resize_type='Resize'),
    )
    assert results['img'].shape == (48, 64, 6)
    assert results['img_shape'] == (48, 64)
    ir = cv2.resize(scene.ir, (64, 48), interpolation=cv2.INTER_LINEAR)[:, ::-1].astype(float)
    # OpenCV rounds several channels otherwise than one
    np.testing.assert_allclose(results['img'][..., 3], ir, rtol=0, atol=1)


def test_a_changed_image_keeps_the_masks_of_the_file(pair):
    def darken(results):
        results['img'] = results['img'] // 2
        return results

    plain = load(pair, LoadInfrared(), GenerateMasks(), StackPair())['img']
    dark = load(pair, LoadInfrared(), darken, GenerateMasks(), StackPair())['img']
    np.testing.assert_array_equal(dark[..., :3], plain[..., :3] // 2)
    np.testing.assert_array_equal(dark[..., 3:], plain[..., 3:])


def test_infrared_of_16_bits_makes_floats(pair, scene):
    cv2.imwrite(str(pair / 'ir' / '7.png'), scene.ir.astype(np.uint16) * 257)
    image = load(pair, LoadInfrared(), StackPair())['img']
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[..., 3], scene.ir, atol=1e-4)


@pytest.mark.parametrize(
    ('path', 'arguments', 'expected'),
    [
        ('/d/vi/vi/1.png', {}, '/d/vi/ir/1.png'),
        ('vi/1.png', {}, 'ir/1.png'),
        ('d/vi/train/vi_1.png', {}, 'd/ir/train/vi_1.png'),
        (
            '/L/visible/train/1.jpg',
            dict(visible='visible/train/', infrared='infrared/train'),
            '/L/infrared/train/1.jpg',
        ),
    ],
)
def test_partner(path, arguments, expected):
    assert LoadInfrared(**arguments).partner(path) == expected


def test_bad_pairs_are_named(pair, scene):
    with pytest.raises(ValueError, match=r"7\.png: has no folder 'visible' to put 'ir'"):
        load(pair, LoadInfrared(visible='visible'))
    with pytest.raises(ImageFileError, match=r'thermal/7\.png: no such file'):
        load(pair, LoadInfrared(infrared='thermal'))
    with pytest.raises(ImageFileError, match=r'ir/7\.png: is \(96, 128\).*is \(48, 64\)'):
        load(pair, Resize(scale=(64, 48)), LoadInfrared())
    with pytest.raises(ValueError, match=r'needs a colour image, found shape \(96, 128, 4\)'):
        load(pair, LoadInfrared(), StackPair(), LoadInfrared())
    with pytest.raises(ValueError, match='scaling must be one of'):
        LoadInfrared(scaling='log')


def test_stacking_what_does_not_fit_is_refused(pair):
    with pytest.raises(KeyError, match='ir is missing; put LoadInfrared before StackPair'):
        load(pair, StackPair())
    with pytest.raises(KeyError, match='mask_ir comes without its partner'):
        load(pair, LoadInfrared(), DropMask(keys=['mask_ir']), StackPair())
    with pytest.raises(ValueError, match=r'differ in size: \[\(48, 64\), \(96, 128\)\]'):
        load(pair, LoadInfrared(), Resize(scale=(64, 48)), StackPair())


def test_one_folder_with_both_cameras(tmp_path, scene):
    write_image(tmp_path / 'F1_RGB.png', scene.vis)
    write_image(tmp_path / 'F1_PreviewData.bmp', scene.ir)
    transform = LoadInfrared(visible='*_RGB', infrared='*_PreviewData')
    given = dict(img_path=str(tmp_path / 'F1_RGB.png'))
    results = Compose([LoadImageFromFile(), transform])(given)
    assert results['ir_path'] == str(tmp_path / 'F1_PreviewData.bmp')
    np.testing.assert_array_equal(results['ir'][..., 0], scene.ir)
    assert (
        LoadInfrared('visible/*', 'lwir/*').partner('/s/V0/visible/I1.jpg') == '/s/V0/lwir/I1.jpg'
    )
    with pytest.raises(InputError, match='do not match'):
        transform.partner('/s/F1_T.png')
    with pytest.raises(InputError, match='same number'):
        LoadInfrared('*_RGB', '*_*').partner('/s/F1_RGB.png')


def test_an_image_is_not_its_own_partner(pair):
    with pytest.raises(InputError, match='its own partner'):
        LoadInfrared(visible='vi', infrared='vi/')
    (pair / 'ir' / '7.png').unlink()
    (pair / 'ir' / '7.png').symlink_to(pair / 'vi' / '7.png')
    with pytest.raises(ImageFileError, match='is its own infrared partner'):
        load(pair, LoadInfrared())

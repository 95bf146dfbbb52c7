from __future__ import annotations

import numpy as np
import pytest
import torch

from mmsgdfuse.datasets import synthetic_scene
from mmsgdfuse.datasets.transforms import (
    LoadPair,
    PackFusionInputs,
    PhotometricJitter,
    RandomCropPair,
    RandomFlipPair,
    RandomRotate90Pair,
)
from mmsgdfuse.registry import TRANSFORMS
from mmsgdfuse.utils.image_io import ImageFileError, write_image

KEYS = ('ir', 'vis', 'mask_ir', 'mask_vis', 'labels')


def coded_pair(height=33, width=47):
    """Arrays whose every pixel says where it came from: row and column, in all of them."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    code = (rows * 1000 + columns)[..., None]
    return dict(
        ir=code,
        vis=np.concatenate([code, code + 0.25, code + 0.5], axis=2),
        mask_ir=code / 1e6,
        mask_vis=code / 2e6,
        labels=code,
        ori_shape=(height, width),
        img_shape=(height, width),
    )


def assert_aligned(results):
    code = results['ir']
    assert results['img_shape'] == code.shape[:2]
    np.testing.assert_array_equal(results['vis'], code + np.float32([0, 0.25, 0.5]))
    np.testing.assert_array_equal(results['mask_ir'], code / np.float32(1e6))
    np.testing.assert_array_equal(results['mask_vis'], code / np.float32(2e6))
    np.testing.assert_array_equal(results['labels'], code)


GEOMETRY = [
    RandomCropPair(16),
    RandomCropPair((20, 40)),
    RandomCropPair(64),
    RandomFlipPair(),
    RandomRotate90Pair(1.0),
]


@pytest.mark.parametrize('transform', GEOMETRY, ids=repr)
def test_geometry_moves_everything_together(transform):
    outcomes = set()
    for _ in range(20):
        results = transform(coded_pair())
        assert_aligned(results)
        outcomes.add(np.ascontiguousarray(results['ir']).tobytes())
    expected = {'RandomCropPair': 1, 'RandomFlipPair': 4, 'RandomRotate90Pair': 3}
    # a window larger than the image has one place only
    assert len(outcomes) >= expected[type(transform).__name__]


@pytest.mark.parametrize('transform', GEOMETRY, ids=repr)
def test_geometry_without_masks(transform):
    results = coded_pair()
    for key in KEYS[2:]:
        del results[key]
    results = transform(results)
    assert set(results) == {'ir', 'vis', 'ori_shape', 'img_shape'}
    assert results['ori_shape'] == (33, 47)


@pytest.mark.parametrize('transform', GEOMETRY, ids=repr)
def test_geometry_refuses_arrays_of_other_sizes(transform):
    results = coded_pair()
    results['mask_ir'] = results['mask_ir'][1:]
    with pytest.raises(ValueError, match=r"same size, found .*'mask_ir': \(32, 47\)"):
        transform(results)


@pytest.mark.parametrize(
    'transform', [*GEOMETRY, PhotometricJitter(prob=1.0)], ids=lambda t: type(t).__name__
)
def test_seeding_numpy_reproduces_a_sample(transform):
    def draw(seed):
        np.random.seed(seed)
        return np.ascontiguousarray(transform(coded_pair())['ir'] % 256)

    # many seeds, since two may well agree
    assert all(np.array_equal(draw(seed), draw(seed)) for seed in range(5))


def test_crop_takes_a_window_of_the_image():
    results = RandomCropPair((8, 12))(coded_pair())
    code = results['ir'][..., 0]
    y, x = divmod(int(code[0, 0]), 1000)
    np.testing.assert_array_equal(code, coded_pair()['ir'][y : y + 8, x : x + 12, 0])
    assert results['img_shape'] == (8, 12)
    assert results['ori_shape'] == (33, 47)


def test_crop_reaches_every_place():
    corners = set()
    for _ in range(200):
        code = RandomCropPair((32, 45))(coded_pair())['ir'][0, 0, 0]
        corners.add(divmod(int(code), 1000))
    assert corners == {(y, x) for y in range(2) for x in range(3)}


@pytest.mark.parametrize(('height', 'width'), [(5, 50), (50, 5), (1, 3), (2, 2)])
def test_crop_reflects_what_is_too_small(height, width):
    results = RandomCropPair(40)(coded_pair(height, width))
    code = results['ir'][..., 0]
    assert code.shape == (40, 40)
    assert_aligned(results)
    assert set(np.unique(code // 1000)) <= set(range(height))
    if height == 5:  # rows 0 1 2 3 4 3 2 1 0 1 ...
        np.testing.assert_array_equal(code[:10, 0] // 1000, [0, 1, 2, 3, 4, 3, 2, 1, 0, 1])


def test_flips_mirror_the_right_way():
    pair = coded_pair(2, 3)
    horizontal = RandomFlipPair(1.0, 0.0)(dict(pair))['ir'][..., 0]
    np.testing.assert_array_equal(horizontal, [[2, 1, 0], [1002, 1001, 1000]])
    vertical = RandomFlipPair(0.0, 1.0)(dict(pair))['ir'][..., 0]
    np.testing.assert_array_equal(vertical, [[1000, 1001, 1002], [0, 1, 2]])
    untouched = RandomFlipPair(0.0, 0.0)(dict(pair))['ir']
    np.testing.assert_array_equal(untouched, pair['ir'])


def test_rotation_is_a_rotation():
    shapes = set()
    for _ in range(30):
        pair = coded_pair(2, 3)
        turned = RandomRotate90Pair(1.0)(dict(pair))['ir']
        shapes.add(turned.shape)
        assert any(np.array_equal(turned, np.rot90(pair['ir'], k)) for k in (1, 2, 3))
    assert shapes == {(3, 2, 1), (2, 3, 1)}
    untouched = RandomRotate90Pair(0.0)(coded_pair(2, 3))
    np.testing.assert_array_equal(untouched['ir'], coded_pair(2, 3)['ir'])


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: RandomCropPair(0), 'crop_size'),
        (lambda: RandomCropPair((1, 2, 3)), 'crop_size'),
        (lambda: RandomFlipPair(1.5), 'horizontal must be a probability'),
        (lambda: RandomFlipPair(vertical=-0.1), 'vertical must be a probability'),
        (lambda: RandomRotate90Pair(2), 'prob must be'),
        (lambda: PhotometricJitter(prob=2), 'prob must be'),
        (lambda: PhotometricJitter(ir=dict(contrast=(1, 2))), r"ir has unknown ranges \['contr"),
        (lambda: PhotometricJitter(vis=dict(gain=(0, 2))), r'vis\.gain .* positive'),
        (lambda: PhotometricJitter(vis=dict(offset=(2, 1))), r'vis\.offset must be an increasing'),
        (lambda: LoadPair(scaling='log'), 'scaling must be one of'),
        (lambda: LoadPair(reading=dict(scope='run')), 'scope must be one of'),
        (lambda: LoadPair(reading=dict(rnage=(0, 1))), r"found \['rnage'\]"),
        (lambda: LoadPair(visible_bits=4), r'bits must be within 8\.\.16'),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_jitter_follows_its_formula():
    image = np.array([[[0], [51], [102], [255]]], np.uint8)
    pair = dict(ir=image, vis=np.repeat(image, 3, axis=2))
    exact = dict(gain=(0.5, 0.5), offset=(10, 10), gamma=(2, 2))
    results = PhotometricJitter(ir=exact, vis=None, prob=1.0)(dict(pair))
    assert results['ir'].dtype == np.float32
    np.testing.assert_allclose(results['ir'][0, :, 0], [10, 15.1, 30.4, 137.5], rtol=1e-5)
    assert results['vis'] is pair['vis']
    np.testing.assert_array_equal(image[0, :, 0], [0, 51, 102, 255])


def test_jitter_stays_in_range_and_keeps_grey_grey():
    for _ in range(20):
        scene = synthetic_scene(0, (32, 32))
        grey = np.repeat(scene.ir[..., None], 3, axis=2)
        results = PhotometricJitter(prob=1.0)(dict(ir=scene.ir[..., None], vis=grey))
        for key in ('ir', 'vis'):
            assert 0 <= results[key].min() <= results[key].max() <= 255
        np.testing.assert_array_equal(results['vis'][..., 0], results['vis'][..., 2])


def test_jitter_draws_separately_for_each_modality():
    image = np.full((4, 4, 1), 128, np.uint8)
    both = dict(gain=(0.5, 2.0))
    jitter = PhotometricJitter(ir=both, vis=both, prob=0.5)
    counts = {'ir': 0, 'vis': 0, 'equal': 0}
    for _ in range(200):
        results = jitter(dict(ir=image, vis=np.repeat(image, 3, axis=2)))
        changed = {key: results[key].flat[0] != 128 for key in ('ir', 'vis')}
        counts['ir'] += changed['ir']
        counts['vis'] += changed['vis']
        counts['equal'] += all(changed.values()) and results['ir'].flat[0] == results['vis'].flat[0]
    assert 70 < counts['ir'] < 130
    assert 70 < counts['vis'] < 130
    assert counts['equal'] == 0


@pytest.fixture
def pair_on_disk(tmp_path, scene):
    paths = dict(ir_path=str(tmp_path / 'ir.png'), vis_path=str(tmp_path / 'vis.png'))
    write_image(paths['ir_path'], scene.ir)
    write_image(paths['vis_path'], scene.vis)
    return paths


def test_load(pair_on_disk, scene):
    results = LoadPair()(dict(pair_on_disk))
    np.testing.assert_array_equal(results['ir'], scene.ir[..., None])
    np.testing.assert_array_equal(results['vis'], scene.vis)
    assert results['ori_shape'] == results['img_shape'] == (96, 128)
    assert 'labels' not in results


def test_load_scales_16_bits_as_told(tmp_path, pair_on_disk, scene):
    import cv2

    cv2.imwrite(pair_on_disk['ir_path'], scene.ir.astype(np.uint16) + 7000)
    results = LoadPair(scaling='minmax')(dict(pair_on_disk))
    assert results['ir'].dtype == np.float32
    assert (results['ir'].min(), results['ir'].max()) == (0, 255)


def test_load_refuses_unequal_sizes(pair_on_disk, scene):
    write_image(pair_on_disk['vis_path'], scene.vis[:-1])
    with pytest.raises(ImageFileError, match=r'vis\.png: is \(95, 128\).*ir\.png is \(96, 128\)'):
        LoadPair()(dict(pair_on_disk))


def test_cache_reads_once_and_cannot_be_spoilt(pair_on_disk, scene):
    load = LoadPair(cache_images=True)
    first = load(dict(pair_on_disk))
    with pytest.raises(ValueError, match='read-only'):
        first['ir'][:] = 0
    write_image(pair_on_disk['ir_path'], 255 - scene.ir)
    np.testing.assert_array_equal(load(dict(pair_on_disk))['ir'], scene.ir[..., None])
    np.testing.assert_array_equal(LoadPair()(dict(pair_on_disk))['ir'][..., 0], 255 - scene.ir)


def test_cached_images_pass_through_the_whole_pipeline(pair_on_disk, recwarn):
    load = LoadPair(cache_images=True)
    before = load(dict(pair_on_disk))['vis'].copy()
    for _ in range(5):
        results = load(dict(pair_on_disk))
        for transform in (*GEOMETRY, PhotometricJitter(), PackFusionInputs()):
            results = transform(results)
        results['inputs']['vis'].fill_(0)
    np.testing.assert_array_equal(load(dict(pair_on_disk))['vis'], before)
    assert not recwarn.list


def test_pack(scene):
    mask = np.linspace(0, 1, scene.ir.size, dtype=np.float32).reshape(*scene.ir.shape, 1)
    packed = PackFusionInputs()(
        dict(
            ir=scene.ir[..., None],
            vis=scene.vis.astype(np.float32),
            mask_vis=mask,
            labels=scene.labels[..., None],
            name='a.png',
            ori_shape=(480, 640),
            img_shape=(1, 1),
            sample_idx=3,
        )
    )
    inputs, sample = packed['inputs'], packed['data_samples']
    assert {key: (tuple(value.shape), value.dtype) for key, value in inputs.items()} == dict(
        ir=((1, 96, 128), torch.uint8),
        vis=((3, 96, 128), torch.float32),
        mask_vis=((1, 96, 128), torch.float32),
    )
    np.testing.assert_array_equal(inputs['vis'].permute(1, 2, 0), scene.vis)
    np.testing.assert_array_equal(inputs['mask_vis'][0], mask[..., 0])
    np.testing.assert_array_equal(sample.labels[0], scene.labels)
    assert sample.metainfo == dict(name='a.png', ori_shape=(480, 640), img_shape=(96, 128))


def test_everything_is_registered():
    names = (
        'LoadPair', 'RandomCropPair', 'RandomFlipPair', 'RandomRotate90Pair', 'PhotometricJitter',
        'PackFusionInputs', 'LoadMasks', 'GenerateMasks', 'RandomCropMasks', 'DropMask',
        'AugmentMasks',
    )  # fmt: skip
    for name in names:
        assert TRANSFORMS.get(f'mmsgdfuse.{name}') is not None

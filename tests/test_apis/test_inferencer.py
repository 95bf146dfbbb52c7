from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmsgdfuse.apis import DEFAULT_WEIGHTS, FusionInferencer, Recipe, fuse
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.masks import ThermalVisualSaliency
from mmsgdfuse.utils.image_io import ImageFileError, write_image
from mmsgdfuse.utils.weights import read_metadata, save_weights


@pytest.fixture(scope='module')
def inferencer(tiny_weights):
    return FusionInferencer(weights=tiny_weights, device='cpu')


@pytest.fixture
def files(tmp_path, scene):
    write_image(tmp_path / 'ir.png', scene.ir)
    write_image(tmp_path / 'vis.png', scene.vis)
    return tmp_path / 'ir.png', str(tmp_path / 'vis.png')


def test_result_has_every_image_in_the_pairs_size(inferencer, scene):
    result = inferencer(scene.ir, scene.vis)
    for image in (result.fused, result.preliminary):
        assert image.shape == (96, 128, 3)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
    for mask, image in ((result.mask_ir, scene.ir), (result.mask_vis, scene.vis)):
        np.testing.assert_array_equal(mask, ThermalVisualSaliency()(image))
    np.testing.assert_array_equal(result.ir[..., 0], scene.ir)
    np.testing.assert_array_equal(result.vis, scene.vis)
    assert result.panel(tile_width=64).shape == (20 + 48, 6 * 64 + 5 * 4, 3)


def test_fused_image_is_the_models_own_prediction(inferencer, scene):
    result = inferencer(scene.ir, scene.vis)
    inputs = dict(
        ir=torch.tensor(scene.ir)[None, None] / 127.5 - 1,
        vis=torch.tensor(scene.vis).permute(2, 0, 1)[None] / 127.5 - 1,
        mask_ir=torch.tensor(result.mask_ir)[None, None],
        mask_vis=torch.tensor(result.mask_vis)[None, None],
    )
    with torch.no_grad():
        images = inferencer.model.fuse(inputs)
    for name, image in images.items():
        levels = ((image[0].permute(1, 2, 0) + 1) * 127.5).clamp(0, 255)
        found = torch.tensor(getattr(result, name))
        assert (levels - found).abs().max() < 0.51


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (47, 33), (100, 35)])
def test_any_size_comes_back(inferencer, size):
    scene = synthetic_scene(size=size)
    assert inferencer(scene.ir, scene.vis).fused.shape == (*size, 3)


@pytest.mark.slow
def test_a_large_odd_size_comes_back(inferencer):
    scene = synthetic_scene(size=(1023, 1281))
    assert inferencer(scene.ir, scene.vis).fused.shape == (1023, 1281, 3)


def test_files_and_arrays_give_the_same_bytes(inferencer, files, scene, tiny_weights):
    expected = inferencer(scene.ir[..., None], scene.vis).fused
    np.testing.assert_array_equal(inferencer(*files).fused, expected)
    np.testing.assert_array_equal(
        inferencer(scene.ir.astype(np.float64), scene.vis).fused, expected
    )
    np.testing.assert_array_equal(fuse(*files, weights=tiny_weights, device='cpu'), expected)


def test_colour_infrared_and_grey_visible(inferencer, files, tmp_path, scene):
    colour = np.dstack([scene.ir] * 3)
    grey = cv2.cvtColor(scene.vis, cv2.COLOR_RGB2GRAY)
    result = inferencer(colour, grey)
    np.testing.assert_array_equal(result.ir[..., 0], scene.ir)
    np.testing.assert_array_equal(result.vis, np.dstack([grey] * 3))


def test_the_same_bytes_in_another_process_and_after_random_numbers(
    inferencer, files, tiny_weights
):
    expected = inferencer(*files).fused
    torch.manual_seed(123)
    np.random.seed(5)
    np.testing.assert_array_equal(inferencer(*files).fused, expected)
    code = (
        'import sys; from mmsgdfuse.apis import fuse; '
        'sys.stdout.buffer.write(fuse(*sys.argv[1:3], weights=sys.argv[3], device="cpu").tobytes())'
    )
    process = subprocess.run(
        [sys.executable, '-c', code, *files, tiny_weights],
        check=True,
        capture_output=True,
        env=dict(os.environ, OMP_NUM_THREADS=str(torch.get_num_threads())),
    )
    assert process.stdout == expected.tobytes()


def test_seed_mode_and_steps_reach_the_model(tiny_weights, scene):
    results = {}
    for name, options in dict(
        default={},
        features=dict(mode='features', seed=0),
        other_seed=dict(seed=1),
        refine=dict(mode='refine', num_steps=2, start_timestep=100),
        more_steps=dict(mode='refine', num_steps=4, start_timestep=100),
        later=dict(mode='refine', num_steps=2, start_timestep=300),
        sample=dict(mode='sample', num_steps=2),
    ).items():
        build = FusionInferencer(weights=tiny_weights, device='cpu', **options)
        results[name] = build(scene.ir, scene.vis).fused.tobytes()
    assert results.pop('features') == results['default']
    assert len(set(results.values())) == len(results)


def test_batches_give_what_single_calls_give(inferencer):
    scenes = [synthetic_scene(seed, size) for seed, size in
              enumerate([(40, 48), (40, 48), (40, 48), (48, 40), (40, 48)])]  # fmt: skip
    pairs = [(scene.ir, scene.vis) for scene in scenes]
    for batch_size in (1, 2):
        results = list(inferencer.batch(iter(pairs), batch_size))
        assert len(results) == len(scenes)
        for pair, result in zip(pairs, results):
            difference = result.fused.astype(int) - inferencer(*pair).fused
            assert np.abs(difference).max() <= (0 if batch_size == 1 else 1)


def test_batches_are_fused_as_they_are_asked_for(inferencer, scene):
    taken = []

    def pairs():
        for index in range(4):
            taken.append(index)
            yield scene.ir, scene.vis

    next(inferencer.batch(pairs()))
    assert len(taken) == 2


def test_masks_are_replaced_by_the_callers(inferencer, tmp_path, scene):
    half = np.zeros(scene.ir.shape, np.uint8)
    half[:48] = 255
    write_image(tmp_path / 'mask.png', half)
    generated = inferencer(scene.ir, scene.vis)
    fused = set()
    for mask in (half, half[..., None] > 0, half / 255.0, tmp_path / 'mask.png'):
        result = inferencer(scene.ir, scene.vis, mask_ir=mask)
        np.testing.assert_array_equal(result.mask_ir, (half > 0).astype(np.float32))
        np.testing.assert_array_equal(result.mask_vis, generated.mask_vis)
        fused.add(result.fused.tobytes())
    assert len(fused) == 1
    assert generated.fused.tobytes() not in fused


def test_no_mask_is_generated_where_both_are_given(tiny_weights, scene):
    class Refuses(ThermalVisualSaliency):
        def __call__(self, image):
            raise AssertionError('not needed')

    inferencer = FusionInferencer(weights=tiny_weights, device='cpu', masks=Refuses())
    zeros = np.zeros(scene.ir.shape, bool)
    assert not inferencer(scene.ir, scene.vis, zeros, zeros).mask_vis.any()


@pytest.mark.parametrize(
    ('masks', 'expected'),
    [
        (dict(type='ThermalVisualSaliency', composer='union'), 1.0),
        (dict(type='mmsgdfuse.ThermalVisualSaliency', composer='union'), 1.0),
        (ThermalVisualSaliency(composer='union'), 1.0),
        (dict(type='DropMask'), 0.0),
        ([dict(type='GenerateMasks'), dict(type='DropMask')], 0.0),
    ],
)
def test_masks_may_be_a_generator_or_transforms(tiny_weights, scene, masks, expected):
    inferencer = FusionInferencer(weights=tiny_weights, device='cpu', masks=masks)
    result = inferencer(scene.ir, scene.vis)
    assert result.mask_ir.max() == result.mask_vis.max() == expected


def test_masks_are_cached_where_asked(tiny_weights, tmp_path, scene, monkeypatch):
    options = dict(weights=tiny_weights, device='cpu', mask_cache=tmp_path)
    first = FusionInferencer(**options)(scene.ir, scene.vis)
    assert len(list(tmp_path.rglob('*.png'))) == 2
    monkeypatch.setattr(ThermalVisualSaliency, 'segment', None)
    second = FusionInferencer(**options)(scene.ir, scene.vis)
    np.testing.assert_array_equal(second.fused, first.fused)


def test_a_config_and_a_checkpoint(tiny_weights, inferencer, tmp_path, scene):
    recipe = Recipe.from_metadata(read_metadata(tiny_weights))
    config = Config(
        dict(
            model=recipe.model,
            test_dataloader=dict(
                dataset=dict(pipeline=[dict(type='LoadPair'), dict(type='GenerateMasks')])
            ),
        )
    )
    config.dump(tmp_path / 'tiny.py')
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=inferencer.model.state_dict()), path)
    loaded = FusionInferencer(tmp_path / 'tiny.py', path, device='cpu')
    expected = inferencer(scene.ir, scene.vis).fused
    np.testing.assert_array_equal(loaded(scene.ir, scene.vis).fused, expected)

    built = FusionInferencer(inferencer.model, device='cpu')
    np.testing.assert_array_equal(built(scene.ir, scene.vis).fused, expected)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(mode='magic'), "mode must be one of .*'magic'"),
        (dict(infrared_scaling='log'), 'scaling'),
        (dict(config=Config(dict(model={}))), 'weights='),
    ],
)
def test_bad_options(tiny_weights, options, message):
    if 'config' not in options:
        options = dict(options, weights=tiny_weights)
    with pytest.raises(ValueError, match=message):
        FusionInferencer(device='cpu', **options)


def test_weights_without_a_recipe_need_a_config(tmp_path, inferencer):
    for name in ('plain.safetensors', 'epoch_1.pth'):
        path = tmp_path / name
        if path.suffix == '.pth':
            torch.save(inferencer.model.state_dict(), path)
        else:
            save_weights(inferencer.model, path)
        with pytest.raises(ValueError, match=f'{name}: .* give the config'):
            FusionInferencer(weights=path)


def test_an_option_that_the_model_has_not(tmp_path, scene):
    network = dict(type='PreliminaryNet', channels=8, depth=1, num_heads=2)
    recipe = Recipe(model=dict(type='PreliminaryFuser', preliminary=network), masks=[])
    path = tmp_path / 'stage_one.safetensors'
    save_weights(recipe.build_model(), path, recipe.to_metadata())
    with pytest.raises(ValueError, match='PreliminaryFuser has no seed'):
        FusionInferencer(weights=path, seed=1)
    result = FusionInferencer(weights=path, device='cpu')(scene.ir, scene.vis)
    assert result.mask_ir is None
    assert result.preliminary is None
    assert result.panel().shape[1] == 3 * 128 + 2 * 4


@pytest.fixture(scope='module')
def student_weights(tmp_path_factory):
    """An untrained student, which takes the brighter source."""
    network = dict(type='StudentNet', widths=[8, 8], depths=[1, 1])
    recipe = Recipe(model=dict(type='StudentFuser', network=network), masks=[])
    path = tmp_path_factory.mktemp('student') / 'student.safetensors'
    save_weights(recipe.build_model(), path, recipe.to_metadata())
    return path


class TestStudent:
    def test_mode_student_takes_the_shipped_student_and_no_masks(
        self, student_weights, monkeypatch, scene
    ):
        monkeypatch.setattr('mmsgdfuse.apis.inferencer.STUDENT_WEIGHTS', student_weights)
        monkeypatch.setattr(ThermalVisualSaliency, 'segment', None)
        result = FusionInferencer(mode='student', device='cpu')(scene.ir, scene.vis)
        assert result.mask_ir is result.mask_vis is result.preliminary is None
        luma = cv2.cvtColor(scene.vis, cv2.COLOR_RGB2GRAY).astype(int)
        brighter = scene.vis + np.maximum(scene.ir.astype(int) - luma, 0)[..., None]
        # the untrained blend is a smooth maximum
        assert np.abs(result.fused - brighter.clip(0, 255)).max() <= 4
        assert (result.fused != scene.vis).any()

    def test_weights_of_a_student_need_no_mode(self, student_weights, scene):
        named = FusionInferencer(weights=student_weights, mode='student', device='cpu')
        unnamed = FusionInferencer(weights=student_weights, device='cpu')
        built = FusionInferencer(named.model, device='cpu')
        expected = named(scene.ir, scene.vis).fused
        for other in (unnamed, built):
            result = other(scene.ir, scene.vis)
            np.testing.assert_array_equal(result.fused, expected)
            assert result.mask_ir is None

    @pytest.mark.parametrize('size', [(32, 32), (33, 47), (100, 35)])
    def test_any_size_comes_back(self, student_weights, size):
        scene = synthetic_scene(size=size)
        fused = FusionInferencer(weights=student_weights, device='cpu')(scene.ir, scene.vis).fused
        assert fused.shape == (*size, 3)

    def test_other_weights_are_no_student(self, tiny_weights):
        with pytest.raises(ValueError, match=r"mode 'student' is a network.*found SGDFuse"):
            FusionInferencer(weights=tiny_weights, mode='student')

    @pytest.mark.parametrize('options', [dict(mode='features'), dict(seed=1)])
    def test_has_no_diffusion(self, student_weights, options):
        with pytest.raises(ValueError, match='StudentFuser has no'):
            FusionInferencer(weights=student_weights, **options)

    def test_missing_asset(self, tmp_path, monkeypatch):
        missing = tmp_path / 'none.safetensors'
        monkeypatch.setattr('mmsgdfuse.apis.inferencer.STUDENT_WEIGHTS', missing)
        with pytest.raises(FileNotFoundError, match=r'none\.safetensors.*sgdfuse-student_ivif'):
            FusionInferencer(mode='student')


def test_images_of_a_result_are_the_callers_no_more(inferencer, scene):
    ir, vis = scene.ir.copy(), scene.vis.copy()
    result = inferencer(ir, vis)
    ir[:], vis[:] = 0, 0
    np.testing.assert_array_equal(result.ir[..., 0], scene.ir)
    np.testing.assert_array_equal(result.vis, scene.vis)


def array(shape, dtype=np.uint8, value=0):
    return np.full(shape, value, dtype)


@pytest.mark.parametrize(
    ('pair', 'error', 'message'),
    [
        (
            (array((40, 48)), array((48, 40, 3))),
            ValueError,
            r'vis: is \(48, 40\).*ir is \(40, 48\)',
        ),
        ((array((31, 48)), array((31, 48, 3))), ValueError, '32 pixels'),
        ((array((40, 48), np.int64), array((40, 48, 3))), TypeError, 'ir must .*int64.*uint16'),
        ((array((40, 48)), array((40, 48, 4))), ValueError, r'vis must be .*\(40, 48, 4\)'),
        ((array((40, 48), float, 256), array((40, 48))), ValueError, r'ir must lie in 0\.\.255'),
        ((array((40, 48), float, np.nan), array((40, 48))), ValueError, r'ir must lie in 0\.\.255'),
        (('none.png', array((40, 48))), ImageFileError, r'none\.png'),
        (
            (array((40, 48)), array((40, 48)), array((8, 8))),
            ValueError,
            'mask_ir must have the size',
        ),
        (
            (array((40, 48)), array((40, 48)), None, array((40, 48), float, 1.1)),
            ValueError,
            r'mask_vis must lie in \[0, 1\]',
        ),
        (
            (array((40, 48)), array((40, 48)), array((40, 48), np.int64)),
            TypeError,
            'mask_ir must be bool',
        ),
    ],
)
def test_bad_images(inferencer, pair, error, message):
    with pytest.raises(error, match=message):
        inferencer(*pair)


def test_batch_size_starts_at_one(inferencer):
    with pytest.raises(ValueError, match='batch_size'):
        next(inferencer.batch([], 0))


@pytest.mark.gpu
def test_gpu_gives_the_same_bytes_twice_and_what_the_cpu_gives(tiny_weights, scene):
    gpu = FusionInferencer(weights=tiny_weights, device='cuda')
    cpu = FusionInferencer(weights=tiny_weights, device='cpu')
    first, second = (gpu(scene.ir, scene.vis).fused for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first.astype(int) - cpu(scene.ir, scene.vis).fused).max() <= 2


@pytest.mark.skipif(not DEFAULT_WEIGHTS.is_file(), reason='the weights are not in this checkout')
def test_docstrings():
    import doctest

    from mmsgdfuse.apis import inferencer as module

    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


def test_restores_before_masks_and_fusion(scene):
    rng = np.random.default_rng(0)
    clean = np.repeat(np.repeat(scene.ir, 2, axis=0), 2, axis=1)
    vis = np.repeat(np.repeat(scene.vis, 2, axis=0), 2, axis=1)
    stripes = clean + rng.normal(0, 12, (1, clean.shape[1])) + rng.normal(0, 8, clean.shape)
    noisy = np.clip(stripes, 0, 255).astype(np.uint8)
    options = dict(device='cpu', mode='student')
    plain, restoring = FusionInferencer(**options), FusionInferencer(**options, restore=True)
    reference = plain(clean, vis).fused.astype(float)
    errors = [
        np.abs(fuse_pair(noisy, vis).fused - reference).mean() for fuse_pair in (plain, restoring)
    ]
    assert errors[1] < 0.85 * errors[0]
    np.testing.assert_array_equal(restoring(noisy, vis).fused, restoring(noisy, vis).fused)


def test_only_weights_of_a_restorer_restore(tiny_weights):
    with pytest.raises(ValueError, match='must be a PairRestorer'):
        FusionInferencer(weights=tiny_weights, device='cpu', restore=tiny_weights)

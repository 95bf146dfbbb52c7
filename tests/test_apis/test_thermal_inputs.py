"""What cameras write and what callers hold: in the inferencer, in the tool and in a dataset."""

from __future__ import annotations

import copy
import importlib.util
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from thermal_files import KINDS, TOLERANCE, dji_jpeg, stretched

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.datasets import IVIFDataset
from mmsgdfuse.io import RangeMapping
from mmsgdfuse.io.images import ImageFileError, read_image, write_image


@pytest.fixture(scope='module')
def inferencer(tiny_weights):
    return FusionInferencer(weights=tiny_weights, device='cpu')


@pytest.fixture
def heat(scene):
    return stretched(scene.ir)


@pytest.fixture
def pairs(tmp_path, scene, heat):
    """Folders of one pair per kind; the names of the pairs by kind."""
    names = {}
    for kind, write in KINDS.items():
        names[kind] = kind.replace(' ', '_').replace('JPEG', 'jpeg')
        write(tmp_path / 'ir', heat, names[kind])
        write_image(tmp_path / 'vi' / f'{names[kind]}.png', scene.vis)
    return names


def test_files_of_cameras_in_the_inferencer(inferencer, tmp_path, scene, heat):
    plain = inferencer(heat, scene.vis).fused.astype(int)
    for index, (kind, write) in enumerate(KINDS.items()):
        result = inferencer(write(tmp_path / str(index), heat), scene.vis)
        assert np.abs(result.ir[..., 0].astype(int) - heat).mean() < TOLERANCE.get(kind, 0.6), kind
        assert np.abs(result.fused - plain).mean() < 3, kind
        assert not result.ir_mapping.changes_nothing


@pytest.fixture
def fuse_tool(repository):
    spec = importlib.util.spec_from_file_location(
        'tools_fuse_thermal', repository / 'tools/fuse.py'
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def test_files_of_cameras_in_the_tool(
    fuse_tool, inferencer, tiny_weights, pairs, tmp_path, scene, heat, capsys
):
    plain = inferencer(heat, scene.vis).fused.astype(int)
    common = ['--weights', str(tiny_weights), '--device', 'cpu']
    folders = [str(tmp_path / name) for name in ('ir', 'vi')]
    assert fuse_tool.main([*folders, '-o', str(tmp_path / 'out'), *common]) == 0
    out = capsys.readouterr().out
    for kind, name in pairs.items():
        fused = read_image(tmp_path / 'out' / f'{name}.png')
        assert np.abs(fused - plain).mean() < 3, kind
    assert 'narrow_counts: infrared: 51241..52181 -> 0..255 (auto)' in out
    assert 'jet: infrared: jet colours turned into grey, 8 bits as stored' in out
    assert 'degrees Celsius -> 0..255 (auto)' in out


def test_options_of_the_tool(fuse_tool, tiny_weights, tmp_path, scene, heat, capsys):
    def run(ir, name, *options):
        vis, out = str(tmp_path / 'vi.png'), str(tmp_path / name)
        arguments = [str(ir), vis, '-o', out, '--weights', str(tiny_weights), '--device', 'cpu']
        code = fuse_tool.main([*arguments, *options])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    write_image(tmp_path / 'vi.png', scene.vis)
    write_image(tmp_path / 'black.png', 255 - heat)
    write_image(tmp_path / 'white.png', heat)
    assert run(tmp_path / 'white.png', 'white_out.png')[0] == 0
    code, out = run(tmp_path / 'black.png', 'black_out.png')
    assert code == 0
    assert 'infrared: looks black-hot' in out
    assert run(tmp_path / 'black.png', 'turned.png', '--polarity', 'black-hot')[0] == 0
    expected = read_image(tmp_path / 'white_out.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'turned.png'), expected)

    (tmp_path / 'ir.raw').write_bytes((heat.astype('<u2') * 40 + 300).tobytes())
    code, out = run(tmp_path / 'ir.raw', 'raw.png', '--raw', '128x96,uint16le')
    assert code == 0, out
    assert '300..10500 -> 0..255 (auto)' in out
    code, out = run(
        tmp_path / 'ir.raw', 'x.png', '--raw', '128x96,uint16le', '--range', '0', '20000'
    )
    assert '0..20000 -> 0..255 (given)' in out
    assert run(tmp_path / 'ir.raw', 'y.png', '--raw', 'no')[0] == 2
    assert run(tmp_path / 'ir.raw', 'y.png', '--range', '9', '1')[0] == 2


def test_one_range_for_the_run(fuse_tool, tiny_weights, tmp_path, scene, heat, capsys):
    for name, levels in {'a': heat // 3, 'b': heat}.items():
        KINDS['kelvin x 100'](tmp_path / 'ir', levels, name)
        write_image(tmp_path / 'vi' / f'{name}.png', scene.vis)
    folders = [str(tmp_path / 'ir'), str(tmp_path / 'vi')]
    common = ['--weights', str(tiny_weights), '--device', 'cpu', '--range-scope', 'folder']
    assert fuse_tool.main([*folders, '-o', str(tmp_path / 'out'), *common]) == 0
    assert 'a, b: infrared: 28500..31500 -> 0..255 (auto)' in capsys.readouterr().out


def test_what_cannot_be_right_is_refused(inferencer, tmp_path, scene, heat):
    vis, grey = tmp_path / 'vi.png', tmp_path / 'grey.png'
    write_image(vis, scene.vis)
    write_image(grey, heat)
    with pytest.raises(ImageFileError, match='swapped'):
        inferencer(vis, grey)
    with pytest.raises(ImageFileError, match='swapped'):
        inferencer(scene.vis, heat)
    (tmp_path / 'dji.jpg').write_bytes(dji_jpeg(heat))
    with pytest.raises(ImageFileError, match='Thermal SDK'):
        inferencer(tmp_path / 'dji.jpg', vis)


def test_forced_luma(tiny_weights, scene, heat):
    forced = FusionInferencer(weights=tiny_weights, device='cpu', reading=dict(palette='luma'))
    luma = cv2.cvtColor(scene.vis, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(forced(scene.vis, heat).ir[..., 0], luma)


def test_files_of_cameras_in_a_pipeline(pairs, tmp_path, scene, heat):
    dataset = IVIFDataset(
        data_root=str(tmp_path),
        check='full',
        pipeline=[
            dict(type=f'mmsgdfuse.{name}')
            for name in ('LoadPair', 'GenerateMasks', 'PackFusionInputs')
        ],
    )
    assert len(dataset) == len(pairs)
    kinds = {name: kind for kind, name in pairs.items()}
    for item in dataset:
        kind = kinds[item['data_samples'].name.removesuffix('.png')]
        error = np.abs(item['inputs']['ir'][0].numpy().astype(float) - heat)
        assert error.mean() < TOLERANCE.get(kind, 0.6), kind


def test_swapped_pairs_in_a_pipeline(tmp_path, scene, heat):
    write_image(tmp_path / 'ir' / 'a.png', scene.vis)
    write_image(tmp_path / 'vi' / 'a.png', heat)
    dataset = IVIFDataset(data_root=str(tmp_path), pipeline=[dict(type='mmsgdfuse.LoadPair')])
    with pytest.raises(ImageFileError, match=r'a\.png.*swapped'):
        dataset[0]


def test_visible_of_12_bits(inferencer, tmp_path, scene):
    scene.vis[0, 0] = 255
    cv2.imwrite(str(tmp_path / 'a.png'), scene.vis[..., ::-1].astype(np.uint16) * 16)
    result = inferencer(scene.ir, tmp_path / 'a.png')
    assert np.abs(result.vis.astype(int) - scene.vis).max() <= 1
    assert result.notices[0].startswith('visible: uses 12 of its 16 bits')


def test_arrays_images_and_tensors_are_the_same_picture(inferencer, scene, heat):
    expected = inferencer(heat, scene.vis).fused
    chw = torch.from_numpy(scene.vis).permute(2, 0, 1)
    for ir, vis in [
        (torch.from_numpy(heat), chw),
        (torch.from_numpy(heat)[None], chw.float()),
        (torch.from_numpy(heat)[..., None], torch.from_numpy(scene.vis)),
        (Image.fromarray(heat), Image.fromarray(scene.vis)),
        (Image.fromarray(heat).convert('RGB'), Image.fromarray(scene.vis).convert('RGBA')),
        (heat.astype(np.uint16) * 257, scene.vis.astype(np.uint16) * 257),
        (Image.fromarray(heat.astype(np.uint16) * 257), scene.vis.astype(np.float64)),
    ]:
        found = inferencer(ir, vis).fused
        assert np.abs(found.astype(int) - expected).max() <= 1


def test_counts_and_stated_ranges(tiny_weights, inferencer, scene, heat):
    expected = inferencer(heat, scene.vis)
    counts = (28000 + 12 * heat.astype(int)).astype(np.uint16)
    result = inferencer(counts, scene.vis)
    np.testing.assert_array_equal(result.ir, expected.ir)
    assert result.ir_mapping == RangeMapping(28000, 28000 + 12 * 255)
    shares = FusionInferencer(weights=tiny_weights, device='cpu', value_range=(0, 1))
    result = shares(heat / 255, torch.from_numpy(scene.vis / 255))
    np.testing.assert_array_equal(result.ir, expected.ir)
    np.testing.assert_array_equal(result.vis, expected.vis)
    celsius = FusionInferencer(weights=tiny_weights, device='cpu', reading=dict(range=(10, 35.5)))
    result = celsius(10 + heat / 10, scene.vis)
    np.testing.assert_array_equal(result.ir, expected.ir)
    assert result.ir_mapping.unit == 'celsius'


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (lambda heat: heat / 255, ValueError, r'ir is .*0\.\.1 .*value_range=\(0, 1\)'),
        (lambda heat: 285 + heat / 10, ValueError, r'ir must lie in 0\.\.255.*value_range'),
        (lambda heat: heat.astype(np.int64), TypeError, 'int64.*taken are: a path.*PIL.*torch'),
        (lambda heat: heat.tolist(), TypeError, 'ir is a list; taken are: a path'),
        (lambda heat: None, TypeError, 'ir is a NoneType; taken are'),
        (lambda heat: torch.from_numpy(heat)[None, None], ValueError, r'\(1, 1, 96, 128\).*taken'),
        (lambda heat: Image.fromarray(heat).convert('CMYK'), TypeError, 'mode CMYK'),
    ],
)
def test_what_is_not_taken_is_refused_with_what_is(inferencer, scene, heat, change, error, message):
    with pytest.raises(error, match=message):
        inferencer(change(heat), scene.vis)


def test_visible_floats_within_0_and_1_are_refused(inferencer, scene):
    with pytest.raises(ValueError, match=r'vis is .*value_range=\(0, 1\)'):
        inferencer(scene.ir, scene.vis / 255)


def test_temperatures_that_pass_for_levels_are_warned_of(inferencer, scene, heat):
    with pytest.warns(UserWarning, match='value_range if these are degrees'):
        inferencer(10 + heat / 10, scene.vis)


def test_masks_of_0_and_1_are_no_and_yes(inferencer, tmp_path, scene):
    mask = np.zeros(scene.ir.shape, np.uint8)
    mask[30:60, 30:60] = 1
    expected = inferencer(scene.ir, scene.vis, mask * 255, mask * 255).fused
    write_image(tmp_path / 'mask.png', mask)
    for source in (mask, tmp_path / 'mask.png', torch.from_numpy(mask)):
        with pytest.warns(UserWarning, match='mask.*levels 0 and 1.*write 0 and 255'):
            result = inferencer(scene.ir, scene.vis, source, source)
        assert result.mask_ir.max() == 1
        np.testing.assert_array_equal(result.fused, expected)


def test_options_leave_a_given_model_alone(inferencer, scene):
    model = copy.deepcopy(inferencer.model).train()
    before = {name: module.training for name, module in model.named_modules()}
    plain = FusionInferencer(model)
    other = FusionInferencer(model, mode='refine', seed=7, num_steps=2, start_timestep=90)
    expected = plain(scene.ir, scene.vis).fused
    assert (other(scene.ir, scene.vis).fused != expected).any()
    np.testing.assert_array_equal(plain(scene.ir, scene.vis).fused, expected)
    np.testing.assert_array_equal(inferencer(scene.ir, scene.vis).fused, expected)
    assert {name: module.training for name, module in model.named_modules()} == before
    assert (model.inference_mode, model.seed, model.num_steps) == ('features', 0, 10)
    # the weights are shared, so that a model in training may be looked at
    with torch.no_grad():
        next(model.head.parameters()).add_(0.5)
    assert (plain(scene.ir, scene.vis).fused != expected).any()


def test_results_are_saved(inferencer, tmp_path, scene):
    result = inferencer(scene.ir, scene.vis)
    result.save(tmp_path / 'deep' / 'a.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'deep' / 'a.png'), result.fused)
    with pytest.raises(ValueError, match='suffix'):
        result.save(tmp_path / 'a.txt')
    assert result.ir_mapping.changes_nothing

"""What is exported gives the images that torch gives, and is refused where it is something else."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from test_import_cost import WITHOUT_TORCH

from mmsgdfuse.apis import (
    DEFAULT_WEIGHTS,
    SAMPLE_IR,
    SAMPLE_VIS,
    STUDENT_WEIGHTS,
    FusionInferencer,
)
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.utils.assets import DEFAULT_ONNX, STUDENT_ONNX
from mmsgdfuse.utils.errors import InputError

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

SHIPPED = {'student': (STUDENT_WEIGHTS, STUDENT_ONNX), 'features': (DEFAULT_WEIGHTS, DEFAULT_ONNX)}


@pytest.fixture(scope='module')
def exported(tiny_weights, tmp_path_factory):
    from mmsgdfuse.runtime.export import export_onnx

    path = tmp_path_factory.mktemp('onnx') / 'tiny.onnx'
    export_onnx(tiny_weights, path)
    return path


def levels(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (96, 128), (50, 61)])
def test_both_backends_give_one_image(tiny_weights, exported, size):
    scene = synthetic_scene(size=size)
    by_torch = FusionInferencer(weights=tiny_weights, device='cpu')(scene.ir, scene.vis)
    by_onnx = FusionInferencer(weights=exported)(scene.ir, scene.vis)
    for name in ('fused', 'preliminary'):
        assert levels(getattr(by_torch, name), getattr(by_onnx, name)) <= 1
    np.testing.assert_array_equal(by_torch.mask_ir, by_onnx.mask_ir)


def test_a_batch_and_a_seed_reach_the_graph(exported, tiny_weights):
    scenes = [synthetic_scene(seed=i, size=(40, 52)) for i in range(3)]
    pairs = [(scene.ir, scene.vis) for scene in scenes]
    for seed in (0, 7):
        single = FusionInferencer(weights=exported, seed=seed)
        torch = FusionInferencer(weights=tiny_weights, device='cpu', seed=seed)
        for found, pair in zip(single.batch(pairs, batch_size=3), pairs, strict=True):
            assert levels(found.fused, torch(*pair).fused) <= 1


@pytest.mark.parametrize('mode', SHIPPED)
def test_the_shipped_graphs_are_those_of_the_shipped_weights(mode):
    from mmsgdfuse.runtime.onnx_runner import OnnxRunner

    weights, graph = SHIPPED[mode]
    contract = OnnxRunner(graph).contract
    assert contract.mode == mode
    assert contract.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_the_shipped_files_stay_below_20_megabytes():
    files = [f for f in DEFAULT_ONNX.parent.iterdir() if f.suffix in ('.onnx', '.safetensors')]
    assert sum(file.stat().st_size for file in files) <= 20e6


@pytest.mark.slow
@pytest.mark.parametrize('mode', SHIPPED)
def test_real_pairs_differ_by_one_level_at_most(mode, real_data):
    folder = real_data / 'MSRS' / 'dev'
    pairs = sorted((folder / 'ir').glob('*.png'))[:20]
    assert pairs
    torch = FusionInferencer(mode=mode, device='cpu', backend='torch')
    light = FusionInferencer(mode=mode, backend='onnxruntime')
    for pair in pairs:
        sources = pair, folder / 'vi' / pair.name
        assert levels(torch(*sources).fused, light(*sources).fused) <= 1


@pytest.mark.parametrize('mode', SHIPPED)
def test_fusing_needs_no_torch(mode, tmp_path):
    code = (
        'from mmsgdfuse import FusionInferencer\n'
        f'fuse = FusionInferencer(mode={mode!r})\n'
        f'result = fuse({str(SAMPLE_IR)!r}, {str(SAMPLE_VIS)!r})\n'
        f'result.save({str(tmp_path / "fused.png")!r})\n'
        'heavy = {"torch", "mmengine", "mmcv"} & sys.modules.keys()\n'
        'print(fuse.backend, result.fused.shape[2], sorted(heavy))'
    )
    program = [sys.executable, '-W', 'error', '-c', WITHOUT_TORCH + code]
    result = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert result.stdout == 'onnxruntime 3 []\n', result.stderr
    assert (tmp_path / 'fused.png').is_file()


def test_a_graph_without_masks_takes_none(tiny_weights, tmp_path, scene):
    from mmsgdfuse.runtime.export import export_onnx

    export_onnx(tiny_weights, tmp_path / 'a.onnx', masks=False)
    found = FusionInferencer(weights=tmp_path / 'a.onnx')(scene.ir, scene.vis)
    zero = np.zeros(scene.ir.shape[:2], np.float32)
    expected = FusionInferencer(weights=tiny_weights, device='cpu')(scene.ir, scene.vis, zero, zero)
    assert found.mask_ir is None
    assert levels(found.fused, expected.fused) <= 1


def damaged(path, tmp_path, key, value):
    import json

    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key == 'mmsgdfuse':
            entry.value = json.dumps({**json.loads(entry.value), key: value})
    onnx.save(model, tmp_path / 'damaged.onnx')
    return tmp_path / 'damaged.onnx'


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('format', 99, 'is of format 99'),
        ('seed', 'x', 'no valid seed'),
        ('mask_inputs', False, 'its inputs are'),
        ('masks', [dict(type='LoadMasks', ir='/etc')], 'may not'),
    ],
)
def test_other_metadata_is_refused(exported, tmp_path, key, value, message):
    with pytest.raises(InputError, match=message):
        FusionInferencer(weights=damaged(exported, tmp_path, key, value))


def test_bad_arguments_are_named(exported, tmp_path, tiny_weights):
    from mmsgdfuse.runtime.export import export_onnx

    foreign = tmp_path / 'foreign.onnx'
    foreign.write_bytes(b'no model')
    with pytest.raises(InputError, match='cannot be loaded'):
        FusionInferencer(weights=foreign)
    with pytest.raises(InputError, match='mmsgdfuse export'):
        FusionInferencer(weights=tiny_weights, backend='onnxruntime')
    with pytest.raises(InputError, match='NoProvider is not installed'):
        FusionInferencer(weights=exported, providers=['NoProvider'])
    with pytest.raises(InputError, match='takes no num_steps'):
        FusionInferencer(weights=exported, num_steps=3)
    with pytest.raises(InputError, match="not 'student'"):
        FusionInferencer(weights=exported, mode='student')
    with pytest.raises(InputError, match='backend must be'):
        FusionInferencer(backend='tea')
    with pytest.raises(InputError, match=r'\*\.onnx'):
        export_onnx(tiny_weights, tmp_path / 'a.pt')
    with pytest.raises(FileNotFoundError):
        FusionInferencer(weights=tmp_path / 'none.onnx')

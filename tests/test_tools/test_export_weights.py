from __future__ import annotations

import re
import runpy

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmsgdfuse.apis import FusionInferencer, Recipe
from mmsgdfuse.utils.weights import read_metadata, read_weights


@pytest.fixture
def export(repository, tmp_path, tiny_weights):
    """Runs the tool on a checkpoint as training writes it."""
    main = runpy.run_path(repository / 'tools/model_converters/export_weights.py')['main']
    recipe = Recipe.from_metadata(read_metadata(tiny_weights))
    pipeline = [dict(type='LoadPair'), *recipe.masks, dict(type='PackFusionInputs')]
    losses = dict(ssim=dict(type='SSIMLoss'))
    config = dict(
        model=dict(recipe.model, losses=losses),
        test_dataloader=dict(dataset=dict(pipeline=pipeline)),
    )
    Config(config).dump(tmp_path / 'tiny.py')
    state = read_weights(tiny_weights)[0]
    meta = dict(epoch=60, iter=900, seed=0, cfg='...', experiment_name='tiny_fusion')
    torch.save(
        dict(state_dict=state, ema_state_dict={}, meta=meta, optimizer=dict(state={})),
        tmp_path / 'epoch_60.pth',
    )

    def call(*options, out='out.safetensors'):
        main([str(tmp_path / name) for name in ('epoch_60.pth', 'tiny.py', out)] + list(options))
        return tmp_path / out

    return call


def test_exported_weights_fuse_without_any_other_file(export, tiny_weights, scene, capsys):
    path = export('--metadata', 'command=python tools/train.py tiny.py', 'phase=fusion')
    assert 'weights, ' in capsys.readouterr().out

    exported = FusionInferencer(weights=path, device='cpu')(scene.ir, scene.vis)
    original = FusionInferencer(weights=tiny_weights, device='cpu')(scene.ir, scene.vis)
    np.testing.assert_array_equal(exported.fused, original.fused)

    metadata = read_metadata(path)
    assert metadata['config'] == 'tiny.py'
    assert metadata['command'] == 'python tools/train.py tiny.py'
    assert metadata['phase'] == 'fusion'
    assert metadata['training'] == dict(epoch=60, iter=900, seed=0, experiment_name='tiny_fusion')
    assert 'losses' not in metadata['model']
    assert re.fullmatch(r'[0-9a-f]{40}(-dirty)?', metadata['commit'] or '0' * 40)


def test_precision(export):
    halves, singles = export(out='a.safetensors'), export('--float32', out='b.safetensors')
    for path, dtype in ((halves, torch.float16), (singles, torch.float32)):
        assert {tensor.dtype for tensor in read_weights(path)[0].values()} == {dtype}


def test_an_existing_file_is_kept(export):
    path = export()
    before = path.read_bytes()
    with pytest.raises(SystemExit, match='exists; pass --overwrite'):
        export('--float32')
    assert path.read_bytes() == before
    assert export('--float32', '--overwrite').read_bytes() != before


def test_another_phases_checkpoint_is_refused(export, tmp_path):
    state = dict(state_dict={'preliminary.x': torch.zeros(1)})
    torch.save(state, tmp_path / 'epoch_60.pth')
    with pytest.raises(SystemExit, match=r'epoch_60\.pth: its weights are not those of SGDFuse'):
        export()
    assert not (tmp_path / 'out.safetensors').exists()

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.evaluation.functional import fusion_metrics
from mmsgdfuse.utils.image_io import read_image, write_image
from mmsgdfuse.utils.weights import read_metadata, read_weights

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'test.py'
SIZES = {'1.png': (48, 64), '2.png': (49, 57)}
CONFIG = """
default_scope = 'mmsgdfuse'
custom_imports = dict(imports=['mmsgdfuse'])
data_root = 'elsewhere'
model = {model}
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='IVIFDataset',
        data_root=data_root,
        pipeline=[dict(type='LoadPair'), dict(type='GenerateMasks'), dict(type='PackFusionInputs')],
    ),
)
test_evaluator = dict(type='FusionMetric', names=['EN', 'SF'])
test_cfg = dict()
custom_hooks = [dict(type='EMAHook', ema_type='ExponentialMovingAverage')]
"""


@pytest.fixture
def folder(tmp_path, tiny_weights, monkeypatch):
    """A folder with a config and two pairs."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, size) in enumerate(SIZES.items()):
        scene = synthetic_scene(seed, size)
        write_image(f'data/ir/{name}', scene.ir)
        write_image(f'data/vi/{name}', scene.vis)
    Path('tiny.py').write_text(CONFIG.format(model=read_metadata(tiny_weights)['model']))
    return tmp_path


@pytest.fixture
def tool():
    return importlib.import_module('mmsgdfuse.cli.test')


OPTIONS = ['--cfg-options', 'data_root=data']


@pytest.mark.parametrize('kind', ['safetensors', 'pth'])
def test_images_and_values(folder, tool, tiny_weights, kind, capsys):
    checkpoint = tiny_weights
    if kind == 'pth':
        checkpoint = 'epoch_1.pth'
        torch.save(dict(state_dict=read_weights(tiny_weights)[0], meta=dict(epoch=1)), checkpoint)

    assert tool.main(['tiny.py', str(checkpoint), '--out-dir', kind, *OPTIONS]) == 0

    inferencer = FusionInferencer(weights=tiny_weights)
    tolerance = 0 if inferencer.device.type == 'cpu' else 2
    values = []
    for name in SIZES:
        ir, vis = f'data/ir/{name}', f'data/vi/{name}'
        fused = read_image(f'{kind}/fused/{name}')
        # equal on a CPU; a GPU may choose other algorithms here and there
        assert np.abs(fused.astype(int) - inferencer(ir, vis).fused).max() <= tolerance
        values.append(fusion_metrics(read_image(ir), read_image(vis), fused, ['EN', 'SF']))
    report = json.loads(Path(kind, 'metrics.json').read_text())
    assert report['config'] == 'tiny.py'
    assert report['checkpoint'] == str(checkpoint)
    for metric in ('EN', 'SF'):
        expected = (values[0][metric] + values[1][metric]) / 2
        assert report['metrics'][f'fusion/{metric}'] == pytest.approx(expected)
        assert report['metrics'][f'fusion/{metric}_count'] == 2
    assert 'metrics.json: 4 values' in capsys.readouterr().out


def test_an_earlier_result_is_kept(folder, tool, tiny_weights, capsys):
    Path('out').mkdir()
    Path('out/metrics.json').write_text('mine')
    arguments = ['tiny.py', str(tiny_weights), '--out-dir', 'out', *OPTIONS]
    assert tool.main(arguments) == 2
    assert 'out/metrics.json exists; pass --overwrite' in capsys.readouterr().err
    assert Path('out/metrics.json').read_text() == 'mine'
    assert tool.main([*arguments, '--overwrite']) == 0
    assert json.loads(Path('out/metrics.json').read_text())['metrics']


def test_the_wrong_checkpoint_or_data_end_in_one_line(folder, tool, tiny_weights, capsys):
    state = {k: v for k, v in read_weights(tiny_weights)[0].items() if not k.startswith('head')}
    torch.save(dict(state_dict=state), 'epoch_9.pth')
    assert tool.main(['tiny.py', 'epoch_9.pth', *OPTIONS]) == 2
    assert 'epoch_9.pth: its weights are not those of SGDFuse' in capsys.readouterr().err
    assert tool.main(['tiny.py', str(tiny_weights)]) == 2
    assert 'elsewhere' in capsys.readouterr().err
    assert not list(folder.rglob('metrics.json'))


def test_undefined_values_are_valid_json(folder, tool):
    args = tool.parse_args(['tiny.py', 'x.pth', '--out-dir', 'out'])
    tool.write_metrics(Path('out/metrics.json'), args, {'fusion/SCD': float('nan'), 'n': 2.0})
    assert json.loads(Path('out/metrics.json').read_text())['metrics'] == {
        'fusion/SCD': None,
        'n': 2.0,
    }


def test_where_results_go_by_default(tool):
    args = tool.parse_args(['configs/a.py', 'runs/epoch_3.pth'])
    assert args.out_dir == Path('work_dirs/a/test/epoch_3')


@pytest.mark.gpu  # mmengine's launchers know no other device
@pytest.mark.slow
def test_weights_reach_the_model_inside_its_distributed_wrapper(folder, tiny_weights):
    subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=1',
         TOOL, 'tiny.py', tiny_weights, '--out-dir', 'out', '--launcher', 'pytorch', *OPTIONS],
        check=True,
    )  # fmt: skip
    inferencer = FusionInferencer(weights=tiny_weights)
    for name in SIZES:
        expected = inferencer(f'data/ir/{name}', f'data/vi/{name}').fused.astype(int)
        assert np.abs(read_image(f'out/fused/{name}') - expected).max() <= 2

"""The frontier of the losses: where the descent ends, and the command from pairs to the table."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.evaluation.functional import fusion_metrics
from mmsgdfuse.models.losses import MaskedIntensityLoss
from mmsgdfuse.utils.image_io import write_image

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module('loss_frontier')


@pytest.fixture
def scenes():
    return [synthetic_scene(seed=seed, size=(56, 64)) for seed in range(3)]


@pytest.fixture
def folder(tmp_path, scenes) -> Path:
    for index, scene in enumerate(scenes):
        write_image(tmp_path / 'pairs' / 'ir' / f'{index}.png', scene.ir)
        write_image(tmp_path / 'pairs' / 'vi' / f'{index}.png', scene.vis)
    return tmp_path / 'pairs'


@pytest.fixture
def run(tool, folder, tiny_weights):
    """The command with a crop and a model of a test's size."""

    def run(*more: str) -> None:
        size = '--crop', '48', '48', '--iterations', '2', '--step', '2'
        tool.main([str(folder), '--weights', str(tiny_weights), *size, *more])

    return run


def test_descent_ends_where_the_loss_is_smallest(tool):
    torch.manual_seed(0)
    vis = (torch.rand(2, 3, 8, 8) - 0.5) * 1.5
    ir = torch.rand(2, 1, 8, 8) * 2 - 1
    empty = torch.zeros(2, 1, 8, 8)
    # outside the masks nothing of the infrared image is wanted: the visible one itself
    loss = MaskedIntensityLoss(mask_floor=1.0, background=0.0, loss_weight=1.0)
    inputs = dict(ir=ir, vis=vis, mask_ir=empty, mask_vis=empty)
    start = vis + 0.2
    images, history = tool.descend([loss], inputs, start, iterations=100, lr=0.03)
    assert len(history) == 101
    assert history[0] == pytest.approx(0.2, abs=1e-5)
    assert history[-1] < 0.005
    torch.testing.assert_close(images, vis, atol=0.01, rtol=0)


def test_rows_and_files(tool, run, scenes, tmp_path, capsys):
    run('--vary', 'edges=12', '--vary', 'quiet=0', 'vif=0.5', '--out', str(tmp_path / 'out'))
    rows = ['maximum', 'tiny', 'recipe', 'edges=12', 'quiet=0 vif=0.5']
    printed = capsys.readouterr().out
    assert all(row.split()[0] in printed for row in rows)
    table = (tmp_path / 'out' / 'frontier.md').read_text()
    assert table.startswith('Written by `')
    assert '2 crops of 48x48; recipe: intensity=8 brightness=10' in table
    document = json.loads((tmp_path / 'out' / 'frontier.json').read_text())
    assert list(document['rows']) == rows
    assert document['images'] == ['0', '2']
    means = {row: document['rows'][row]['per_image'] for row in rows}
    assert means['recipe'] != means['edges=12'] != means['quiet=0 vif=0.5']

    # the middle 48 x 48 of 56 x 64, brighter of the two
    ir, vis = scenes[2].ir[4:52, 8:56], scenes[2].vis[4:52, 8:56]
    luma = vis @ np.array([0.299, 0.587, 0.114])
    surplus = np.maximum(ir.reshape(48, 48) - luma, 0)
    brighter = np.clip(np.rint(vis + surplus[..., None]), 0, 255).astype(np.uint8)
    expected = fusion_metrics(ir, vis, brighter, ['EN', 'VIF'])
    for metric, value in expected.items():
        assert means['maximum'][metric][1] == pytest.approx(value, abs=2e-3)


def test_weights_are_replaced(tool):
    losses = dict(a=dict(type='SSIMLoss', loss_weight=1.5), b=dict(type='VIFLoss'))
    built = tool.vary(losses, dict(a=3.0, b=0.0))
    assert {name: loss.loss_weight for name, loss in built.items()} == dict(a=3.0)
    assert losses['a']['loss_weight'] == 1.5
    assert list(tool.vary(losses, {})) == ['a', 'b']


def test_arguments_are_replaced(tool):
    losses = dict(quiet=dict(type='QuietRegionLoss', loss_weight=2.0))
    built = tool.vary(losses, {'quiet.limit': 0.5})['quiet']
    assert (built.limit, built.loss_weight) == (0.5, 2.0)
    assert 'limit' not in losses['quiet']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--vary', 'quiet.bound=2'], r"--vary quiet.bound=2: .*QuietRegionLoss.*'bound'"),
        (['--vary', 'edge=12'], 'no loss edge; it has intensity, .*edges, differences, quiet'),
        (['--crop', '48', '80'], r'0.png: is \(56, 64\).*too small for --crop 48 80'),
    ],
)
def test_what_does_not_fit_is_named(run, arguments, message):
    with pytest.raises(SystemExit, match=message):
        run(*arguments)


def test_a_config_without_losses(run, tmp_path):
    (tmp_path / 'none.py').write_text("model = dict(type='SGDFuse')\n")
    with pytest.raises(SystemExit, match=r'none.py: has no model.losses'):
        run('--config', str(tmp_path / 'none.py'))


@pytest.mark.parametrize(
    'arguments',
    [['--vary', 'edges'], ['--vary', 'edges=-1'], ['--vary', 'edges=x'], ['--step', '0'],
     ['--iterations', '1.5'], ['--lr', 'nan']],
)  # fmt: skip
def test_bad_arguments(run, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    assert f'argument {arguments[0]}' in capsys.readouterr().err

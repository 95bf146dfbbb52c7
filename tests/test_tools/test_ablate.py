"""The ablation command: what it shares, and a small run from training to the table."""

from __future__ import annotations

import csv
import importlib
import json
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.utils.image_io import write_image

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'
# the compact recipe with networks and data of a test's size
RECIPE = """
_base_ = {recipe!r}
crop = dict(type='RandomCropPair', crop_size=48)
masks = dict(type='GenerateMasks')
dataset = dict(type='IVIFDataset', data_root={root!r}, pipeline=[
    dict(type='LoadPair'), masks, crop, dict(type='PackFusionInputs')])
test = dict(type='IVIFDataset', data_root={root!r}, pipeline=[
    dict(type='LoadPair'), masks, dict(type='PackFusionInputs')])
train_dataloader = dict(batch_size=2, dataset=dict(_delete_=True, **dataset))
val_dataloader = dict(dataset=dict(_delete_=True, **test, indices=1))
test_dataloader = dict(dataset=dict(_delete_=True, **test))
model = dict(
    preliminary=dict(channels=4, num_heads=2),
    denoiser=dict(base_channels=8, channel_mults=(1, 2)),
    head=dict(level_channels=4, hidden_channels=4),
)
"""


@pytest.fixture
def ablate(monkeypatch):
    """The tool as a module; the variable that it sets is taken back."""
    monkeypatch.syspath_prepend(TOOLS)
    monkeypatch.setenv('MMSGDFUSE_RECIPE', 'set by the tool')
    return importlib.import_module('ablate')


@pytest.fixture
def folder(tmp_path) -> Path:
    for seed in range(3):
        scene = synthetic_scene(seed=seed, size=(56, 64))
        write_image(tmp_path / 'pairs' / 'ir' / f'{seed}.png', scene.ir)
        write_image(tmp_path / 'pairs' / 'vi' / f'{seed}.png', scene.vis)
    return tmp_path / 'pairs'


@pytest.fixture
def recipe(folder, repository, tmp_path) -> Path:
    path = repository / 'configs' / 'sgdfuse-compact_ivif.py'
    (tmp_path / 'recipe.py').write_text(RECIPE.format(recipe=str(path), root=str(folder)))
    return tmp_path / 'recipe.py'


@pytest.fixture
def arguments(folder, recipe, tmp_path, monkeypatch) -> list[str]:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return [
        str(folder), '--recipe', str(recipe), '--work-dir', str(tmp_path / 'work'),
        '--out', str(tmp_path / 'out'), '--epochs', 'preliminary=1', 'diffusion=1', 'fusion=1',
        '--resamples', '50', '--device', 'cpu',
    ]  # fmt: skip


class TestPlan:
    @pytest.fixture
    def folders(self, ablate, arguments):
        """Folders of the phases, by ablation."""

        def folders(*more: str) -> dict[str, list[str]]:
            args = ablate.parse_args([*arguments, *more])
            planned = ablate.plan(args)
            return {one.name: [phase.work_dir.name for phase in one.phases] for one in planned}

        return folders

    def test_equal_phases_are_trained_once(self, folders):
        found = folders('--only', 'wo-hfah', 'depth-2', 'wo-stage-one', 'wo-ir-mask')
        full = found['full']
        assert found['wo-hfah'][:2] == full[:2]
        assert found['wo-ir-mask'][0] == full[0]
        assert not set(found['depth-2'] + found['wo-stage-one']) & set(full)
        assert len({names[-1] for names in found.values()}) == len(found)

    def test_a_phase_depends_on_the_one_before(self, folders):
        few = folders('--only', 'wo-hfah')
        more = folders('--only', 'wo-hfah', '--epochs', 'preliminary=2', 'diffusion=1', 'fusion=1')
        assert not {n for names in few.values() for n in names} & set(more['full'])
        assert few == folders('--only', 'wo-hfah')

    def test_only_says_what_would_be_done(self, ablate, arguments, tmp_path, capsys):
        assert ablate.main([*arguments, '--only', 'wo-stage-two', '--plan']) == 0
        printed = capsys.readouterr().out
        assert 'wo-stage-two: preliminary of full (1 epochs), fusion (1 epochs)' in printed
        assert not (tmp_path / 'work').exists()

    def test_unknown_phase(self, ablate, arguments, capsys):
        assert ablate.main([*arguments, '--epochs', 'finetune=3', '--only', 'wo-sam']) == 2
        assert "--epochs names ['finetune']" in capsys.readouterr().err

    def test_no_pairs(self, ablate, arguments, tmp_path, capsys):
        assert ablate.main([str(tmp_path / 'nowhere'), *arguments[1:], '--only', 'wo-sam']) == 2
        assert 'no such folder; give one that holds ir and vi' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_trains_fuses_and_scores(ablate, arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['ablate.py', 'here'])
    command = [*arguments, '--only', 'wo-stage-two', '--step', '2']
    assert ablate.main(command) == 0
    work, out = tmp_path / 'work', tmp_path / 'out'
    # the first phase is shared: full has three, the other one of its own
    assert len(list(work.glob('*/epoch_1.pth'))) == 4
    table = (out / 'ablations.md').read_text()
    assert 'Written by `ablate.py here`' in table
    assert '| full minus |' in table
    with (out / 'ablations.csv').open() as stream:
        head, *rows = csv.reader(stream)
    assert head[0] == '2 images'
    assert head[-2:] == ['parameters', 'minutes']
    cells = {row[0].split()[0]: row for row in rows}
    document = json.loads((out / 'ablations.json').read_text())
    for name in ('full', 'wo-stage-two'):
        assert cells[name][-2] == f'{document["ablations"][name]["parameters"]:,}'
        assert document['ablations'][name]['seconds'] > 0
    fused = {path: path.stat().st_mtime_ns for path in work.glob('*/fused/*.png')}
    assert sorted(path.name for path in fused) == ['0.png', '0.png', '2.png', '2.png']

    # again: nothing is trained or fused
    monkeypatch.setattr(ablate, 'FusionInferencer', None)
    capsys.readouterr()
    assert ablate.main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in fused} == fused
    assert json.loads((out / 'ablations.json').read_text())['ablations'] == document['ablations']
    assert Config.fromfile(tmp_path / 'recipe.py').model.denoiser.base_channels == 8

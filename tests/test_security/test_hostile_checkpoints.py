"""A checkpoint is data, whoever loads it: this package, mmengine's Runner, its initialisers."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import uuid
from pathlib import Path

import mmengine.runner.checkpoint as runner_checkpoint
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel, BaseModule
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import CheckpointLoader, FlexibleRunner, Runner, load_checkpoint
from torch import nn
from torch.utils.data import Dataset

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.engine import latest_checkpoint, run_phases
from mmsgdfuse.engine.checkpoints import read_checkpoint
from mmsgdfuse.engine.phases import Phase, check_inherited
from mmsgdfuse.masks.checkpoints import CheckpointError, read_state_dict
from mmsgdfuse.models.fusers import load_fuser
from mmsgdfuse.utils.torch_files import guard_runner, read_torch_file, without_code
from mmsgdfuse.utils.weights import read_metadata, read_weights, save_weights

pytestmark = pytest.mark.hostile

UNSAFE = dict(TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD='1')


class Line(BaseModel):
    """y = slope * x, to be fitted to y = 2 x."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(1))

    def forward(self, x, mode='loss'):
        return dict(loss=(self.slope * x - 2 * x).pow(2).mean())


class Ones(Dataset):
    """Four times x = 1."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {'x': torch.ones(1)}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """A config can name the model and the data above."""
    monkeypatch.setitem(MODELS.module_dict, 'Line', Line)
    monkeypatch.setitem(DATASETS.module_dict, 'Ones', Ones)


def line_config(folder, epochs: int, **kwargs) -> Config:
    return Config(
        dict(
            model=dict(type='Line'),
            work_dir=str(folder),
            train_dataloader=dict(
                dataset=dict(type='Ones'),
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='default_collate'),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
            default_scope='mmengine',
            experiment_name=f'{folder.name} {epochs} {uuid.uuid4().hex}',
            **kwargs,
        )
    )


def config_text(marker) -> str:
    return f"made = __import__('os').mkdir({str(marker)!r})\n"


def with_config_text(path: Path, marker: Path) -> Path:
    """A sound checkpoint with the config text that mmengine executes to resume."""
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['meta']['config'] = config_text(marker)
    torch.save(checkpoint, path)
    return path


@pytest.fixture
def pickled(tmp_path, payload) -> Path:
    """A checkpoint that leaves the marker when it is unpickled."""
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=dict(slope=payload), meta=dict(epoch=1, iter=1)), path)
    return path


REFUSED = r'epoch_1\.pth: .*cannot be loaded safely, or is damaged; nothing in it was run'


def test_the_samples_are_live(tmp_path, pickled, marker):
    torch.load(pickled, weights_only=False)
    marker.rmdir()
    Config.fromstring(config_text(marker), '.py')
    marker.rmdir()


READERS = dict(
    read_torch_file=read_torch_file,
    read_weights=read_weights,
    read_checkpoint=read_checkpoint,
    load_fuser=lambda path: load_fuser(dict(type='RuleFuser'), path),
    inferencer=lambda path: FusionInferencer(load_fuser(dict(type='RuleFuser')), path),
    check_inherited=lambda path: check_inherited(path, Line(), ('slope',)),
    runner_module=lambda path: load_checkpoint(Line(), str(path)),
    loader=lambda path: CheckpointLoader.load_checkpoint(str(path)),
    init_cfg=lambda path: BaseModule(dict(type='Pretrained', checkpoint=str(path))).init_weights(),
    prefix=lambda path: BaseModule(
        dict(type='Pretrained', checkpoint=str(path), prefix='a')
    ).init_weights(),
)


@pytest.mark.parametrize('reader', list(READERS))
@pytest.mark.parametrize('environment', [{}, UNSAFE], ids=['plain', 'unsafe'])
def test_no_loader_unpickles_code(pickled, marker, monkeypatch, reader, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=REFUSED):
        READERS[reader](pickled)
    assert {name: os.environ.get(name) for name in environment} == environment


def test_files_of_the_old_format_are_read_safely_too(tmp_path, payload):
    path = tmp_path / 'old.pth'
    torch.save(dict(a=torch.ones(2)), path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_torch_file(path)['a'], torch.ones(2))
    torch.save(dict(a=payload), path, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r'old\.pth: cannot be loaded safely'):
        read_torch_file(path)
    path.write_bytes(pickle.dumps(payload))
    with pytest.raises(ValueError, match=r'old\.pth: cannot be loaded safely'):
        read_torch_file(path)


def test_what_mmengine_downloads_is_unpickled_safely(pickled, marker, monkeypatch):
    # torch.hub asks for the unsafe way, as here
    monkeypatch.setattr(
        runner_checkpoint, 'load_url', lambda url, **kwargs: torch.load(pickled, weights_only=False)
    )
    for address in ('https://example.org/epoch_1.pth', 'http://example.org/epoch_1.pth'):
        with pytest.raises(ValueError, match=REFUSED):
            CheckpointLoader.load_checkpoint(address)
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ


def test_sam_s_weights_are_read_safely(pickled):
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth: damaged, or no checkpoint of wei'):
        read_state_dict(pickled, 'vit_b')


@pytest.mark.parametrize(
    ('kind', 'options'),
    [
        (Runner, {}),
        (FlexibleRunner, dict(strategy=dict(type='SingleDeviceStrategy'), env_cfg=dict())),
    ],
)
def test_resuming_runs_no_config_text(tmp_path, marker, kind, options):
    kind.from_cfg(line_config(tmp_path / 'first', 1, **options)).train()
    path = with_config_text(tmp_path / 'first' / 'epoch_1.pth', marker)
    config = line_config(tmp_path / 'second', 2, resume=True, load_from=str(path), **options)
    runner = kind.from_cfg(config)
    runner.train()
    assert runner.epoch == 2


def test_the_phases_resume_without_running_config_text(tmp_path, marker):
    folder = tmp_path / 'run'
    Runner.from_cfg(line_config(folder, 1)).train()
    with_config_text(folder / 'epoch_1.pth', marker)
    assert latest_checkpoint(folder) == (folder / 'epoch_1.pth', 1)
    assert run_phases([Phase('run', line_config(folder, 2))], resume=True).name == 'epoch_2.pth'
    # what was resumed from it is not handed on
    assert 'config' not in read_torch_file(folder / 'epoch_2.pth')['meta']


def test_starting_from_a_checkpoint_runs_nothing(tmp_path, marker, pickled):
    with pytest.raises(ValueError, match=REFUSED):
        run_phases([Phase('run', line_config(tmp_path / 'run', 1))], load_from=str(pickled))


def test_a_hostile_checkpoint_in_the_folder_is_passed_over(tmp_path, marker, pickled):
    sound = tmp_path / 'epoch_0.pth'
    torch.save(dict(state_dict={}, meta=dict(epoch=0)), sound)
    assert latest_checkpoint(tmp_path) == (sound, 0)


@pytest.mark.parametrize('content', [None, [1], dict(meta=1), dict(meta=[]), dict(state_dict=1)])
def test_checkpoints_of_another_form_are_named(tmp_path, content):
    path = tmp_path / 'epoch_1.pth'
    torch.save(content, path)
    assert without_code(content) == content
    for read in (read_checkpoint, read_weights):
        with pytest.raises(ValueError, match=r'epoch_1\.pth: (is no checkpoint|holds no weights)'):
            read(path)


def test_the_runner_reads_safetensors(tmp_path):
    path = tmp_path / 'weights.safetensors'
    save_weights({'slope': torch.full((1,), 3.0)}, path)
    model = Line()
    load_checkpoint(model, str(path), strict=True)
    assert model.slope.item() == 3
    assert set(read_checkpoint(path)) == {'state_dict', 'meta'}


@pytest.mark.parametrize('first', ['mmsgdfuse', 'mmengine.runner'])
def test_the_guard_does_not_depend_on_the_order_of_imports(pickled, marker, repository, first):
    other = 'mmengine.runner' if first == 'mmsgdfuse' else 'mmsgdfuse'
    program = (
        f'import {first}\nimport {other}\nfrom mmengine.runner import CheckpointLoader\n'
        f'CheckpointLoader.load_checkpoint({str(pickled)!r})'
    )
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', program],
        env=dict(os.environ, PYTHONPATH=str(repository), **UNSAFE),
        capture_output=True,
        text=True,
    )
    assert 'nothing in it was run' in result.stderr, result.stderr[-2000:]


def test_guarding_twice_changes_nothing():
    before = CheckpointLoader.load_checkpoint
    guard_runner()
    assert CheckpointLoader.load_checkpoint == before


@pytest.mark.slow
def test_the_commands_refuse_a_hostile_checkpoint(tmp_path, pickled, tiny_weights, repository):
    model = read_metadata(tiny_weights)['model']
    config = tmp_path / 'tiny.py'
    shipped = repository / 'configs/sgdfuse-compact_ivif.py'
    model['_delete_'] = True
    config.write_text(f"_base_ = '{shipped}'\nmodel = {model}\n")
    for tool, *arguments in (
        ('model_converters/export_weights.py', pickled, config, tmp_path / 'out.safetensors'),
        ('test.py', config, pickled, '--out-dir', tmp_path / 'out'),
    ):
        result = subprocess.run(
            [sys.executable, str(repository / 'tools' / tool), *map(str, arguments)],
            env=dict(os.environ, PYTHONPATH=str(repository), OMP_NUM_THREADS='1', **UNSAFE),
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert result.returncode
        assert 'nothing in it was run' in result.stderr, result.stderr[-3000:]
        assert 'Traceback' not in result.stderr

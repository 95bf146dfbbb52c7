"""The training command: its arguments, and real runs that are killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import pytest
import torch

from mmsgdfuse.cli import train as train_command
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.engine.checkpoints import epoch_checkpoints, read_checkpoint

REPOSITORY = Path(__file__).resolve().parents[2]
TRAIN = REPOSITORY / 'tools' / 'train.py'
CONFIG = REPOSITORY / 'configs' / 'sgdfuse-compact_ivif.py'
PHASES = ('preliminary', 'diffusion', 'fusion')
EPOCHS = 2

# Runs the training command, and kills it at one iteration: nothing is flushed, closed or saved.
KILLED = """
import os, runpy, signal, sys
from mmsgdfuse.engine import EpochSeedHook

train, phase, epoch, iteration, *sys.argv[1:] = sys.argv[1:]

def kill(self, runner, batch_idx, **kwargs):
    place = os.path.basename(runner.work_dir), str(runner.epoch), str(batch_idx)
    if place == (phase, epoch, iteration):
        os.kill(os.getpid(), signal.SIGKILL)

EpochSeedHook.after_train_iter = kill
runpy.run_path(train, run_name='__main__')
"""


@pytest.fixture(scope='module')
def data_root(tmp_path_factory) -> Path:
    """One pair of every training set, and one to validate on."""
    root = tmp_path_factory.mktemp('data')
    folders = [f'{name}/train' for name in ('MSRS', 'RoadScene', 'LLVIP', 'M3FD', 'TNO')]
    for seed, folder in enumerate([*folders, 'MSRS/dev']):
        scene = synthetic_scene(seed=seed, size=(56, 64))
        images = dict(ir=scene.ir, vi=scene.vis[..., ::-1])
        for name, image in images.items():
            (root / folder / name).mkdir(parents=True)
            assert cv2.imwrite(str(root / folder / name / f'{seed}.png'), image)
    return root


class Training:
    """One work folder of the shipped compact recipe, cut down to a few iterations."""

    def __init__(self, data_root: Path, folder: Path, *arguments: str, num_workers: int = 0):
        self.folder = folder
        self.arguments = [
            str(CONFIG), '--work-dir', str(folder), *arguments, '--cfg-options',
            f'data_root={data_root}', f'cache_dir={folder / "masks"}', 'crop_size=48',
            'batch_size=4', f'num_workers={num_workers}', f'max_epochs={EPOCHS}',
            'train_cfg.val_interval=1', 'val_dataloader.dataset.indices=1',
            'default_hooks.logger.interval=1',
        ]  # fmt: skip

    def run(self, *command: str, resume: bool = False) -> subprocess.CompletedProcess:
        command = [sys.executable, *command, *self.arguments, *(['--resume'] * resume)]
        environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(REPOSITORY))
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def finish(self, resume: bool = False) -> str:
        result = self.run(str(TRAIN), resume=resume)
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-6000:]
        return result.stdout + result.stderr

    def kill_in(self, phase: str, resume: bool = False) -> None:
        """Kill it at the third iteration of a phase's second epoch."""
        result = self.run('-c', KILLED, str(TRAIN), phase, '1', '2', resume=resume)
        assert result.returncode == -signal.SIGKILL, result.stderr[-6000:]
        names = [path.name for path in epoch_checkpoints(self.folder / phase)]
        assert names == ['epoch_1.pth']

    def logged(self, phase: str) -> dict[str, str]:
        """What was logged for each step, without what depends on the clock and the machine.

        A step that was logged twice, before a kill and after it, must read the same.
        """
        lines: dict[str, str] = {}
        for log in sorted((self.folder / phase).glob('*/vis_data/scalars.json')):
            for line in log.read_text().splitlines():
                values = {
                    name: value
                    for name, value in json.loads(line).items()
                    if not name.endswith('time') and name != 'memory'
                }
                kind = 'train' if 'loss' in values else 'val'
                step, text = f'{kind} {values["step"]}', json.dumps(values, sort_keys=True)
                assert lines.setdefault(step, text) == text
        return lines

    def checkpoint(self, phase: str) -> dict:
        return read_checkpoint(self.folder / phase / f'epoch_{EPOCHS}.pth')


def assert_same_weights(first: Training, second: Training, phases: tuple[str, ...]) -> None:
    for phase in phases:
        one, other = first.checkpoint(phase), second.checkpoint(phase)
        for part in ('state_dict', 'ema_state_dict'):
            assert one[part].keys() == other[part].keys()
            for name, value in one[part].items():
                assert torch.equal(value, other[part][name]), f'{phase}: {part} {name}'


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestRuns:
    def test_killed_in_every_phase_and_resumed(self, data_root, tmp_path):
        unbroken = Training(data_root, tmp_path / 'unbroken')
        broken = Training(data_root, tmp_path / 'broken')
        with ThreadPoolExecutor(1) as background:
            printed_unbroken = background.submit(unbroken.finish)
            for phase in PHASES:
                broken.kill_in(phase, resume=phase != PHASES[0])
            printed = broken.finish(resume=True)
        assert 'phase 3 of 3, fusion: starts from' in printed_unbroken.result()
        finished = f'finished; the last checkpoint is {unbroken.folder / "fusion"}'
        assert finished in printed_unbroken.result()
        assert 'phase 1 of 3, preliminary: finished already' in printed
        assert f'phase 3 of 3, fusion: goes on after epoch 1 of {EPOCHS}' in printed

        for phase in PHASES:
            logged = unbroken.logged(phase)
            steps = [step for step in logged if step.startswith('train')]
            assert len(steps) == EPOCHS * 5  # 20 pairs in batches of 4
            assert len(logged) == len(steps) + EPOCHS  # and a validation after every epoch
            assert broken.logged(phase) == logged
        assert_same_weights(unbroken, broken, PHASES)

        # what else a run owes: a rate that falls to its end, a phase that starts from the last
        rates = [json.loads(line).get('lr') for line in unbroken.logged('fusion').values()]
        rates = [rate for rate in rates if rate is not None]
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] < 0.1 * rates[0]
        inherited = unbroken.checkpoint('preliminary')['state_dict']
        # what is handed on is the moving average; mmengine keeps the weights themselves beside it
        unaveraged = unbroken.checkpoint('preliminary')['ema_state_dict']
        assert all(not torch.equal(w, unaveraged[f'module.{n}']) for n, w in inherited.items())
        final = unbroken.checkpoint('fusion')['state_dict']
        assert all(torch.equal(value, final[name]) for name, value in inherited.items())
        assert list((unbroken.folder / 'fusion').glob('*/vis_data/vis_image/*'))
        assert list((unbroken.folder / 'fusion').glob('*/vis_data/events.out.tfevents*'))

        result = unbroken.run(str(TRAIN))
        assert result.returncode != 0
        assert 'pass --resume to go on from it' in result.stderr

    def test_one_phase_with_a_worker(self, data_root, tmp_path):
        arguments = '--phase', 'preliminary'
        unbroken = Training(data_root, tmp_path / 'unbroken', *arguments, num_workers=1)
        broken = Training(data_root, tmp_path / 'broken', *arguments, num_workers=1)
        with ThreadPoolExecutor(1) as background:
            printed = background.submit(unbroken.finish)
            broken.kill_in('preliminary')
            broken.finish(resume=True)
        assert 'phase 1 of 1, preliminary: starts' in printed.result()
        assert broken.logged('preliminary') == unbroken.logged('preliminary')
        assert_same_weights(unbroken, broken, ('preliminary',))


@pytest.fixture(scope='module')
def train():
    """The subcommand as a module."""
    return train_command


class TestArguments:
    @pytest.fixture
    def planned(self, train, monkeypatch) -> dict:
        """What would be trained."""
        seen: dict = {}

        def run_phases(phases, resume=False, load_from=None):
            seen.update(phases=phases, resume=resume, load_from=load_from)
            return Path('last.pth')

        monkeypatch.setattr(train, 'run_phases', run_phases)
        return seen

    def test_all_phases_by_default(self, train, planned, capsys):
        train.main([str(CONFIG)])
        assert tuple(phase.name for phase in planned['phases']) == PHASES
        assert planned['phases'][1].work_dir == Path('work_dirs/sgdfuse-compact_ivif/diffusion')
        assert planned['resume'] is False
        assert 'the last checkpoint is last.pth' in capsys.readouterr().out

    def test_options(self, train, planned, tmp_path, monkeypatch):
        # the processes themselves are started in the tests of compat.py
        distributed = []
        monkeypatch.setattr(train, 'distribute_on_cpu', distributed.append)
        train.main(
            [str(CONFIG), '--work-dir', str(tmp_path), '--resume', '--launcher', 'pytorch',
             '--load-from', 'mine.pth', '--cfg-options', 'data_root=/elsewhere', 'max_epochs=3']
        )  # fmt: skip
        assert planned['resume'] is True
        assert planned['load_from'] == 'mine.pth'
        assert distributed == [phase.cfg for phase in planned['phases']]
        for phase in planned['phases']:
            assert phase.work_dir.parent == tmp_path
            assert phase.cfg.launcher == 'pytorch'
            assert phase.max_epochs == 3
            assert "'data'" not in repr(phase.cfg.train_dataloader)
            assert '/elsewhere' in repr(phase.cfg.train_dataloader)

    def test_one_phase(self, train, planned, tmp_path):
        train.main([str(CONFIG), '--work-dir', str(tmp_path), '--phase', 'preliminary'])
        assert [phase.name for phase in planned['phases']] == ['preliminary']

    def test_mixed_precision(self, train, planned, monkeypatch):
        monkeypatch.setattr('torch.cuda.is_available', lambda: True)
        train.main([str(CONFIG), '--amp'])
        for phase in planned['phases']:
            assert phase.cfg.optim_wrapper.type == 'AmpOptimWrapper'
            assert phase.cfg.optim_wrapper.loss_scale == 'dynamic'
            assert phase.cfg.optim_wrapper.clip_grad.max_norm > 0

    def test_mixed_precision_of_a_cpu(self, train, planned, monkeypatch):
        monkeypatch.setattr('torch.cuda.is_available', lambda: False)
        train.main([str(CONFIG), '--amp'])
        for phase in planned['phases']:
            assert phase.cfg.optim_wrapper.type == 'mmsgdfuse.BFloat16OptimWrapper'
            assert phase.cfg.optim_wrapper.clip_grad.max_norm > 0

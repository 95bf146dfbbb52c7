"""Two real processes train as one does, are killed, resume and test."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import parallel_job
import pytest
import torch
from torch import Tensor

from mmsgdfuse.engine.checkpoints import epoch_checkpoints, read_checkpoint
from mmsgdfuse.models import losses
from mmsgdfuse.models.losses import FusionLoss
from mmsgdfuse.utils.image_io import read_image

TOOLS = parallel_job.CONFIGS.parents[1] / 'tools'
PRELIMINARY = 'sgdfuse-preliminary_1xb24-200e_msrs.py'
PHASES = tuple(parallel_job.MODELS_OF_PHASES)


def run(*command: object, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=800,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable, **environment},
    )


def launch(tool: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """Run one of the launch scripts on a free port."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    # the configs of these tests import the hook that kills
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get('PYTHONPATH', '')])
    return run(
        TOOLS / f'dist_{tool}.sh', *arguments, MASTER_PORT=port, PYTHONPATH=path, **environment
    )


@pytest.fixture(scope='module')
def data_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('data')
    parallel_job.write_pairs(root)
    return root


@pytest.fixture(scope='module')
def job(data_root, tmp_path_factory) -> Path:
    """Folder of what both processes of parallel_job.py wrote."""
    out = tmp_path_factory.mktemp('job')
    result = run(
        sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2',
        parallel_job.__file__, data_root, out,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-6000:]
    return out


@pytest.fixture(scope='module')
def ranks(job) -> list[dict]:
    """What each process saw."""
    return [torch.load(job / f'{rank}.pth', weights_only=True) for rank in (0, 1)]


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name] - value).abs().max() <= tolerance, name


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestTraining:
    @pytest.mark.parametrize('phase', PHASES)
    def test_both_processes_end_with_equal_weights(self, ranks, phase):
        first, second = (rank[phase] for rank in ranks)
        for moment in ('start', 'end', 'average'):
            assert_close(second[moment], first[moment], tolerance=0)
        # and that says something: they saw other pairs, and all that is not frozen has moved
        assert first['paths'] != second['paths']
        moved = {
            name.split('.')[0]
            for name, value in first['end'].items()
            if not torch.equal(value, first['start'][name])
        }
        trained = dict(
            preliminary={'preliminary'},
            diffusion={'denoiser'},
            fusion={'preliminary', 'denoiser', 'head'},
        )
        assert moved == trained[phase]

    def test_an_epoch_shows_every_pair(self, ranks):
        for epoch in range(parallel_job.EPOCHS):
            steps = [rank['preliminary']['paths'][2 * epoch : 2 * epoch + 2] for rank in ranks]
            paths = [path for rank in steps for step in rank for path in step]
            assert len(paths) == parallel_job.PAIRS + 1  # padded to two equal shares
            assert len(set(paths)) == parallel_job.PAIRS

    @pytest.mark.parametrize('phase', PHASES)
    def test_gradients_are_those_of_one_process_with_the_whole_batch(self, ranks, phase):
        expected = parallel_job.gradients(phase)
        assert all(gradient.abs().max() > 0 for gradient in expected.values())
        for rank in ranks:
            assert_close(rank[f'gradients {phase}'], expected, tolerance=1e-12)

    def test_accumulated_gradients_are_those_of_the_whole_batch(self, ranks):
        """In one process, and in two."""
        expected = parallel_job.step(parts=1)
        for found in (parallel_job.step(parts=2), *(rank['step'] for rank in ranks)):
            assert_close(found, expected, tolerance=1e-12)

    def test_sharded_it_learns_the_same(self, job, ranks):
        """Trained for one epoch, resumed for another; the gradients are clipped in each step."""
        start, end = (ranks[0]['diffusion'][moment] for moment in ('start', 'end'))
        assert max((end[name] - start[name]).abs().max() for name in end) > 1e-3
        saved = read_checkpoint(job / 'fsdp' / f'epoch_{parallel_job.EPOCHS}.pth')
        assert_close(saved['state_dict'], end, tolerance=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_process_ends_the_job_which_then_resumes(job, data_root, tmp_path):
    config = tmp_path / 'killed.py'
    config.write_text(
        f'_base_ = {str(parallel_job.CONFIGS / PRELIMINARY)!r}\n'
        "custom_imports = dict(imports=['mmsgdfuse', 'parallel_job'])\n"
        "custom_hooks = [*_base_.custom_hooks, dict(type='KillHook')]\n"
    )
    options = parallel_job.options(data_root, 'preliminary')
    work_dir, killed = tmp_path / 'work', tmp_path / 'killed'
    command = (
        'train', config, 2, '--work-dir', work_dir,
        '--cfg-options', *(f'{name}={value}' for name, value in options.items()),
    )  # fmt: skip

    result = launch(*command, KILL=str(killed))
    assert time.time() - killed.stat().st_mtime < 60
    assert result.returncode != 0
    assert 'Signal 9 (SIGKILL) received by PID' in result.stderr
    assert [path.name for path in epoch_checkpoints(work_dir)] == ['epoch_1.pth']

    result = launch(*command, '--resume')
    assert result.returncode == 0, result.stderr[-6000:]
    assert 'goes on after epoch 1 of 2' in result.stdout + result.stderr
    resumed, unbroken = (
        read_checkpoint(folder / f'epoch_{parallel_job.EPOCHS}.pth')
        for folder in (work_dir, job / 'preliminary')
    )
    for part in ('state_dict', 'ema_state_dict'):
        assert_close(resumed[part], unbroken[part], tolerance=0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_test_run_gives_the_values_of_one_process(job, data_root, tmp_path):
    """Of seven pairs one process tests four and the other three, and one again."""
    options = parallel_job.options(data_root, 'preliminary')
    for key, folder in dict(ir='ir', vis='vi').items():
        options[f'test_dataloader.dataset.data_prefix.{key}'] = f'MSRS/train/{folder}'
    config, checkpoint = parallel_job.CONFIGS / PRELIMINARY, job / 'preliminary' / 'epoch_2.pth'
    rest = ['--cfg-options', *(f'{name}={value}' for name, value in options.items())]
    spec = importlib.util.spec_from_file_location('parallel_test_tool', TOOLS / 'test.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    arguments = [str(config), str(checkpoint), '--out-dir', str(tmp_path / 'one'), *rest]
    assert tool.main(arguments) == 0
    result = launch('test', config, checkpoint, 2, '--out-dir', tmp_path / 'two', *rest)
    assert result.returncode == 0, result.stderr[-6000:]

    one, two = (
        json.loads((tmp_path / name / 'metrics.json').read_text())['metrics']
        for name in ('one', 'two')
    )
    assert one['fusion/EN_count'] == parallel_job.PAIRS
    # an undefined value, which approx cannot compare, is null
    defined = {name for name, value in one.items() if value is not None}
    assert {name for name, value in two.items() if value is not None} == defined
    assert {name: two[name] for name in defined} == pytest.approx(
        {name: one[name] for name in defined}, rel=1e-9
    )
    images = [path.name for path in sorted((tmp_path / 'one' / 'fused').iterdir())]
    assert len(images) == parallel_job.PAIRS
    for name in images:
        fused = [read_image(tmp_path / folder / 'fused' / name) for folder in ('one', 'two')]
        assert (fused[0] == fused[1]).all()


# The others are means over the images of a batch, so that several processes, or gradients that
# are accumulated, give what one larger batch gives (docs/train.md).
POOLED = {'VIFLoss', 'EdgePreservationLoss', 'QuietRegionLoss'}
ALL_LOSSES = sorted(
    name
    for name, value in vars(losses).items()
    if isinstance(value, type) and issubclass(value, FusionLoss) and value is not FusionLoss
)


@pytest.mark.parametrize('name', ALL_LOSSES)
def test_which_losses_are_means_over_the_batch(name):
    loss = getattr(losses, name)()
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int) -> Tensor:
        images = torch.rand(2, channels, 48, 48, generator=generator, dtype=torch.double)
        # images of unlike contrast, smooth enough to have quiet regions and edges
        smooth = torch.nn.functional.avg_pool2d(images, 5, stride=1, padding=2)
        return smooth * torch.tensor([0.5, 1.5]).view(2, 1, 1, 1).double() - 0.5

    fused, ir, vis = draw(3), draw(1), draw(3)
    mask = torch.rand(2, 1, 48, 48, generator=generator, dtype=torch.double)
    batch = (fused, ir, vis, mask)
    whole = loss(*batch)
    mean = torch.stack([loss(*(image[i : i + 1] for image in batch)) for i in range(2)]).mean()
    assert torch.isclose(whole, mean, rtol=1e-9, atol=0) == (name not in POOLED)

"""The shell scripts that start training and tests on many processes."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

TRAIN = ('config.py', '2', '--amp', '--cfg-options', 'a=b c')
TEST = ('config.py', 'weights.pth', '2', '--overwrite')
SLURM_TRAIN = ('gpus', 'job', 'config.py', 'work dir', '--amp')
SLURM_TEST = ('gpus', 'job', 'config.py', 'weights.pth', '--overwrite')


def launch(script, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.fixture
def echo(tmp_path):
    """A program that prints its arguments so that the shell could read them back."""
    program = tmp_path / 'srun'
    program.write_text('#!/usr/bin/env bash\nprintf "%q " "$@"\n')
    program.chmod(0o755)
    return program


def test_train_on_one_machine(repository, echo):
    result = launch(repository / 'tools/dist_train.sh', *TRAIN, PYTHON=str(echo), MASTER_PORT='99')
    assert result.returncode == 0, result.stderr
    words = shlex.split(result.stdout)
    assert words[:2] == ['-m', 'torch.distributed.run']
    assert {'--nproc_per_node=2', '--master_port=99', '--nnodes=1'} <= set(words)
    script = words.index(str(repository / 'tools/train.py'))
    assert words[script + 1 :] == [
        'config.py', '--launcher', 'pytorch', '--amp', '--cfg-options', 'a=b c',
    ]  # fmt: skip


def test_test_on_one_machine(repository, echo):
    result = launch(repository / 'tools/dist_test.sh', *TEST, PYTHON=str(echo))
    words = shlex.split(result.stdout)
    assert '--nproc_per_node=2' in words
    script = words.index(str(repository / 'tools/test.py'))
    assert words[script + 1 :] == [
        'config.py', 'weights.pth', '--launcher', 'pytorch', '--overwrite',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('script', 'arguments', 'expected'),
    [
        (
            'train',
            SLURM_TRAIN,
            ['config.py', '--work-dir', 'work dir', '--launcher', 'slurm', '--amp'],
        ),
        (
            'test',
            SLURM_TEST,
            ['config.py', 'weights.pth', '--launcher', 'slurm', '--overwrite'],
        ),
    ],
)
def test_slurm(repository, echo, script, arguments, expected):
    result = launch(
        repository / f'tools/slurm_{script}.sh',
        *arguments,
        PATH=f'{echo.parent}:{os.environ["PATH"]}',
        GPUS='4',
        SRUN_ARGS='--time=1 --mem=2',
    )
    assert result.returncode == 0, result.stderr
    words = shlex.split(result.stdout)
    assert {'--partition=gpus', '--job-name=job', '--ntasks=4', '--gres=gpu:4'} <= set(words)
    assert {'--time=1', '--mem=2', '--kill-on-bad-exit=1'} <= set(words)
    assert words[words.index(str(repository / f'tools/{script}.py')) + 1 :] == expected


@pytest.mark.parametrize('name', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_too_few_arguments_show_the_usage(repository, name):
    result = launch(repository / f'tools/{name}.sh', 'config.py')
    assert result.returncode == 2
    assert result.stderr.startswith('usage:')

"""What ``pip install .`` puts on a machine that has no checkout."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from test_import_cost import WITHOUT_TORCH

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = ('configs', 'mmsgdfuse', 'requirements', 'tools')
FILES = ('model-index.yml', 'LICENSE', 'MANIFEST.in', 'README.md', 'pyproject.toml', 'setup.py')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The package as a wheel, built from a copy so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp('source')
    for name in FOLDERS:
        shutil.copytree(REPOSITORY / name, copy / name)
    for name in FILES:
        shutil.copy(REPOSITORY / name, copy / name)
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation']
    subprocess.run(
        [*command, '--wheel-dir', str(copy / 'wheel'), str(copy)],
        check=True,
        capture_output=True,
        timeout=240,
    )
    (path,) = (copy / 'wheel').glob('*.whl')
    return zipfile.ZipFile(path)


def test_holds_everything_that_fusing_needs(wheel):
    names = set(wheel.namelist())
    tracked = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / 'mmsgdfuse').rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }
    assert tracked <= names
    assert any(name.endswith('.safetensors') for name in names)


def test_holds_configs_and_tools_and_nothing_else(wheel):
    names = set(wheel.namelist())
    for folder in ('configs', 'tools'):
        for path in (REPOSITORY / folder).rglob('*.py'):
            assert f'mmsgdfuse/.mim/{path.relative_to(REPOSITORY).as_posix()}' in names
    assert {name.split('/')[0].split('-')[0] for name in names} == {'mmsgdfuse'}
    assert not [name for name in names if '__pycache__' in name]


@pytest.fixture(scope='module')
def requirements(wheel) -> list[str]:
    """What the wheel requires, extras included, and under no condition without."""
    (metadata,) = (name for name in wheel.namelist() if name.endswith('.dist-info/METADATA'))
    return Parser().parsestr(wheel.read(metadata).decode()).get_all('Requires-Dist')


def of_extra(requirements: list[str], extra: str) -> set[str]:
    """Names of the packages that an extra brings, with those of the extras that it names."""
    found = set()
    for line in requirements:
        name, _, condition = line.partition(';')
        if f'extra == "{extra}"' not in condition:
            continue
        own = re.fullmatch(r'mmsgdfuse\[(.+)\]', name.strip())
        found |= of_extra(requirements, own[1]) if own else {re.match(r'[\w-]+', name)[0]}
    return found


def test_the_core_is_light(requirements):
    core = {re.match(r'[\w-]+', line)[0] for line in requirements if 'extra ==' not in line}
    light = {'click', 'jinja2', 'matplotlib', 'numpy', 'opencv-python-headless', 'pillow'}
    light |= {'pyyaml', 'rich', 'scipy'}
    assert core == light


def test_extras_bring_one_stack_each(requirements):
    network = {'torch', 'torchvision', 'diffusers', 'safetensors'}
    assert of_extra(requirements, 'train') == network
    assert of_extra(requirements, 'openmmlab') == network | {'mmengine', 'mmcv-lite', 'setuptools'}
    assert of_extra(requirements, 'lite') == of_extra(requirements, 'openmmlab')
    assert of_extra(requirements, 'onedl') == network | {'onedl-mmengine', 'onedl-mmcv'}
    assert of_extra(requirements, 'onnx') == {'onnxruntime'}
    # an installed mmcv stays, and no fork is overwritten
    assert network | {'mmengine', 'mmdet', 'mmsegmentation'} <= of_extra(requirements, 'downstream')
    assert not [name for name in of_extra(requirements, 'downstream') if name.startswith('mmcv')]
    forks = of_extra(requirements, 'onedl-downstream')
    assert {'onedl-mmdetection', 'onedl-mmsegmentation'} <= forks
    assert not [name for name in forks if name.startswith('mm')]
    for extra in ('sam', 'tensorboard'):
        assert not [name for name in of_extra(requirements, extra) if 'mm' in name]
    assert {'mmengine', 'mmdet', 'segment-anything', 'tensorboard'} <= of_extra(requirements, 'all')


def test_runs_without_torch_from_the_wheel(wheel, tmp_path):
    """Unpacked and run where torch, mmengine and mmcv cannot be imported."""
    wheel.extractall(tmp_path)
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
{WITHOUT_TORCH}
import mmsgdfuse
import numpy as np
from mmsgdfuse.evaluation import fusion_metrics
from mmsgdfuse.io import InfraredReader
assert mmsgdfuse.__file__.startswith({str(tmp_path)!r})
image = (np.indices((64, 64)).prod(axis=0) % 251).astype(np.uint8)
print(round(fusion_metrics(image, image, image, ['VIF'])['VIF'], 6))
"""
    run = [sys.executable, '-c', program]
    result = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.stdout == '2.0\n', result.stderr

"""What ``pip install .`` puts on a machine that has no checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = ('configs', 'mmsgdfuse', 'requirements', 'tools')
FILES = ('LICENSE', 'MANIFEST.in', 'README.md', 'pyproject.toml', 'setup.py')


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


def test_leaves_the_choice_of_mmcv_to_the_user(wheel):
    (metadata,) = (name for name in wheel.namelist() if name.endswith('.dist-info/METADATA'))
    fields = Parser().parsestr(wheel.read(metadata).decode())
    required = [line for line in fields.get_all('Requires-Dist') if 'extra ==' not in line]
    assert not [line for line in required if line.startswith(('mmcv', 'opencv'))]
    assert {'lite', 'downstream', 'sam', 'tensorboard', 'tests'} <= set(
        fields.get_all('Provides-Extra')
    )

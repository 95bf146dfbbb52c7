"""The command `mmsgdfuse`: its subcommands, help, completion, version and exit codes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mmsgdfuse.cli import main
from mmsgdfuse.cli.command import SUBCOMMANDS
from mmsgdfuse.utils.assets import STUDENT_WEIGHTS
from mmsgdfuse.version import __version__


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(main, arguments)


def test_help_lists_every_subcommand_and_the_exit_codes(run):
    said = run('--help')
    assert said.exit_code == 0
    for name, summary in SUBCOMMANDS.items():
        assert name in said.output
        assert summary.split()[0] in said.output
    assert '130 stopped by' in ' '.join(said.output.split())
    assert run('--version').output == f'mmsgdfuse, version {__version__}\n'


@pytest.mark.parametrize('name', SUBCOMMANDS)
def test_each_subcommand_has_the_help_of_its_parser(run, name):
    said = run(name, '--help')
    assert said.exit_code == 0
    assert said.output.startswith(f'usage: mmsgdfuse {name} ')


def test_the_help_imports_neither_torch_nor_a_subcommand():
    code = (
        'import sys\nfrom click.testing import CliRunner\nfrom mmsgdfuse.cli import main\n'
        'assert CliRunner().invoke(main, ["--help"]).exit_code == 0\n'
        'print([n for n in sys.modules if n in ("torch", "mmengine", "cv2", "matplotlib")'
        ' or n.startswith("mmsgdfuse.cli.") and n != "mmsgdfuse.cli.command"])'
    )
    found = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == '[]'


def test_what_a_subcommand_returns_is_the_exit_code(run, tmp_path):
    assert run('fuse', 'nowhere.png', 'there.png', '-o', str(tmp_path / 'x.png')).exit_code == 2
    (tmp_path / 'ir').mkdir()
    (tmp_path / 'vi').mkdir()
    assert run('check', str(tmp_path / 'ir'), str(tmp_path / 'vi')).exit_code == 1
    assert run('wibble').exit_code == 2
    assert run('check', '--wibble').exit_code == 2


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ('mmsgdfuse reg', 'register'),
        ('mmsgdfuse fuse --pol', '--polarity'),
        ('mmsgdfuse fuse --polarity bl', 'black-hot'),
        ('mmsgdfuse train --re', '--resume'),
    ],
)
def test_shells_complete_names_options_and_choices(words, expected):
    position = str(words.count(' '))
    environment = dict(_MMSGDFUSE_COMPLETE='bash_complete', COMP_WORDS=words, COMP_CWORD=position)
    code = 'from mmsgdfuse.cli import main; main(prog_name="mmsgdfuse")'
    found = subprocess.run(
        [sys.executable, '-c', code], env=environment, check=True, capture_output=True, text=True
    )
    assert f'plain,{expected}' in found.stdout.splitlines()


def test_info_for_readers_and_programs(run):
    found = json.loads(run('info', '--json').output)
    assert found['mmsgdfuse'] == __version__
    assert found['packages']['numpy']['version']
    digest = hashlib.sha256(STUDENT_WEIGHTS.read_bytes()).hexdigest()
    assert found['weights'][STUDENT_WEIGHTS.name]['sha256'] == digest
    said = run('info').output
    assert f'stack: {found["stack"]}' in said
    assert digest[:12] in said


def test_scripts_by_path_and_the_module_are_the_command(repository):
    for command in (['tools/fuse.py'], ['-m', 'mmsgdfuse', 'fuse']):
        said = subprocess.run(
            [sys.executable, *command, '--help'],
            cwd=repository,
            check=True,
            capture_output=True,
            text=True,
        )
        assert said.stdout.startswith('usage: mmsgdfuse fuse')


def test_what_a_light_install_lacks_is_one_line():
    code = (
        'import sys\nfor name in ("torch", "mmengine", "mmcv"): sys.modules[name] = None\n'
        'from mmsgdfuse.cli import main\nmain(["train", "config.py"])'
    )
    found = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert found.returncode == 2
    assert 'Traceback' not in found.stderr
    assert "pip install 'mmsgdfuse[openmmlab]'" in ' '.join(found.stderr.split())

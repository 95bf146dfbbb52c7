from __future__ import annotations

import errno
import os
import runpy
import subprocess
import sys

import pytest

from mmsgdfuse.datasets import pairing


@pytest.fixture
def check_pairs(repository):
    """The tool's ``main``."""
    return runpy.run_path(repository / 'tools/dataset_converters/check_pairs.py')['main']


def test_sound_folders(check_pairs, make_pairs, capsys):
    root = make_pairs(suffixes=('.png', '.jpg'))
    assert check_pairs([f'{root}/ir', f'{root}/vi']) == 0
    assert '3 sound pair(s), 0 fault(s), 3 .png, 3 .jpg files' in capsys.readouterr().out
    assert check_pairs(['--root', str(root)]) == 0


def test_every_fault_is_listed(check_pairs, make_pairs, capsys):
    root = make_pairs(names='abcdef')
    (root / 'vi/a.png').unlink()
    (root / 'ir/b.png').write_bytes(b'')
    (root / 'vi/c.png').write_bytes((root / 'vi/c.png').read_bytes()[:-30])
    content = bytearray((root / 'vi/d.png').read_bytes())
    content[len(content) // 2] ^= 0xFF
    (root / 'vi/d.png').write_bytes(content)
    assert check_pairs([f'{root}/ir', f'{root}/vi']) == 1
    report = capsys.readouterr().out
    for name, fault in (
        ('ir/a.png', 'no vis image'), ('ir/b.png', 'empty'), ('vi/c.png', 'truncated'),
        ('vi/d.png', 'damaged'),
    ):  # fmt: skip
        assert any(name in line and fault in line for line in report.splitlines())
    assert '2 sound pair(s), 4 fault(s)' in report

    assert check_pairs([f'{root}/ir', f'{root}/vi', '--quick']) == 1
    assert '2 sound pair(s), 4 fault(s)' in capsys.readouterr().out


def test_known_layout_names_and_labels(check_pairs, make_pairs, tmp_path, capsys):
    root = make_pairs('infrared/train', 'visible/train')
    names = tmp_path / 'names.txt'
    names.write_text('b\nc\n')
    arguments = ['--root', str(root), '--layout', 'LLVIP', '--split', 'train']
    assert check_pairs([*arguments, '--names', str(names)]) == 0
    assert '2 sound pair(s)' in capsys.readouterr().out
    assert check_pairs([*arguments, '--labels', str(tmp_path / 'none')]) == 1
    assert 'none: no such folder' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'two folders'),
        (['ir'], 'ir is the infrared folder'),
        (['ir', 'vi', '--root', 'x'], 'either'),
        (['ir', 'vi', '--workers', '0'], '--workers'),
        (['--root', 'x', '--layout', 'KAIST'], 'KAIST'),
    ],
)
def test_wrong_command_lines(check_pairs, arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        check_pairs(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_wrong_arguments_found_later(check_pairs, capsys):
    assert check_pairs(['--root', 'x', '--layout', 'LLVIP']) == 2
    assert 'needs a split' in capsys.readouterr().err
    assert check_pairs(['ir', 'vi', '--names', 'none.txt']) == 2
    assert 'none.txt' in capsys.readouterr().err


def test_as_a_command(repository, make_pairs):
    root = make_pairs()
    (root / 'vi/a.png').unlink()
    done = subprocess.run(
        [sys.executable, 'tools/dataset_converters/check_pairs.py', root / 'ir', root / 'vi'],
        cwd=repository, capture_output=True, text=True, env={'PYTHONPATH': str(repository)},
        check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert 'ir/a.png: no vis image' in done.stdout


def test_a_file_that_may_not_be_read_leaves_the_rest(check_pairs, make_pairs, capsys, monkeypatch):
    root = make_pairs()
    refused = str(root / 'ir/b.png')
    read = pairing._READERS['ir']

    def reader(path):
        if path == refused:
            raise PermissionError(errno.EACCES, 'Permission denied')
        return read(path)

    monkeypatch.setitem(pairing._READERS, 'ir', reader)
    assert check_pairs([f'{root}/ir', f'{root}/vi', '--workers', '1']) == 1
    out = capsys.readouterr().out
    assert f'{refused}: cannot be read (Permission denied)' in out
    assert '2 sound pair(s), 1 fault(s)' in out


def test_links_that_lead_nowhere_are_faults(check_pairs, tmp_path, capsys):
    for camera in ('ir', 'vi'):
        (tmp_path / camera).mkdir()
        (tmp_path / camera / 'a.png').symlink_to('nowhere.png')
    assert check_pairs([f'{tmp_path}/ir', f'{tmp_path}/vi']) == 1
    out = capsys.readouterr().out
    assert 'ir/a.png: is a link to nowhere.png, which is not there' in out
    assert '0 sound pair(s), 3 fault(s)' in out  # the third says that there is no pair


def test_one_folder_for_both_cameras(check_pairs, make_pairs, capsys):
    root = make_pairs()
    assert check_pairs([f'{root}/ir', f'{root}/ir']) == 1
    out = capsys.readouterr().out
    assert 'ir: was given for both cameras' in out
    assert '0 sound pair(s), 1 fault(s)' in out


def test_a_dry_run_reads_no_image(check_pairs, make_pairs, capsys):
    root = make_pairs('kaist/V0/lwir', 'kaist/V0/visible')
    for image in (root / 'kaist').rglob('*.png'):
        image.write_bytes(b'not an image')
    rule = ['--pairs', '*/lwir/*:*/visible/*']
    assert check_pairs([f'{root}/kaist', f'{root}/kaist', *rule, '--dry-run']) == 0
    out = capsys.readouterr().out
    assert f'V0_a: {root}/kaist/V0/lwir/a.png + {root}/kaist/V0/visible/a.png\n' in out
    assert out.endswith('3 pair(s), 0 fault(s)\n')
    assert check_pairs([f'{root}/kaist', f'{root}/kaist', *rule]) == 1
    assert '0 sound pair(s), 6 fault(s)' in capsys.readouterr().out


def test_names_that_are_not_utf8(check_pairs, make_pairs, capsys):
    root = make_pairs()
    (root / 'ir' / os.fsdecode(b'\xe9.png')).write_bytes(b'')
    assert check_pairs([f'{root}/ir', f'{root}/vi']) == 1
    assert 'ir/\\udce9.png: no vis image' in capsys.readouterr().out

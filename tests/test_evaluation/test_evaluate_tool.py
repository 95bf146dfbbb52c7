"""tools/evaluate.py from the command line to the files."""

from __future__ import annotations

import errno
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmsgdfuse.evaluation import outputs, scoring
from mmsgdfuse.utils.files import write_text

TOOL = Path(__file__).parents[2] / 'tools' / 'evaluate.py'


@pytest.fixture(scope='module')
def main():
    return runpy.run_path(str(TOOL), run_name='evaluate')['main']


@pytest.fixture
def arguments(folders, tmp_path):
    paths = [str(folders[name]) for name in ('ir', 'vi', 'bright')]
    return [
        *paths,
        f'other={folders["noisy"]}',
        *('--out', str(tmp_path / 'out'), '--cache-dir', str(tmp_path / 'cache')),
        *('--workers', '0', '--resamples', '200'),
    ]


def test_a_comparison_from_the_command_line(main, arguments, tmp_path, capsys):
    assert main([*arguments, '--metrics', 'VIF', 'QRG', '--no-plots']) == 0
    shown = capsys.readouterr().out
    for row in ('visible', 'infrared', 'average', 'maximum', 'bright', 'other'):
        assert row in shown
    assert 'bright minus' in shown
    document = json.loads((tmp_path / 'out' / 'evaluation.json').read_text())
    assert document['metrics'] == ['VIF', 'QRG']
    assert list(document['rows'])[-2:] == ['bright', 'other']
    assert not (tmp_path / 'out' / 'box_plots').exists()


def test_keep_going_names_and_counts_what_is_left_out(main, arguments, folders, tmp_path, capsys):
    (folders['bright'] / '00001N.png').write_bytes(b'broken')
    (folders['vi'] / '00002N.png').unlink()
    options = ['--metrics', 'paper', '--no-plots', '--no-cache']
    assert main([*arguments, *options]) == 2
    assert 'has no partner' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
    assert main([*arguments, *options, '--keep-going']) == 0
    told = capsys.readouterr().err
    assert 'left out for all methods: 2 images' in told
    assert str(folders['bright'] / '00001N.png') in told
    assert str(folders['vi']) in told
    document = json.loads((tmp_path / 'out' / 'evaluation.json').read_text())
    assert document['images'] == ['00000N', '00003N']
    assert len(document['left_out']) == 2
    assert not (tmp_path / 'cache').exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--metrics', 'FSIM'], 'unknown metric'),
        (['--resamples', '0'], 'resamples'),
        (['--metrics', 'EN', '--contrast', 'bright', 'absent', 'EN'], "'absent' is not among"),
    ],
)
def test_mistakes_are_told_without_a_traceback(main, arguments, capsys, options, message):
    assert main([*arguments, *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_everything_with_plots(main, arguments, tmp_path):
    assert main([*arguments, '--contrast', 'other', 'maximum', 'Qabf']) == 0
    assert (tmp_path / 'out' / 'box_plots' / 'MS_SSIM.png').is_file()
    page = (tmp_path / 'out' / 'largest_differences.html').read_text()
    assert 'other against maximum: where Qabf differs most' in page


def test_names_that_are_markup_or_not_utf8(main, arguments, folders, tmp_path, capfdbinary):
    shown = '[bold]m\\udce9[/red]'
    folder = tmp_path / os.fsdecode(b'[blue]\xe9[x]')
    folders['bright'].rename(folder)
    for root in (folders['ir'], folders['vi'], folders['noisy'], folder):
        (root / '00000N.png').rename(root / os.fsdecode(b'[u]\xff.png'))
    method = os.fsdecode(b'[bold]m\xe9[/red]')
    given = [*arguments[:2], f'{method}={folder}', *arguments[3:], '--metrics', 'EN', 'SD']
    assert main([*given, '--contrast', method, 'other', 'EN']) == 0
    assert shown.encode() in capfdbinary.readouterr().out
    out = tmp_path / 'out'
    for name in ('metrics.csv', 'per_image.csv', 'metrics.md', 'metrics.tex'):
        text = (out / name).read_text(encoding='utf-8')
        expected = {'metrics.tex': 'udce9[/red]', 'metrics.md': r'\[bold\]m\udce9\[/red\]'}
        assert expected.get(name, shown) in text
    assert '[u]\\udcff' in (out / 'per_image.csv').read_text(encoding='utf-8')
    assert shown in (out / 'largest_differences.html').read_text(encoding='utf-8')
    document = json.loads((out / 'evaluation.json').read_text(encoding='utf-8'))
    assert method in document['rows']
    assert os.fsdecode(b'[u]\xff') in document['images']
    assert (out / 'box_plots' / 'EN.png').is_file()


def test_a_full_disk_leaves_the_earlier_results_whole(
    main, arguments, tmp_path, monkeypatch, capsys
):
    out = tmp_path / 'out'
    assert main([*arguments, '--metrics', 'EN', 'SD']) == 0
    (out / 'notes.txt').write_text('mine')
    before = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    count = []

    def full(path, text):
        count.append(path)
        if len(count) == 4:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write_text(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(outputs, 'write_text', full)
        assert main([*arguments, '--metrics', 'EN', '--no-plots']) == 2
    err = capsys.readouterr().err
    assert f'{out}: cannot be written (No space left on device), and is as it was' in err
    assert {path: path.read_bytes() for path in out.rglob('*') if path.is_file()} == before

    assert main([*arguments, '--metrics', 'EN', '--no-plots']) == 0
    # what the new evaluation does not have is not left of the old one
    assert sorted(path.name for path in out.iterdir()) == [
        'differences.csv', 'evaluation.json', 'metrics.csv', 'metrics.md', 'metrics.tex',
        'notes.txt', 'per_image.csv',
    ]  # fmt: skip


def test_leftovers_of_a_killed_run_are_removed(main, arguments, tmp_path):
    old, new = (tmp_path / 'out' / f'.staged.{digit * 32}' for digit in '12')
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / 'metrics.csv').write_text('half')
    os.utime(old, (0, 0))
    assert main([*arguments, '--metrics', 'EN', '--no-plots']) == 0
    assert not old.exists()
    assert new.exists()  # may be that of a run which is still at work


def test_a_cache_that_cannot_be_written(main, arguments, tmp_path, capsys):
    (tmp_path / 'cache').write_text('')
    assert main([*arguments, '--metrics', 'EN', '--no-plots']) == 0
    err = capsys.readouterr().err
    assert err.count('warning: ') == 1
    assert f'warning: {tmp_path}/cache: ' in err


def test_a_bug_shows_its_traceback(main, arguments, monkeypatch):
    def broken(*args):
        raise ValueError('operands could not be broadcast together')

    monkeypatch.setattr(scoring, 'score_sample', broken)
    with pytest.raises(ValueError, match='operands'):
        main([*arguments, '--metrics', 'EN', '--no-plots'])


def test_ctrl_c_is_one_line(arguments, folders, tmp_path, repository):
    for root in folders.values():
        image = (root / '00000N.png').read_bytes()
        for number in range(100, 700):
            (root / f'{number}.png').write_bytes(image)
            # all of them differ, so that the cache holds none
            with (root / f'{number}.png').open('ab') as file:
                file.write(str(number).encode())
    command = [sys.executable, str(TOOL), *arguments[:-4], '--workers', '2', '--no-plots']
    environment = dict(os.environ, PYTHONPATH=str(repository), OMP_NUM_THREADS='1')
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    deadline = time.monotonic() + 180
    while not list((tmp_path / 'cache').glob('*/*.json')) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130
    assert 'Traceback' not in err
    told = [line for line in err.splitlines() if 'stopped before the end' in line]
    assert len(told) == 1
    assert str(tmp_path / 'cache') in told[0]
    assert not (tmp_path / 'out').exists()

"""tools/evaluate.py from the command line to the files."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

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

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from downstream_sets import write_frames

from mmsgdfuse.engine import cross_validation
from mmsgdfuse.evaluation.baselines import baseline_image
from mmsgdfuse.utils.image_io import read_image

pytest.importorskip('mmdet')

TOOL = Path(__file__).resolve().parents[2] / 'tools/analysis_tools/cross_validate_detection.py'
SOURCES = ['infrared=ir', 'visible=vi']
OPTIONS = ['--folds', '2', '--cfg-options', 'scale=(64,48)', 'batch_size=2', 'max_epochs=1']


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location('cross_validate_detection', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_frames(tmp_path, ['00001D', '00009D', '00300N', '00308N'])


@pytest.mark.slow
def test_the_whole_comparison(tool, frames, monkeypatch, capsys):
    command = ['labels', '--inputs', *SOURCES, 'maximum', '--work-dir', 'out', *OPTIONS]
    assert tool.main([*command, '--jobs', '2']) == 0
    assert '6/6' in capsys.readouterr().out

    rows = list(csv.DictReader(Path('out/cross_validation.csv').read_text().splitlines()))
    assert {(row['input'], row['fold']) for row in rows} == {
        (name, fold) for name in ('infrared', 'visible', 'maximum') for fold in '12'
    }
    report = json.loads(Path('out/cross_validation.json').read_text())
    assert sorted(report['frames'].values()) == [['00001D', '00009D'], ['00300N', '00308N']]
    assert len(report['runs']) == 6
    for name, entry in report['inputs'].items():
        values = [
            float(row['percent'])
            for row in rows
            if (row['input'], row['metric'], row['class']) == (name, 'AP50', 'mean')
        ]
        assert entry['scores']['AP50 mean']['mean'] == pytest.approx(np.mean(values))
        assert entry['scores']['AP50 mean']['deviation'] == pytest.approx(np.std(values, ddof=1))
    text = Path('out/cross_validation.md').read_text()
    assert text.count('| maximum |') == 3  # its scores, and below infrared's and visible's
    assert '| maximum minus |' in text

    monkeypatch.setattr(cross_validation, 'run_detector', None)  # all that is done is read
    assert tool.main(command) == 0
    assert '6 runs, 6 of them done' in capsys.readouterr().out


def test_a_rule_makes_its_own_images(tool, frames):
    folders = tool.find_folders([*SOURCES, 'maximum'], Path('out'))
    assert folders['maximum'] == Path('out/rules/maximum')
    for path in Path('vi').iterdir():
        ir, vis = read_image(f'ir/{path.name}'), read_image(path)
        fused = read_image(folders['maximum'] / path.name)
        expected = baseline_image('maximum', ir, vis).astype(int)
        unclipped = (fused > 0).all(axis=2) & (fused < 255).all(axis=2)
        assert unclipped.mean() > 0.5
        # R, G and B are rounded one by one, the rule's luma once
        assert np.abs(baseline_image('visible', ir, fused) - expected)[unclipped].max() <= 1


def test_the_plan_trains_nothing(tool, frames, monkeypatch, capsys):
    monkeypatch.setattr(cross_validation, 'run_detector', None)
    assert tool.main(['labels', '--inputs', *SOURCES, '--plan', *OPTIONS]) == 0
    out = capsys.readouterr().out
    assert '2 frames (2 D, ' in out
    assert '00300N-00308N' in out
    assert '4 runs, 0 of them done' in out


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        (['ours'], 'ours: expected NAME=FOLDER'),
        ([*SOURCES, 'visible=vi'], 'visible=vi: expected NAME=FOLDER, each name once'),
        (['visible=vi', 'maximum'], 'maximum: expected infrared=FOLDER and visible=FOLDER'),
        ([*SOURCES, 'ours=vi'], 'expected fused images, found the folder of the visible images'),
        ([*SOURCES, 'ours=labels'], 'labels: expected a fused image for each of 4 pairs'),
        (['infrared=nowhere'], 'nowhere: no such folder'),
    ],
)
def test_wrong_inputs_end_in_a_line(tool, frames, inputs, message, capsys):
    assert tool.main(['labels', '--inputs', *inputs, *OPTIONS]) == 2
    assert message in capsys.readouterr().err


def test_too_many_folds(tool, frames, capsys):
    assert tool.main(['labels', '--inputs', *SOURCES, '--folds', '3']) == 2
    assert 'folds must be within 2..2' in capsys.readouterr().err

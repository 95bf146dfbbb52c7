"""Tables, exports, plots and the page of largest differences."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re

import cv2
import numpy as np
import pytest
from rich.console import Console

from mmsgdfuse.evaluation.comparison import paired_differences
from mmsgdfuse.evaluation.contrast_page import contrast_page, largest_differences
from mmsgdfuse.evaluation.exports import (
    differences_csv,
    evaluation_json,
    images_csv,
    means_csv,
)
from mmsgdfuse.evaluation.folders import Problem, match_folders
from mmsgdfuse.evaluation.outputs import default_contrast, write_outputs
from mmsgdfuse.evaluation.plots import box_plot
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.scoring import score_folders
from mmsgdfuse.evaluation.tables import (
    difference_table,
    metric_table,
    to_latex,
    to_markdown,
    to_rich,
)

NAN = math.nan


@pytest.fixture
def scores() -> Scores:
    """Two images; 'B_1' amplifies noise and would otherwise be the best."""
    values = {
        'visible': [[NAN, 1.0, 0.9], [NAN, 1.0, 0.9]],
        'A&B': [[1.6, 1.2, 1.0], [NAN, 1.1, 1.0]],
        'B_1': [[1.9, 2.0, 1.0], [1.9, 2.0, 1.3]],
    }
    return Scores(
        methods=('A&B', 'B_1'),
        baselines=('visible',),
        metrics=('SCD', 'VIF', 'QRG'),
        images=('day', 'night'),
        values=np.array(list(values.values())),
        problems=(Problem('dusk', 'dusk.png: is empty'),),
        notes=('day: a note',),
    )


def test_the_table_marks_the_best_that_counts(scores):
    table = metric_table(scores, digits=2)
    assert table.head == (
        '2 images', 'SCD \u2191', 'VIF \u2191', 'QRG', 'QRG worst', 'mean rank',
    )  # fmt: skip
    assert table.labels == ('visible', 'A&B', 'B_1 \u2020')
    texts = [[cell.text for cell in row] for row in table.cells]
    assert texts == [
        ['\u2013', '1.00', '0.90', '0.90', '3.00'],
        ['1.60 (1)', '1.15', '1.00', '1.00', '2.00'],
        ['1.90', '2.00', '1.15', '1.30', '1.00'],
    ]
    places = [[cell.place for cell in row] for row in table.cells]
    assert places == [[0, 2, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert len(table.footnotes) == 2


def test_markdown(scores):
    text = to_markdown(metric_table(scores, digits=2))
    lines = text.splitlines()
    assert lines[0].startswith('| 2 images | SCD')
    assert lines[3] == '| A&B | **1.60 (1)** | **1.15** | 1.00 | 1.00 | 2.00 |'
    assert {line.count('|') for line in lines[:5]} == {7}
    assert lines[6].startswith('- \u2020 amplifies noise')


def test_latex_is_escaped_and_ruled(scores):
    text = to_latex(metric_table(scores, digits=2))
    assert r'A\&B & \textbf{1.60 (1)} & \textbf{1.15}' in text
    assert r'B\_1 \dag{} & 1.90' in text
    assert r'SCD $\uparrow$' in text
    assert text.count(r'\midrule') == 2
    # Rows end like LaTeX's, and nothing outside of ASCII is left before the footnotes.
    body = text[: text.index('%')]
    assert body.isascii()
    assert body.count(r'\\') == 4


def test_terminal_table_shows_metrics_down_and_methods_across(scores):
    console = Console(width=120, file=io.StringIO(), color_system=None)
    console.print(to_rich(metric_table(scores, digits=2)))
    shown = console.file.getvalue()
    assert re.search(r'VIF \u2191 +\u2502 +1\.00 \u2502 +1\.15 \u2502 +2\.00', shown)


def test_difference_table_stars_what_the_interval_parts_from_zero(scores):
    differences = paired_differences(scores, resamples=100)
    table = difference_table('A&B', scores, differences, digits=1)
    assert table.labels == ('visible', 'B_1')
    assert table.head[0] == 'A&B minus'
    vif, against_itself = table.cells[0][1].text, table.cells[0][0].text
    assert vif == '+0.2* [+0.1, +0.2]' or vif == '+0.1* [+0.1, +0.2]'
    assert against_itself == '\u2013'
    console = Console(width=200, file=io.StringIO(), color_system=None)
    console.print(to_rich(table))
    assert '[+0.1, +0.2]' in console.file.getvalue()  # not taken for a style


def test_means_csv_has_counts_and_leaves_undefined_values_empty(scores):
    visible, a, b = csv.DictReader(io.StringIO(means_csv(scores)))
    assert (visible['SCD'], visible['SCD_count'], visible['baseline']) == ('', '0', '1')
    assert (a['SCD'], a['SCD_count'], a['baseline']) == ('1.6', '1', '0')
    assert b['QRG_worst'] == '1.3'
    assert float(b['mean_rank']) == 1


def test_images_csv_has_every_value(scores):
    rows = list(csv.DictReader(io.StringIO(images_csv(scores))))
    assert len(rows) == 6
    night = next(r for r in rows if (r['image'], r['method']) == ('night', 'A&B'))
    assert night == {'image': 'night', 'method': 'A&B', 'SCD': '', 'VIF': '1.1', 'QRG': '1.0'}


def test_differences_csv(scores):
    differences = paired_differences(scores, resamples=50)
    rows = list(csv.DictReader(io.StringIO(differences_csv(differences))))
    assert len(rows) == 9
    vif = next(r for r in rows if (r['metric'], r['method'], r['minus']) == ('VIF', 'B_1', 'A&B'))
    assert float(vif['mean']) == pytest.approx(0.85)
    assert vif['count'] == '2'


def test_json_is_strict_and_complete(scores):
    def refuse(constant):
        raise AssertionError(f'{constant} is not JSON')

    text = evaluation_json(scores, paired_differences(scores, resamples=50))
    document = json.loads(text, parse_constant=refuse)
    ours = document['rows']['A&B']
    assert ours['per_image'] == {'SCD': [1.6, None], 'VIF': [1.2, 1.1], 'QRG': [1.0, 1.0]}
    assert ours['count']['SCD'] == 1
    assert document['rows']['B_1']['amplifies_noise'] is True
    assert document['rows']['B_1']['QRG_worst'] == 1.3
    assert document['rows']['visible']['mean']['SCD'] is None
    assert document['left_out'] == [{'image': 'dusk', 'message': 'dusk.png: is empty'}]
    assert len(document['differences']) == 9


def test_box_plot_shows_each_rows_values(scores):
    figure = box_plot(scores, 'VIF')
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == list(scores.rows)
    medians = [
        line.get_ydata()[0]
        for line in axes.lines
        if len(line.get_ydata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]
    ]
    assert {1.0, 1.15, 2.0} <= {round(float(value), 6) for value in medians}


def test_box_plot_of_undefined_values(scores, tmp_path):
    box_plot(scores, 'SCD').savefig(tmp_path / 'scd.png')
    assert cv2.imread(str(tmp_path / 'scd.png')).shape[0] > 100


def test_largest_differences_come_first_whatever_their_sign(scores):
    assert largest_differences(scores, 'A&B', 'B_1', 'VIF', 5) == [
        ('night', pytest.approx(-0.9)),
        ('day', pytest.approx(-0.8)),
    ]
    assert largest_differences(scores, 'A&B', 'B_1', 'SCD', 5) == [('day', pytest.approx(-0.3))]


@pytest.fixture
def evaluated(folders):
    fused = {name: folders[name] for name in ('bright', 'noisy')}
    scores = score_folders(folders['ir'], folders['vi'], fused, ['VIF', 'EN'], workers=0)
    samples, _ = match_folders(folders['ir'], folders['vi'], fused)
    return scores, samples


def test_page_is_self_contained_and_shows_the_pictures(evaluated, folders):
    page = contrast_page(*evaluated, 'bright', 'noisy', 'EN', count=2)
    sources = re.findall(r'src="([^"]*)"', page)
    assert len(sources) == 8
    assert all(source.startswith('data:image/jpeg;base64,') for source in sources)
    assert 'http:' not in page
    assert 'https:' not in page
    worst = largest_differences(evaluated[0], 'bright', 'noisy', 'EN', 1)[0][0]
    shown = cv2.imdecode(
        np.frombuffer(base64.b64decode(sources[1].split(',')[1]), np.uint8), cv2.IMREAD_COLOR
    )
    on_disk = cv2.imread(str(folders['vi'] / f'{worst}.png'))
    assert np.abs(shown.astype(int) - on_disk).mean() < 6
    assert np.ptp(shown, axis=2).max() > 20  # in colour


def test_page_compares_with_a_baseline_and_scales_down(evaluated):
    page = contrast_page(*evaluated, 'bright', 'maximum', 'VIF', count=1, width=32)
    source = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', page)[3]
    image = cv2.imdecode(np.frombuffer(base64.b64decode(source), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.shape[:2] == (24, 32)
    with pytest.raises(ValueError, match="'absent' is not among"):
        contrast_page(*evaluated, 'bright', 'absent', 'VIF')


def test_names_are_escaped_in_the_page(evaluated):
    scores, samples = evaluated
    renamed = Scores(('<b>', 'noisy'), *(getattr(scores, name) for name in (
        'baselines', 'metrics', 'images', 'values')))  # fmt: skip
    samples = [
        type(s)(s.name, s.ir, s.vis, {'<b>': s.fused['bright'], 'noisy': s.fused['noisy']})
        for s in samples
    ]
    page = contrast_page(renamed, samples, '<b>', 'noisy', 'EN', count=1)
    assert '<b>' not in page
    assert '&lt;b&gt;' in page


def test_default_contrast_is_the_first_two_methods_or_the_maximum(scores, evaluated):
    assert default_contrast(evaluated[0]) == ('bright', 'noisy', 'VIF')
    single = Scores(('A',), ('visible', 'maximum'), ('EN',), ('i',), np.zeros((3, 1, 1)))
    assert default_contrast(single) == ('A', 'maximum', 'EN')


def test_all_outputs_are_written(evaluated, tmp_path):
    scores, samples = evaluated
    written = write_outputs(tmp_path / 'out', scores, paired_differences(scores, 50), samples)
    names = {path.relative_to(tmp_path / 'out').as_posix() for path in written}
    assert names == {
        'metrics.csv', 'per_image.csv', 'differences.csv', 'evaluation.json', 'metrics.md',
        'metrics.tex', 'largest_differences.html', 'leaderboard.html', 'box_plots/VIF.png',
        'box_plots/EN.png',
    }  # fmt: skip
    assert all(path.stat().st_size > 50 for path in written)
    assert '| bright minus |' in (tmp_path / 'out' / 'metrics.md').read_text()

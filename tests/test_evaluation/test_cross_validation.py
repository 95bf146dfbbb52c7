from __future__ import annotations

import math
from itertools import product

import pytest
from mmengine.config import Config

from mmsgdfuse.datasets.downstream import LabelError
from mmsgdfuse.evaluation.cross_validation import (
    assign_folds,
    difference_table,
    gather,
    light_of,
    neighbourhoods,
    number_of,
    run_rows,
    score_table,
    summary_document,
)
from mmsgdfuse.evaluation.downstream import DownstreamResult


def test_a_group_ends_with_its_span_and_with_the_light():
    names = ['00201N', '00001D', '00060D', '00101D', '00102D', '00115D', '00050N', '00100N']
    assert neighbourhoods(names, span=100, gap=8) == [
        ['00001D', '00060D', '00101D', '00102D'],  # 102 is out of reach of 1, but beside 101
        ['00115D'],
        ['00050N', '00100N'],
        ['00201N'],
    ]


def test_frames_without_a_letter_have_one_light():
    assert neighbourhoods(['2', '10', '1'], span=5) == [['1', '2'], ['10']]


def test_real_neighbours_stay_together(real_data):
    names = [path.stem for path in real_data.glob('MSRS/*/labels/*.txt')]
    groups = neighbourhoods(names)
    assert sorted(name for group in groups for name in group) == sorted(names)
    group_of = {name: index for index, group in enumerate(groups) for name in group}
    for one, other in product(names, names):
        near = abs(number_of(one) - number_of(other)) < 8 and light_of(one) == light_of(other)
        assert not near or group_of[one] == group_of[other], (one, other)
    folds = assign_folds(groups, dict.fromkeys(names, ()), 3)
    for light in 'DN':
        counts = [sum(light_of(name) == light for name in fold) for fold in folds]
        assert max(counts) - min(counts) <= 9  # the largest neighbourhoods have 9 or 10 frames


@pytest.mark.parametrize('name', ['frame', 'N0001', '12_3'])
def test_names_without_a_number_are_refused(name):
    with pytest.raises(LabelError, match=f'{name}: expected a number and letters'):
        neighbourhoods(['00001D', name])


@pytest.mark.parametrize('wrong', [dict(span=0), dict(gap=0)])
def test_span_and_gap_are_positive(wrong):
    with pytest.raises(ValueError, match='span and gap must be at least 1'):
        neighbourhoods(['1'], **wrong)


def test_folds_share_lights_and_classes_and_split_no_group():
    groups = [['1D', '2D'], ['100D', '101D'], ['1N', '2N'], ['100N', '101N']]
    boxes = {name: [0, 0] for group in groups for name in group}
    boxes['1D'] = [0, 0, 1]  # so 100D, which has none, goes to the other fold ...
    boxes['100N'] = [0, 0, 1]  # ... and this one, which has the other box of class 1, too
    folds = assign_folds(groups, boxes, 2)
    assert sorted(map(sorted, folds)) == [
        ['100D', '100N', '101D', '101N'],
        ['1D', '1N', '2D', '2N'],
    ]


@pytest.mark.parametrize('folds', [1, 3])
def test_number_of_folds_fits(folds):
    with pytest.raises(ValueError, match=r'folds must be within 2\.\.2'):
        assign_folds([['1'], ['2']], {'1': [], '2': []}, folds)


@pytest.fixture
def scores():
    """Two inputs, two folds, two seeds; no bicycle among the frames of the second fold."""
    person = dict(
        infrared=[[40.0, 44.0], [60.0, 64.0]],  # 42 and 62: 52 +- sqrt(200)
        fused=[[50.0, 50.0], [61.0, 61.0]],  # 8 more and 1 less
    )
    results = {}
    for name, fold, seed in product(person, (0, 1), (3, 7)):
        value = person[name][fold][seed == 7]
        bicycle = 10.0 if fold == 0 else math.nan
        results[name, fold, seed] = DownstreamResult(
            name,
            dict(
                AP=dict(person=value / 2, bicycle=bicycle), AP50=dict(person=value, bicycle=bicycle)
            ),
            ('person', 'bicycle'),
            None,
            Config(),
        )
    return gather(results)


def test_spread_is_over_folds_of_the_mean_over_seeds(scores):
    spread = scores.spread('infrared', ('AP50', 'person'))
    assert spread == pytest.approx((52, math.sqrt(200), 2))
    assert scores.spread('infrared', ('AP', 'person')).mean == pytest.approx(26)
    rare = scores.spread('fused', ('AP50', 'bicycle'))
    assert (rare.mean, rare.folds) == (10, 1)
    assert math.isnan(rare.deviation)
    # the mean over classes is over those that the fold has
    assert scores.of_folds('fused', ('AP50', 'mean')).tolist() == [30, 61]


def test_differences_are_paired(scores):
    spread, wins = scores.difference('fused', 'infrared', ('AP50', 'person'))
    assert spread == pytest.approx((3.5, 9 / math.sqrt(2), 2))
    assert wins == 1
    back, losses = scores.difference('infrared', 'fused', ('AP50', 'person'))
    assert (back.mean, losses) == (-3.5, 1)


def test_tables(scores):
    table = score_table(scores)
    assert table.head[:4] == ('input', 'AP50 person', 'AP50 bicycle', 'AP50 mean')
    assert table.labels == ('infrared', 'fused')
    assert table.cells[0][0].text == '52.0 ± 14.1'
    assert [row[0].place for row in table.cells] == [2, 1]
    assert 'over 2 folds, each the mean of 2 seeds' in table.footnotes[0]
    assert table.rule_after == 1
    paired = difference_table('fused', scores)
    assert paired.labels == ('infrared',)
    assert paired.cells[0][0].text == '+3.5 ± 6.4 (1/2)'
    assert difference_table('infrared', scores).cells[0][0].text == '-3.5 ± 6.4 (1/2)'


def test_exports(scores):
    rows = run_rows(scores)
    assert rows[0] == ['input', 'fold', 'seed', 'metric', 'class', 'percent']
    assert ['infrared', 2, 7, 'AP50', 'person', 64.0] in rows
    assert len(rows) == 1 + 2 * 2 * 2 * 6
    fused = summary_document(scores)['inputs']['fused']
    assert fused['scores']['AP50 person']['mean'] == 55.5
    assert fused['minus']['infrared']['AP50 person']['better'] == 1

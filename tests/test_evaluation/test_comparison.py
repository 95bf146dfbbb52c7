from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from mmsgdfuse.evaluation.comparison import (
    differences_of,
    mean_ranks,
    paired_differences,
    ranks,
)
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.summary import summarise


def make_scores(values, metrics, methods=('ours', 'theirs'), baselines=('visible',)):
    values = np.asarray(values, dtype=float)
    return Scores(
        methods=methods,
        baselines=baselines,
        metrics=metrics,
        images=tuple(f'{i}' for i in range(values.shape[1])),
        values=values,
    )


@pytest.fixture
def scores():
    """Three rows, 40 images: 'ours' exceeds 'theirs' in VIF by 0.1 on hard and easy images."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(1, 0.5, 40)
    vif = [difficulty + shift + rng.normal(0, 0.02, 40) for shift in (0, 0.1, 0)]
    nabf = [np.full(40, level) for level in (0.0, 0.02, 0.01)]
    qrg = [np.ones(40), np.ones(40), np.full(40, 1.3)]
    return make_scores(np.stack([vif, nabf, qrg], axis=2), ('VIF', 'Nabf', 'QRG'))


def test_summary_leaves_out_what_is_undefined():
    summary = summarise([1.0, math.nan, 4.0])
    assert (summary.mean, summary.count, summary.worst) == (2.5, 2, 4.0)
    assert summarise([]).count == 0
    assert math.isnan(summarise([math.nan]).mean)


def test_summary_does_not_depend_on_the_order():
    generator = np.random.default_rng(0)
    values = generator.normal(size=1000) * 10.0 ** generator.uniform(-8, 8, 1000)
    assert sum(values) != sum(values[::-1])
    assert summarise(values) == summarise(values[::-1])


def test_values_must_fit_the_names():
    with pytest.raises(ValueError, match=r'\(3, 2, 1\)'):
        make_scores(np.zeros((2, 2, 1)), ('VIF',))


def test_pairing_finds_a_difference_that_the_spread_hides(scores):
    found = {(d.metric, d.row, d.other): d for d in paired_differences(scores, resamples=2000)}
    assert len(found) == 9
    difference = found['VIF', 'theirs', 'ours']
    assert difference.mean == pytest.approx(-0.1, abs=0.01)
    assert difference.low < difference.mean < difference.high < 0
    assert difference.high - difference.low < 0.03  # the images themselves spread by 0.5
    assert difference.clear
    assert not found['VIF', 'theirs', 'visible'].clear


def test_interval_is_scipys_percentile_bootstrap(scores):
    ours, theirs = scores.of('ours', 'VIF'), scores.of('theirs', 'VIF')
    expected = bootstrap(
        (theirs - ours,),
        np.mean,
        n_resamples=20_000,
        confidence_level=0.9,
        method='percentile',
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = next(
        d
        for d in paired_differences(scores, resamples=20_000, confidence=0.9)
        if (d.metric, d.row, d.other) == ('VIF', 'theirs', 'ours')
    )
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.04 * width)
    assert found.high == pytest.approx(expected.high, abs=0.04 * width)


def test_the_same_seed_gives_the_same_interval(scores):
    assert paired_differences(scores, 300, seed=4) == paired_differences(scores, 300, seed=4)
    assert paired_differences(scores, 300, seed=4) != paired_differences(scores, 300, seed=5)


def test_undefined_values_leave_the_pair_out():
    nan = math.nan
    values = [[[nan], [nan], [nan]], [[1.0], [2.0], [nan]], [[3.0], [nan], [3.0]]]
    found = {(d.row, d.other): d for d in paired_differences(make_scores(values, ('SCD',)), 200)}
    both = found['theirs', 'ours']
    assert (both.count, both.mean, both.low, both.high) == (1, 2.0, 2.0, 2.0)
    none = found['ours', 'visible']
    assert none.count == 0
    assert math.isnan(none.mean)
    assert not none.clear


def test_infinite_values_have_no_difference():
    values = [[[math.inf], [30.0]], [[math.inf], [31.0]], [[20.0], [20.0]]]
    found = {(d.row, d.other): d for d in paired_differences(make_scores(values, ('PSNR',)), 50)}
    assert found['ours', 'visible'].count == 1
    assert found['ours', 'visible'].mean == 1.0


@pytest.mark.parametrize(('option', 'value'), [('resamples', 0), ('confidence', 1.0)])
def test_bootstrap_arguments_are_checked(scores, option, value):
    with pytest.raises(ValueError, match=option):
        paired_differences(scores, **{option: value})


def test_differences_are_seen_from_a_row(scores):
    differences = paired_differences(scores, 200)
    seen = {(d.metric, d.other): d for d in differences_of('ours', differences)}
    stored = next(
        d for d in differences if (d.metric, d.row) == ('VIF', 'theirs') and d.other == 'ours'
    )
    assert len(seen) == 6
    assert seen['VIF', 'theirs'].mean == -stored.mean
    assert seen['VIF', 'theirs'].low == -stored.high


def test_ranks_follow_each_metrics_direction(scores):
    places = ranks(scores)
    assert places['ours']['VIF'] == 1
    assert [places[row]['Nabf'] for row in scores.rows] == [1, 3, 2]
    assert all('QRG' not in places[row] for row in scores.rows)


def test_ties_share_a_rank_and_undefined_rows_have_none():
    values = [[[math.nan]], [[1.0]], [[1.0]]]
    scores = make_scores(values, ('SCD',))
    places = ranks(scores)
    assert places['ours']['SCD'] == places['theirs']['SCD'] == 1.5
    assert math.isnan(places['visible']['SCD'])
    assert math.isnan(mean_ranks(scores)['visible'])


def test_parts_of_a_metric_do_not_count_twice():
    values = np.zeros((3, 1, 3))
    values[:, 0, 0] = 1, 2, 3  # VIF
    values[:, 0, 1:] = np.array([3, 2, 1])[:, None]  # its parts
    scores = make_scores(values, ('VIF', 'VIF_ir', 'VIF_vi'))
    assert mean_ranks(scores) == {'visible': 3.0, 'ours': 2.0, 'theirs': 1.0}


def test_amplified_noise_is_found_on_average_and_on_a_single_image(scores):
    assert not scores.amplifies_noise('ours')
    assert scores.amplifies_noise('theirs')
    values = np.ones((3, 40, 1))
    values[1, 7] = 1.21
    single = make_scores(values, ('QRG',))
    assert single.amplifies_noise('ours')
    assert not make_scores(values, ('EN',)).amplifies_noise('ours')

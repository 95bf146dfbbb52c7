"""Overshoot against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmsgdfuse.evaluation.baselines import BASELINES, baseline_image
from mmsgdfuse.evaluation.functional import METRIC_INFOS, fusion_metrics, overshoot


def step(low=50, high=150):
    """An edge between columns 9 and 10 of (10, 20) pixels."""
    image = np.full((10, 20), low, np.uint8)
    image[:, 10:] = high
    return image


def test_a_rim_counts_by_its_height_over_the_pixels_near_the_edge():
    # the 3x3 difference is large in columns 9 and 10; three to each side make columns 6..13
    fused = step()
    fused[:, 12] = 158
    fused[:, 7] = 46
    assert overshoot(step(), step(), fused) == pytest.approx((8 + 4) / 8)


def test_reach_and_threshold():
    fused = step()
    fused[:, 12] = 158
    assert overshoot(step(), step(), fused, reach=1) == 0
    # columns 8..11 for reach 1, 7..12 for reach 2
    assert overshoot(step(), step(), fused, reach=2) == pytest.approx(8 / 6)
    assert overshoot(step(), step(), fused, threshold=100) == pytest.approx(8 / 8)
    assert math.isnan(overshoot(step(), step(), fused, threshold=101))


def test_values_at_the_edge_itself_may_be_anything_between_both_sides():
    fused = step()
    fused[:, 9], fused[:, 10] = 150, 50
    assert overshoot(step(), step(), fused) == 0
    # two columns from the edge the other side is out of reach
    fused[:, 8] = 150
    assert overshoot(step(), step(), fused) == pytest.approx(100 / 8)


def test_what_one_source_has_is_no_rim():
    other = step(low=20, high=60)
    assert overshoot(step(), other, step(low=20, high=150)) == 0
    assert overshoot(step(), other, step(low=17, high=150)) == pytest.approx(3 / 2)


def test_far_from_edges_nothing_counts():
    fused = step()
    fused[:, :6], fused[:, 14:] = 0, 255
    assert overshoot(step(), step(), fused) == 0


def test_without_a_strong_edge_it_is_undefined():
    assert math.isnan(overshoot(step(50, 89), step(50, 89), step(0, 255)))


@pytest.mark.parametrize('rule', BASELINES)
def test_rules_have_none(rule):
    rng = np.random.default_rng(0)
    ir, vis = rng.integers(0, 256, (2, 40, 50), dtype=np.uint8)
    assert overshoot(ir, vis, baseline_image(rule, ir, vis)) == 0


def test_the_catalogue_has_it_and_lower_is_better():
    fused = step()
    fused[:, 12] = 158
    assert fusion_metrics(step(), step(), fused, ['Overshoot']) == {'Overshoot': 1.0}
    assert METRIC_INFOS['Overshoot'].direction == -1

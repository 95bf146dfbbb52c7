"""The metrics against the values that CDDFuse's evaluator gives in float64."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import cv2
import pytest

from mmsgdfuse.evaluation.functional import (
    METRIC_INFOS,
    PAPER_METRICS,
    UndefinedMetricWarning,
    fusion_metrics,
    psnr,
    ssim,
)

GOLDEN = Path(__file__).parents[2] / 'data' / 'golden'
TRIPLES = json.loads((GOLDEN / 'golden.json').read_text())['triples']
# The original cannot be right below 41 pixels: it raises, or at 16x16 returns 1.43.
TOO_SMALL_FOR_VIF = ('below_vif_min_40x57', 'tiny_16x16')


def read_triple(name):
    images = [
        cv2.imread(str(GOLDEN / role / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        for role in ('ir', 'vi', 'fused')
    ]
    return [image if image.ndim == 2 else image[..., ::-1] for image in images]


def assert_agrees(value, expected):
    if math.isnan(float(expected)):
        assert math.isnan(value)
    else:
        assert value == pytest.approx(float(expected), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize('name', TRIPLES)
@pytest.mark.parametrize('metric', [*PAPER_METRICS, 'AG', 'CC'])
@pytest.mark.filterwarnings('ignore::mmsgdfuse.evaluation.functional.UndefinedMetricWarning')
def test_metric_agrees_with_the_original(name, metric):
    expected = TRIPLES[name]['original_float64'][metric]
    if metric == 'VIF' and name in TOO_SMALL_FOR_VIF:
        expected = math.nan
    value = fusion_metrics(*read_triple(name), names=[metric])[metric]
    assert_agrees(value, expected)


@pytest.mark.parametrize('name', TRIPLES)
def test_options_reproduce_the_conventions_of_the_original(name):
    triple = read_triple(name)
    expected = TRIPLES[name]['original_float64']
    assert_agrees(psnr(*triple, peak=None), expected['PSNR_maxF'])
    summed = ssim(*triple, window='uniform', data_range=2, reduction='sum')
    assert_agrees(summed, expected['SSIM_L2'])


def test_all_metrics_at_once_give_what_each_gives_alone():
    triple = read_triple('scene_max_241x319')
    every = [name for name, info in METRIC_INFOS.items() if not info.of_sequences]
    together = fusion_metrics(*triple, every)
    assert list(together) == every
    for metric, value in together.items():
        assert fusion_metrics(*triple, names=[metric]) == {metric: value}


def test_vif_below_41_pixels_is_undefined_and_says_so():
    for name in TOO_SMALL_FOR_VIF:
        with pytest.warns(UndefinedMetricWarning, match='41'):
            values = fusion_metrics(*read_triple(name), names=['VIF', 'VIF_ir', 'VIF_vi'])
        assert all(math.isnan(value) for value in values.values())


def test_smallest_image_for_vif_has_a_value_without_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        value = fusion_metrics(*read_triple('min_vif_41x41'), names=['VIF'])['VIF']
    assert value == pytest.approx(0.3522851117656612, rel=1e-9)

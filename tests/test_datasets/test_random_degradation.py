"""Random sensor faults for training: what they change, keep and refuse."""

from __future__ import annotations

import numpy as np
import pytest

from mmsgdfuse.datasets.transforms import PackFusionInputs, RandomDegradePair


def flat(level: int = 120) -> dict:
    return dict(ir=np.full((64, 80, 1), level, np.uint8), vis=np.full((64, 80, 3), level, np.uint8))


def fixed(**strengths: float) -> dict:
    return {name: (value, value) for name, value in strengths.items()}


def applied(ir: dict, repeats: int = 8) -> np.ndarray:
    """The infrared image of the first draw in which the fault occurs."""
    transform = RandomDegradePair(ir=ir, vis=None, prob=1.0)
    for _ in range(repeats):
        image = transform(flat())['ir'].astype(float)
        if (image != 120).any():
            return image
    raise AssertionError('the fault never occurred')


def test_keeps_the_clean_pair_and_packs_it():
    results = RandomDegradePair(prob=1.0)(flat())
    assert (results['clean_ir'] == 120).all()
    assert (results['clean_vis'] == 120).all()
    assert results['ir'].dtype == results['vis'].dtype == np.uint8
    assert set(PackFusionInputs()(results)['inputs']) == {'ir', 'vis', 'clean_ir', 'clean_vis'}


def test_nothing_happens_with_a_probability_of_zero():
    results = RandomDegradePair(prob=0.0)(flat())
    assert (results['ir'] == 120).all()
    assert (results['vis'] == 120).all()


def test_columns_and_noise_have_their_strength():
    stripes = applied(fixed(columns=10))
    assert (stripes == stripes[:1]).all()
    assert stripes[0].std() == pytest.approx(10, rel=0.3)
    assert applied(fixed(noise=10)).std() == pytest.approx(10, rel=0.1)


def test_exposure_by_hand():
    assert (applied(fixed(gamma=0.5)) == round(255 * (120 / 255) ** 0.5)).all()
    assert (applied(fixed(offset=30)) == 150).all()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(prob=1.5), 'prob must be a probability'),
        (dict(ir=dict(wibble=(0, 1))), 'unknown ranges'),
        (dict(vis=dict(noise=(5, 1))), 'vis.noise must be an increasing pair'),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        RandomDegradePair(**options)

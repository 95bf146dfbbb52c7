"""Eq. 12."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmsgdfuse.models.losses import NoisePredictionLoss
from mmsgdfuse.registry import MODELS


def test_mean_squared_error_by_hand():
    prediction, target = np.random.default_rng(0).normal(size=(2, 3, 5, 4, 6))
    total, count = 0.0, 0
    for p, t in zip(prediction.ravel(), target.ravel()):
        total += (p - t) ** 2
        count += 1
    found = NoisePredictionLoss()(torch.from_numpy(prediction), torch.from_numpy(target))
    assert found.item() == pytest.approx(total / count, rel=1e-12)


def test_weight():
    loss = MODELS.build(dict(type='NoisePredictionLoss', loss_weight=0.25))
    assert loss(torch.ones(1, 5, 2, 2), torch.zeros(1, 5, 2, 2)).item() == 0.25

"""The stand-in for Stage I."""

from __future__ import annotations

import torch

from mmsgdfuse.registry import MODELS


def test_mean_of_each_channel():
    stand_in = MODELS.build(dict(type='MeanOfSources'))
    ir = torch.tensor([-1.0, 0.5]).view(2, 1, 1, 1).expand(2, 1, 4, 6)
    vis = torch.tensor([[1.0, 0.0, -1.0]]).view(1, 3, 1, 1).expand(2, 3, 4, 6)
    mean = stand_in(ir, vis)
    assert mean.shape == (2, 3, 4, 6)
    assert mean[..., 1, 2].tolist() == [[0.0, -0.5, -1.0], [0.75, 0.25, -0.25]]
    assert list(stand_in.parameters()) == []

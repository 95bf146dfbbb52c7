"""The head without hierarchy and attention: what it reads, and what it leaves out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmsgdfuse.models.diffusion import HFAH, LastLevelHead

CHANNELS = [12, 8, 4]
SIZES = [(4, 6), (8, 12), (16, 24)]
KWARGS = dict(num_timesteps=2, level_channels=4, hidden_channels=8)


@pytest.fixture
def features() -> list[list[torch.Tensor]]:
    return [[torch.randn(2, c, *size) for c, size in zip(CHANNELS, SIZES)] for _ in range(2)]


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(2, 1, 32, 48), torch.rand(2, 3, 32, 48)


def test_reads_the_last_level_of_every_timestep_alone(features, pair):
    head = LastLevelHead(CHANNELS, **KWARGS)
    fused = head(features, *pair)
    assert fused.shape == (2, 3, 32, 48)
    for timestep in range(2):
        for level, counts in enumerate((False, False, True)):
            changed = [list(scales) for scales in features]
            changed[timestep][level] = torch.randn_like(changed[timestep][level])
            assert torch.equal(head(changed, *pair), fused) is not counts


def test_nothing_weighs_the_features_by_place(features, pair):
    head = LastLevelHead(CHANNELS, **KWARGS)
    (level,) = head.levels
    convolution, activation, _ = level
    joined = torch.cat([scales[-1] for scales in features], dim=1)
    torch.testing.assert_close(level(joined), activation(convolution(joined)))
    assert convolution.in_channels == 2 * CHANNELS[-1]


def test_otherwise_the_hierarchical_head(pair):
    plain, full = LastLevelHead(CHANNELS, **KWARGS), HFAH(CHANNELS, **KWARGS)
    assert plain.source is not None
    assert str(plain.fuse[1:]) == str(full.fuse[1:])
    count = [sum(isinstance(m, nn.Conv2d) for m in head.modules()) for head in (plain, full)]
    # a reduction and an attention for each of the levels that are gone, and the last attention
    assert count[1] - count[0] == 2 * 2 + 1

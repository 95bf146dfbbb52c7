"""Multi-scale feature enhancement of the infrared branch (paper, Section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MSFEM(nn.Module):
    """Multi-Scale Feature Enhancement Module, Eq. 1-5.

    Parallel 1x1, 3x3, 5x5 and 7x7 convolutions (Eq. 1); the three large ones are
    concatenated (Eq. 2), enhanced and compressed by a depthwise, a pointwise and another
    depthwise convolution (Eq. 3), joined with the 1x1 branch (Eq. 4), reduced, passed
    through a sigmoid and added to the input (Eq. 5).

    Args:
        channels: Channels C of the input and the output.

    Shape:
        (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, channels, size, padding=size // 2) for size in (1, 3, 5, 7)
        )
        wide = 3 * channels
        self.enhance = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
            nn.Conv2d(wide, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
        )
        self.reduce = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pointwise, *large = (branch(x) for branch in self.branches)
        enhanced = self.enhance(torch.cat(large, dim=1))
        return x + torch.sigmoid(self.reduce(torch.cat([enhanced, pointwise], dim=1)))

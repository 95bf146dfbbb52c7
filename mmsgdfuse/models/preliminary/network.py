"""Stage I: the network that makes the preliminary fused image F1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsgdfuse.models.preliminary.attention import CrossAttention, TransformerBlock
from mmsgdfuse.models.preliminary.msfem import MSFEM
from mmsgdfuse.registry import MODELS


@MODELS.register_module()
class PreliminaryNet(nn.Module):
    """Stage I of SGDFuse (paper, Sections 3.2 and 3.3): infrared and visible to F1.

    The infrared branch is a convolution and ``depth`` MSFEM blocks, the visible branch a
    convolution and ``depth`` transformer blocks; cross-attention in both directions aligns
    them, and a reconstruction head with tanh writes the image.

    Args:
        channels: Feature channels of each branch. Default 32.
        depth: Blocks in each branch (the paper's Fig. 10 compares 2, 3, 4). Default 3.
        num_heads: Heads of every attention. Default 4.
        expansion: Hidden channels of the feed-forward layers over ``channels``. Default 2.
        patch_size: Side of the square of pixels that the first layers fold into channels and
            the last unfolds; 1 works on every pixel, 2 costs about a quarter. Default 1.

    Shape:
        ir (N, 1, H, W) and vis (N, 3, H, W) in [-1, 1] -> F1 (N, 3, H, W) in [-1, 1]. H and W
        must be multiples of ``patch_size``.

    Raises:
        ValueError: ``channels`` is not a multiple of ``num_heads``.
    """

    def __init__(
        self,
        channels: int = 32,
        depth: int = 3,
        num_heads: int = 4,
        expansion: float = 2.0,
        patch_size: int = 1,
    ) -> None:
        super().__init__()
        self.size_divisor = patch_size
        self.ir_branch = nn.Sequential(
            nn.PixelUnshuffle(patch_size),
            nn.Conv2d(patch_size**2, channels, 3, padding=1),
            *(MSFEM(channels) for _ in range(depth)),
        )
        self.vis_branch = nn.Sequential(
            nn.PixelUnshuffle(patch_size),
            nn.Conv2d(3 * patch_size**2, channels, 3, padding=1),
            *(TransformerBlock(channels, num_heads, expansion) for _ in range(depth)),
        )
        self.cross_attention = CrossAttention(channels, num_heads)
        self.reconstruct = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, 3 * patch_size**2, 3, padding=1),
            nn.PixelShuffle(patch_size),
            nn.Tanh(),
        )

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        ir_features, vis_features = self.cross_attention(self.ir_branch(ir), self.vis_branch(vis))
        return self.reconstruct(torch.cat([ir_features, vis_features], dim=1))

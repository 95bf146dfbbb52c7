"""Attention whose cost is linear in the number of pixels.

The affinity is taken between channels instead of between pixels (the transposed attention
of Restormer, arXiv 2111.09881), so a full-size image never needs an (HW x HW) matrix.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmsgdfuse.models.statistics import image_statistic


class ChannelLayerNorm(nn.Module):
    """Layer norm over the channels of every pixel.

    Args:
        channels: Channels C.

    Shape:
        (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        # (N, C, H, W) -> (N, H, W, C) and back: free of copies in channels_last memory
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ChannelAttention(nn.Module):
    """Multi-head attention across channels, from ``x`` to ``context``.

    Queries come from ``x``, keys and values from ``context``; self-attention when no
    context is given. Each is a 1x1 and a depthwise 3x3 convolution, so local structure
    enters the affinity.

    Args:
        channels: Channels C of both inputs and the output.
        num_heads: Heads that the channels are divided into.

    Shape:
        (N, C, H, W), (N, C, H, W) -> (N, C, H, W).

    Raises:
        ValueError: ``channels`` is not a multiple of ``num_heads``.
    """

    def __init__(self, channels: int = 32, num_heads: int = 4) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(
                f'channels={channels} must be a multiple of num_heads={num_heads}; '
                'change one of them'
            )
        self.num_heads = num_heads
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.query = self._projection(channels, channels)
        self.key_value = self._projection(channels, 2 * channels)
        self.out = nn.Conv2d(channels, channels, 1)

    @staticmethod
    def _projection(channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(channels, out_channels, 1, bias=False),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, groups=out_channels, bias=False),
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        n, c, h, w = x.shape
        key, value = self.key_value(x if context is None else context).chunk(2, dim=1)
        # (N, C, H, W) -> (N, heads, H*W, C / heads), a view in channels_last memory
        query, key, value = (
            t.permute(0, 2, 3, 1).reshape(n, h * w, self.num_heads, -1).transpose(1, 2)
            for t in (self.query(x), key, value)
        )
        # unit length over the pixels keeps the affinity independent of the image's size
        query, key = F.normalize(query, dim=-2), F.normalize(key, dim=-2)
        affinity = (query.transpose(-2, -1) @ key * self.temperature).softmax(dim=-1)
        affinity = image_statistic(affinity)
        attended = value @ affinity.transpose(-2, -1)
        # (N, heads, H*W, C / heads) -> (N, C, H, W)
        return self.out(attended.transpose(1, 2).reshape(n, h, w, c).permute(0, 3, 1, 2))


class GatedFeedForward(nn.Module):
    """Feed-forward layer of which one half gates the other.

    Args:
        channels: Channels C of the input and the output.
        expansion: Hidden channels as a multiple of ``channels``.

    Shape:
        (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, channels: int = 32, expansion: float = 2.0) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.expand = nn.Conv2d(channels, 2 * hidden, 1)
        self.local = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.project = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.local(self.expand(x)).chunk(2, dim=1)
        return self.project(F.gelu(gate) * value)


class TransformerBlock(nn.Module):
    """Layer norm - self-attention - residual - layer norm - feed-forward - residual.

    Args:
        channels: Channels C of the input and the output.
        num_heads: Attention heads.
        expansion: Hidden channels of the feed-forward layer, as a multiple of ``channels``.

    Shape:
        (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, channels: int = 32, num_heads: int = 4, expansion: float = 2.0) -> None:
        super().__init__()
        self.norm_attention = ChannelLayerNorm(channels)
        self.attention = ChannelAttention(channels, num_heads)
        self.norm_feed_forward = ChannelLayerNorm(channels)
        self.feed_forward = GatedFeedForward(channels, expansion)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_attention(x))
        return x + self.feed_forward(self.norm_feed_forward(x))


class CrossAttention(nn.Module):
    """Both modalities ask each other: each is the query once, key and value once.

    Args:
        channels: Channels C of each modality.
        num_heads: Attention heads.

    Shape:
        ir (N, C, H, W), vis (N, C, H, W) -> the same two shapes, each with what it found
        in the other modality added.
    """

    def __init__(self, channels: int = 32, num_heads: int = 4) -> None:
        super().__init__()
        self.norm_ir = ChannelLayerNorm(channels)
        self.norm_vis = ChannelLayerNorm(channels)
        self.ir_from_vis = ChannelAttention(channels, num_heads)
        self.vis_from_ir = ChannelAttention(channels, num_heads)

    def forward(self, ir: Tensor, vis: Tensor) -> tuple[Tensor, Tensor]:
        normed_ir, normed_vis = self.norm_ir(ir), self.norm_vis(vis)
        return (
            ir + self.ir_from_vis(normed_ir, normed_vis),
            vis + self.vis_from_ir(normed_vis, normed_ir),
        )

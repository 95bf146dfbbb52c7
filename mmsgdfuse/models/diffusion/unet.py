"""The noise-level conditioned U-Net that predicts the noise in I_t."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmsgdfuse.models.preliminary.attention import TransformerBlock
from mmsgdfuse.models.statistics import ImageGroupNorm
from mmsgdfuse.registry import MODELS


def _group_norm(channels: int) -> nn.GroupNorm:
    return ImageGroupNorm(math.gcd(channels, 8), channels)


class NoiseLevelEmbedding(nn.Module):
    """Sinusoids of the continuous noise level, then a two-layer perceptron.

    As in SR3 (arXiv 2104.07636) the condition is sqrt(alpha_bar_t) itself and not the index
    t, so the network can be asked for noise levels between the training steps.

    Args:
        channels: Channels D of the embedding; even.
        scale: Factor that spreads the level, which lies in [0, 1], over the sinusoids' range.

    Shape:
        (N,) in [0, 1] -> (N, D).
    """

    frequencies: Tensor

    def __init__(self, channels: int = 64, scale: float = 5000.0) -> None:
        super().__init__()
        half = channels // 2
        frequencies = torch.exp(-math.log(1e4) * torch.arange(half) / half) * scale
        self.register_buffer('frequencies', frequencies, persistent=False)
        self.mlp = nn.Sequential(
            nn.Linear(2 * half, 4 * channels),
            nn.SiLU(),
            nn.Linear(4 * channels, channels),
        )

    def forward(self, noise_level: Tensor) -> Tensor:
        phase = noise_level[:, None] * self.frequencies
        return self.mlp(torch.cat([phase.sin(), phase.cos()], dim=1))


class ResidualBlock(nn.Module):
    """Two normalised 3x3 convolutions with the noise level added between them.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        embed_channels: Channels D of the noise-level embedding.
        dropout: Dropout probability before the second convolution. Default 0.

    Shape:
        x (N, in_channels, H, W), embedding (N, D) -> (N, out_channels, H, W).
    """

    def __init__(
        self, in_channels: int, out_channels: int, embed_channels: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.first = nn.Sequential(
            _group_norm(in_channels),
            nn.SiLU(),
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
        )
        self.embed = nn.Linear(embed_channels, out_channels)
        self.second = nn.Sequential(
            _group_norm(out_channels),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        self.skip: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.skip = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        hidden = self.first(x) + self.embed(embedding)[:, :, None, None]
        return self.second(hidden) + self.skip(x)


class _Level(nn.Module):
    """The residual blocks of one resolution, one after the other."""

    def __init__(self, widths: Sequence[int], embed_channels: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResidualBlock(width_in, width_out, embed_channels, dropout)
            for width_in, width_out in zip(widths[:-1], widths[1:])
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, embedding)
        return x


@MODELS.register_module()
class NoiseUNet(nn.Module):
    """SR3-style denoiser of the five-channel input (paper, Section 3.4.4).

    One contracting and one expanding level per entry of ``channel_mults``; the expanding
    path's features are what HFAH reads. The middle block attends across channels, so the
    cost stays linear in the number of pixels.

    Args:
        in_channels: Channels of I_t: F1, M_ir and M_vis. Default 5.
        base_channels: Channels at full resolution. Default 64.
        channel_mults: Channels of each level over ``base_channels``, full resolution first.
            Default (1, 2, 4, 8, 8), five levels.
        num_res_blocks: Residual blocks per level of each path. Default 2.
        dropout: Dropout probability in the residual blocks. Default 0.
        mid_attention: Whether the middle block has channel attention. Default True.
        patch_size: Side of the square of pixels that the first layer folds into channels and
            the last unfolds; 1 works on every pixel, 2 costs about a quarter. Default 1.
        out_channels: Channels of the prediction. A conditional model predicts fewer channels
            than it reads. Default: ``in_channels``.

    Shape:
        x (N, in_channels, H, W), noise_level (N,) in [0, 1] -> (N, out_channels, H, W). H and
        W must be multiples of :attr:`size_divisor`.

    Raises:
        ValueError: A side of the input is not a multiple of :attr:`size_divisor`.
    """

    def __init__(
        self,
        in_channels: int = 5,
        base_channels: int = 64,
        channel_mults: Sequence[int] = (1, 2, 4, 8, 8),
        num_res_blocks: int = 2,
        dropout: float = 0.0,
        mid_attention: bool = True,
        patch_size: int = 1,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels or in_channels
        self.patch_size = patch_size
        self.widths = [base_channels * mult for mult in channel_mults]
        embed_channels = 4 * base_channels
        folded = in_channels * patch_size**2

        self.embedding = NoiseLevelEmbedding(embed_channels)
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(patch_size), nn.Conv2d(folded, self.widths[0], 3, padding=1)
        )
        entering = [self.widths[0], *self.widths[:-1]]
        self.encoder = nn.ModuleList(
            _Level([width_in] + [width] * num_res_blocks, embed_channels, dropout)
            for width_in, width in zip(entering, self.widths)
        )
        self.downsample = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for width in self.widths[:-1]
        )
        deepest = self.widths[-1]
        self.mid_first = ResidualBlock(deepest, deepest, embed_channels, dropout)
        self.mid_attention: nn.Module = nn.Identity()
        if mid_attention:
            self.mid_attention = TransformerBlock(deepest, num_heads=math.gcd(deepest, 8))
        self.mid_second = ResidualBlock(deepest, deepest, embed_channels, dropout)

        coming_up = [deepest, *reversed(self.widths[1:])]
        self.decoder = nn.ModuleList(
            _Level([width_up + width] + [width] * num_res_blocks, embed_channels, dropout)
            for width_up, width in zip(coming_up, reversed(self.widths))
        )
        self.head = nn.Sequential(
            _group_norm(self.widths[0]),
            nn.SiLU(),
            nn.Conv2d(self.widths[0], self.out_channels * patch_size**2, 3, padding=1),
            nn.PixelShuffle(patch_size),
        )

    @property
    def size_divisor(self) -> int:
        """What both sides of the input must be a multiple of."""
        return self.patch_size * 2 ** (len(self.widths) - 1)

    @property
    def feature_channels(self) -> list[int]:
        """Channels of each of :meth:`features`' tensors, coarsest level first."""
        return self.widths[::-1]

    def _check_size(self, x: Tensor) -> None:
        height, width = x.shape[-2:]
        if height % self.size_divisor or width % self.size_divisor:
            raise ValueError(
                f'input of {height}x{width} is not a multiple of {self.size_divisor}; set '
                f'pad_size_divisor={self.size_divisor} in the data preprocessor'
            )

    def features(self, x: Tensor, noise_level: Tensor) -> list[Tensor]:
        """The expanding path's features, coarsest level first.

        Shape:
            x (N, in_channels, H, W), noise_level (N,) -> one (N, C_l, H_l, W_l) per level,
            the last of which has the resolution of the input over ``patch_size``.
        """
        self._check_size(x)
        embedding = self.embedding(noise_level)
        x = self.stem(x)
        skips = []
        for index, level in enumerate(self.encoder):
            x = level(x, embedding)
            skips.append(x)
            if index < len(self.downsample):
                x = self.downsample[index](x)
        x = self.mid_second(self.mid_attention(self.mid_first(x, embedding)), embedding)

        outputs: list[Tensor] = []
        for level in self.decoder:
            if outputs:
                x = F.interpolate(x, scale_factor=2.0, mode='nearest')
            x = level(torch.cat([x, skips.pop()], dim=1), embedding)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor, noise_level: Tensor) -> Tensor:
        return self.head(self.features(x, noise_level)[-1])

"""Hierarchical Feature Aggregation Head: diffusion features become the fused image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmsgdfuse.models.luma import check_window, luma, luma_step, start_from_the_brighter
from mmsgdfuse.registry import MODELS

PREDICTIONS = ('image', 'luma')


def _activation() -> nn.Module:
    # the head has no normalisation: at a learning rate of 2e-3 ReLU's and SiLU's channels die
    return nn.LeakyReLU(0.1, inplace=True)


class SpatialAttention(nn.Module):
    """A weight per pixel from the channels' mean and maximum.

    Args:
        kernel_size: Side of the convolution that looks at the two maps. Default 7.

    Shape:
        (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        summary = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv(summary))


@MODELS.register_module()
class HFAH(nn.Module):
    """Hierarchical Feature Aggregation Head (paper, Section 3.5 and Fig. 4).

    Every level's decoder features of all feature timesteps are joined, reduced by a 1x1
    convolution, weighted by spatial attention and brought to full size; the levels are
    concatenated and 3x3 convolutions map them to the image.

    Args:
        in_channels: Channels of each level of the U-Net's expanding path.
        num_timesteps: Number of diffusion times that the features come from. Default 3.
        level_channels: Channels that each level is reduced to. Default 32.
        hidden_channels: Channels of the 3x3 convolutions. Default 64.
        num_convs: 3x3 convolutions before the output layer. Default 2.
        source_channels: Channels that the sources are brought to. Default: ``level_channels``.
        source_skip: Whether the source images enter beside the features: everything of
            ``vis`` would otherwise have to pass through F1. Off is the paper's wiring.
            Default True.
        mask_skip: Whether the masks enter beside the source images, too, so that the head need
            not find them in noised features again. Needs ``source_skip``. Default False.
        prediction: ``'image'`` (the paper): three channels through tanh. ``'luma'``: per pixel
            a share of what the infrared image has above the visible luma, and a residual
            through tanh; the visible image's chroma is kept as it is, which rules out a change
            of hue. The untrained head takes the brighter of the two. Default ``'image'``.
        residual_scale: Largest residual of ``'luma'``, in units of the [-1, 1] range.
            Default 0.2, which is 25 grey levels.
        contrast: Slope, at the start of training, of the share's logit over the infrared
            image's surplus; ``'luma'`` only. Default 20.
        share_window: Side, in pixels, of the square by which dips of the share are filled
            (:func:`~mmsgdfuse.models.luma.luma_step`); ``'luma'`` only. Default 11.
        patch_size: Side of the square of pixels that is folded into channels before the sources'
            first convolution and unfolded after the last one; 1 works on every pixel, 2 costs
            about a quarter. Default 1.

    Shape:
        features: per timestep a list of (N, C_l, H_l, W_l); ir (N, 1, H, W) and
        vis (N, 3, H, W) in [-1, 1]; masks, M_ir and M_vis scaled to [-1, 1], (N, 2, H, W)
        -> (N, 3, H, W) in [-1, 1]. H and W must be multiples of ``patch_size``.

    Raises:
        ValueError: ``prediction`` is unknown, ``mask_skip`` is set without ``source_skip``,
            ``share_window`` is not odd, a side of the sources is not a multiple of
            ``patch_size``, the number of timesteps or levels given to ``forward`` is not the one
            the head was built for, or ``masks`` are missing.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_timesteps: int = 3,
        level_channels: int = 32,
        hidden_channels: int = 64,
        num_convs: int = 2,
        source_channels: int | None = None,
        source_skip: bool = True,
        mask_skip: bool = False,
        prediction: str = 'image',
        residual_scale: float = 0.2,
        contrast: float = 20.0,
        share_window: int = 11,
        patch_size: int = 1,
    ) -> None:
        super().__init__()
        if prediction not in PREDICTIONS:
            raise ValueError(f'prediction must be one of {PREDICTIONS}, found {prediction!r}')
        if mask_skip and not source_skip:
            raise ValueError('mask_skip=True needs source_skip=True: masks enter with the sources')
        self.num_timesteps = num_timesteps
        self.mask_skip = mask_skip
        self.prediction = prediction
        self.residual_scale = residual_scale
        self.share_window = check_window(share_window)
        self.size_divisor = patch_size
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(num_timesteps * channels, level_channels, 1),
                _activation(),
                SpatialAttention(),
            )
            for channels in in_channels
        )
        joined = level_channels * len(self.levels)
        self.source: nn.Module | None = None
        if source_skip:
            seen = 1 + 3 + (2 if mask_skip else 0)
            source_channels = source_channels or level_channels
            self.source = nn.Sequential(
                nn.Conv2d(seen * patch_size**2, source_channels, 3, padding=1),
                _activation(),
                nn.Conv2d(source_channels, source_channels, 3, padding=1),
            )
            joined += source_channels
        self.joined_channels = joined
        widths = [joined] + [hidden_channels] * num_convs
        predicted = 3 if prediction == 'image' else 2
        self.fuse = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(width_in, width_out, 3, padding=1), _activation())
                for width_in, width_out in zip(widths[:-1], widths[1:])
            ),
            nn.Conv2d(widths[-1], predicted * patch_size**2, 3, padding=1),
        )
        if prediction == 'luma':
            self.contrast = nn.Parameter(torch.tensor(float(contrast)))
            start_from_the_brighter(self.fuse[-1])

    def forward(
        self,
        features: Sequence[Sequence[Tensor]],
        ir: Tensor,
        vis: Tensor,
        masks: Tensor | None = None,
    ) -> Tensor:
        if len(features) != self.num_timesteps:
            raise ValueError(
                f'built for {self.num_timesteps} timesteps, found features of {len(features)}'
            )
        if any(side % self.size_divisor for side in vis.shape[-2:]):
            raise ValueError(
                f'sources of {tuple(vis.shape[-2:])} pixels, whose sides must be multiples of '
                f'patch_size={self.size_divisor}'
            )
        sources = self._sources(ir, vis, masks)
        x = _concatenate(self._parts(features, sources), self.joined_channels, sources)
        for layer in self.fuse:
            x = layer(x)
        return self._to_image(F.pixel_shuffle(x, self.size_divisor), ir, vis)

    def _sources(self, ir: Tensor, vis: Tensor, masks: Tensor | None) -> Tensor:
        """What enters beside the features, folded: (N, C * patch_size ** 2, H / p, W / p)."""
        sources = [ir, vis]
        if self.mask_skip:
            if masks is None:
                raise ValueError('a head with mask_skip=True needs masks, found none')
            sources.append(masks)
        folded = F.pixel_unshuffle(torch.cat(sources, dim=1), self.size_divisor)
        # folding leaves another memory format, in which the convolutions would be slow
        return folded.contiguous(memory_format=torch.channels_last)

    def _parts(self, features: Sequence[Sequence[Tensor]], sources: Tensor) -> Iterator[Tensor]:
        """The levels at the sources' size, coarsest first, then the sources."""
        for level, scale in zip(self.levels, zip(*features), strict=True):
            reduced = level(torch.cat(scale, dim=1))
            yield F.interpolate(reduced, sources.shape[-2:], mode='bilinear')
        if self.source is not None:
            yield self.source(sources)

    def _to_image(self, output: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
        if self.prediction == 'image':
            return torch.tanh(output)
        return luma_step(
            output, ir - luma(vis), vis, self.contrast, self.residual_scale, self.share_window
        )


def _concatenate(parts: Iterable[Tensor], channels: int, like: Tensor) -> Tensor:
    """``torch.cat`` along the channels, for half the memory where no gradient is asked for.

    The parts are the model's largest tensors; so each is copied to its place when it is made,
    and forgotten. Their size, type and device are those of ``like``.
    """
    if torch.is_grad_enabled() or torch.onnx.is_in_onnx_export():
        return torch.cat(list(parts), dim=1)
    shape = (len(like), channels, *like.shape[-2:])
    joined = torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )
    end = 0
    for part in parts:
        start, end = end, end + part.shape[1]
        joined[:, start:end] = part
    return joined

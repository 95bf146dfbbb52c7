"""The student's network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmsgdfuse.models.luma import check_window, luma, luma_step, start_from_the_brighter
from mmsgdfuse.registry import MODELS


@MODELS.register_module()
class StudentNet(nn.Module):
    """Infrared and visible luma to the two maps of a luma step, without masks and diffusion.

    A small U-Net whose finest level is half the image's size: 2x2 pixels are folded into
    channels on the way in and unfolded on the way out, so that no layer but the luma step
    itself works on full-size images. Its form is that of ``HFAH(prediction='luma')``: the
    untrained network takes the brighter of the two sources, and the visible chroma is kept.

    Args:
        widths: Channels at 1/2, 1/4, 1/8, ... of the image's size. Default (24, 32, 32, 32).
        depths: 3x3 convolutions at each of these on the way down, and all but the last on
            the way up again. Default (1, 2, 1, 1).
        residual_scale: Largest residual, in units of the [-1, 1] range. Default 0.2.
        contrast: Slope, at the start of training, of the share's logit over the
            infrared image's surplus. Default 20.
        share_window: Side, in pixels, of the square by which dips of the share are filled
            (:func:`~mmsgdfuse.models.luma.luma_step`). Default 11.

    Shape:
        ir (N, 1, H, W) and vis (N, 3, H, W) in [-1, 1] -> (N, 3, H, W) in [-1, 1]. H and W
        must be multiples of ``size_divisor``, 2 to the number of widths.

    Raises:
        ValueError: ``widths`` is empty, ``depths`` has another length or a number below 1, or
            ``share_window`` is not odd.
    """

    PATCH = 2

    def __init__(
        self,
        widths: Sequence[int] = (24, 32, 32, 32),
        depths: Sequence[int] = (1, 2, 1, 1),
        residual_scale: float = 0.2,
        contrast: float = 20.0,
        share_window: int = 11,
    ) -> None:
        super().__init__()
        if not widths or len(widths) != len(depths) or min(depths) < 1:
            raise ValueError(
                'widths and depths need one number per level, at least 1, found '
                f'{tuple(widths)} and {tuple(depths)}'
            )
        self.size_divisor = 2 ** len(widths)
        self.residual_scale = residual_scale
        self.share_window = check_window(share_window)
        self.contrast = nn.Parameter(torch.tensor(float(contrast)))
        before = [2 * self.PATCH**2, *widths[:-1]]
        self.down = nn.ModuleList(
            _convolutions(width_in, width, depth, stride=1 if level == 0 else 2)
            for level, (width_in, width, depth) in enumerate(zip(before, widths, depths))
        )
        self.lift = nn.ModuleList(
            nn.Conv2d(coarse, fine, 1) for fine, coarse in zip(widths, widths[1:])
        )
        self.up = nn.ModuleList(
            _convolutions(width, width, depth) for width, depth in zip(widths[:-1], depths)
        )
        self.output = nn.Conv2d(widths[0], 2 * self.PATCH**2, 3, padding=1)
        start_from_the_brighter(self.output)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        vis_luma = luma(vis)
        x = F.pixel_unshuffle(torch.cat([ir, vis_luma], dim=1), self.PATCH)
        levels = []
        for down in self.down:
            x = down(x)
            levels.append(x)
        x = levels.pop()
        for lift, up in zip(reversed(self.lift), reversed(self.up)):
            finer = levels.pop()
            x = up(finer + F.interpolate(lift(x), finer.shape[-2:], mode='bilinear'))
        maps = F.pixel_shuffle(self.output(x), self.PATCH)
        return luma_step(
            maps, ir - vis_luma, vis, self.contrast, self.residual_scale, self.share_window
        )


def _convolutions(width_in: int, width: int, depth: int, stride: int = 1) -> nn.Sequential:
    # not ReLU: at learning rates that these widths need, channels die, and the residual with them
    layers: list[nn.Module] = []
    for index in range(depth):
        layers += [
            nn.Conv2d(
                width if index else width_in, width, 3, stride=1 if index else stride, padding=1
            ),
            nn.LeakyReLU(0.1, inplace=True),
        ]
    return nn.Sequential(*layers)

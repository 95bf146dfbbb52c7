"""What takes Stage I's place where it is left out."""

from __future__ import annotations

from torch import Tensor, nn

from mmsgdfuse.registry import MODELS


@MODELS.register_module()
class MeanOfSources(nn.Module):
    """The mean of both sources instead of F1: the ablation without Stage I.

    The paper (Section 4.4.3) does not say what its second stage works on without the first. The
    mean holds both sources and has the form of F1, so that the rest of the model stays as it is,
    and nothing about it is learned or chosen per pixel, as a rule such as the maximum would.

    Shape:
        ir (N, 1, H, W) and vis (N, 3, H, W) in [-1, 1] -> (N, 3, H, W) in [-1, 1].
    """

    size_divisor = 1

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        return (ir + vis) / 2

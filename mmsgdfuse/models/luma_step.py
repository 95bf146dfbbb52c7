"""What the heads that predict a luma have in common: how their two maps become the image."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.init import zeros_


def luma_step(
    output: Tensor,
    difference: Tensor,
    vis: Tensor,
    contrast: Tensor | float,
    residual_scale: float,
) -> Tensor:
    """Move the visible image's luma part of the way to the infrared image, and keep its chroma.

    Args:
        output: Two maps (N, 2, H, W): what is added to the logit of the blend weight, and the
            residual before its tanh. Zeros take the brighter of the two sources.
        difference: Infrared minus visible luma, (N, 1, H, W), images being in [-1, 1].
        vis: Visible image (N, 3, H, W) in [-1, 1].
        contrast: Slope of the logit over ``difference``.
        residual_scale: Largest residual, in units of the [-1, 1] range.

    Returns:
        The fused image (N, 3, H, W) in [-1, 1].
    """
    weight, residual = output.chunk(2, dim=1)
    change = (weight + contrast * difference).sigmoid() * difference
    change = change + residual_scale * residual.tanh()
    # the same step on R, G and B moves the luma by that step and leaves Cb and Cr alone
    return (vis + change).clamp(-1, 1)


def start_from_the_brighter(layer: nn.Module) -> None:
    """Let a layer that makes the two maps of :func:`luma_step` begin with zeros."""
    for parameter in layer.parameters():
        zeros_(parameter)

"""The luma of an image, and what the heads that predict one have in common."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.init import zeros_

LUMA_WEIGHTS = (0.299, 0.587, 0.114)


def luma(image: Tensor) -> Tensor:
    """Luma of an RGB image, ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.

    Shape:
        (N, 3, H, W) -> (N, 1, H, W) in the input's range; (N, 1, H, W) is returned as it is.

    Raises:
        ValueError: The image has neither one channel nor three.
    """
    if image.shape[1] == 1:
        return image
    if image.shape[1] != 3:
        raise ValueError(f'luma needs 1 or 3 channels, found {image.shape[1]}')
    weights = image.new_tensor(LUMA_WEIGHTS).view(1, 3, 1, 1)
    return (image * weights).sum(dim=1, keepdim=True)


def check_window(window: int) -> int:
    """Return ``window``.

    Raises:
        ValueError: It is no odd number from 1 on.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f'share_window must be odd and at least 1, found {window}')
    return window


def closing(image: Tensor, window: int) -> Tensor:
    """Morphological closing: valleys narrower than the window are filled up to their shores.

    Args:
        image: (N, C, H, W).
        window: Side of the square; odd. 1 changes nothing.
    """
    for sign in (1, -1):
        for dim in (-2, -1):
            image = sign * _running_max(sign * image, window, dim)
    return image


def _running_max(image: Tensor, window: int, dim: int) -> Tensor:
    """Largest of the ``window`` values around each along ``dim``.

    By doubling: in a few maxima of whole images, where ``F.max_pool2d`` takes ten times as long.
    """
    reach = window // 2
    padding = (reach, reach) if dim == -1 else (0, 0, reach, reach)
    image = F.pad(image, padding, value=-math.inf)
    covered = 1
    while covered < window:
        shift = min(covered, window - covered)
        length = image.shape[dim] - shift
        image = torch.maximum(image.narrow(dim, 0, length), image.narrow(dim, shift, length))
        covered += shift
    return image


def luma_step(
    output: Tensor,
    difference: Tensor,
    vis: Tensor,
    contrast: Tensor | float,
    residual_scale: float,
    share_window: int = 1,
) -> Tensor:
    """Raise the visible image's luma part of the way to the infrared image, and keep its chroma.

    Where the infrared image is the darker one it adds nothing but detail, by the residual: a
    weight that blends both ways blackens the sky along every outline that it takes from the
    infrared image. And the share is closed: measures of edges and of information pay for letting
    it drop beside each edge of the visible image, which draws dark rims where the infrared image
    is the brighter on both sides.

    Args:
        output: Two maps (N, 2, H, W): what is added to the logit of the share of the infrared
            image's surplus that is taken, and the residual before its tanh. Zeros take the
            brighter of the two sources, nearly.
        difference: Infrared minus visible luma, (N, 1, H, W), images being in [-1, 1].
        vis: Visible image (N, 3, H, W) in [-1, 1].
        contrast: Slope of the logit over ``difference``.
        residual_scale: Largest residual, in units of the [-1, 1] range.
        share_window: Side, in pixels, of the square that the share is closed by; odd. Default 1:
            it is not.

    Returns:
        The fused image (N, 3, H, W) in [-1, 1].
    """
    share, residual = output.chunk(2, dim=1)
    surplus = difference.clamp_min(0)
    change = closing((share + contrast * surplus).sigmoid(), share_window) * surplus
    change = change + residual_scale * residual.tanh()
    # the same step on R, G and B moves the luma by that step and leaves Cb and Cr alone
    return (vis + change).clamp(-1, 1)


def start_from_the_brighter(layer: nn.Module) -> None:
    """Let a layer that makes the two maps of :func:`luma_step` begin with zeros."""
    for parameter in layer.parameters():
        zeros_(parameter)

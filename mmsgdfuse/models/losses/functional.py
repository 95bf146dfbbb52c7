"""Differentiable building blocks that the losses share.

Images are (N, C, H, W); functions that speak of grey levels say so, everything else is in
the networks' range [-1, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsgdfuse.models.luma import luma


def to_grey_levels(image: Tensor) -> Tensor:
    """Luma in 0..255 of an image in [-1, 1]: (N, C, H, W) -> (N, 1, H, W)."""
    return (luma(image) + 1) * 127.5


def sobel(image: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical Sobel derivatives of every channel, borders reflected.

    The kernels are not normalised: a step of height 1 gives 4.

    Shape:
        (N, C, H, W) -> two tensors (N, C, H, W).
    """
    kernel = image.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    channels = image.shape[1]
    kernels = torch.stack([kernel, kernel.t()]).unsqueeze(1).repeat(channels, 1, 1, 1)
    padded = F.pad(image, (1, 1, 1, 1), mode='reflect')
    # (N, 2C, H, W), the two derivatives of a channel side by side
    derivatives = F.conv2d(padded, kernels, groups=channels)
    return derivatives[:, 0::2], derivatives[:, 1::2]


def gradient_magnitude(image: Tensor) -> Tensor:
    """Sum of the absolute Sobel derivatives, |gx| + |gy|: (N, C, H, W) -> (N, C, H, W)."""
    horizontal, vertical = sobel(image)
    return horizontal.abs() + vertical.abs()


def gaussian_kernel(size: int, sigma: float, like: Tensor) -> Tensor:
    """Gaussian window of length ``size`` that sums to 1: (size,), dtype and device of ``like``."""
    offset = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    window = torch.exp(-(offset**2) / (2 * sigma**2))
    return window / window.sum()


def separable_filter(image: Tensor, window: Tensor) -> Tensor:
    """Every channel filtered by ``window`` along both axes, without padding.

    As two products with banded matrices: on a CPU up to four times as fast as two grouped
    convolutions.

    Shape:
        (N, C, H, W), (K,) -> (N, C, H - K + 1, W - K + 1).
    """
    height, width = image.shape[-2:]
    return _band(window, height) @ image @ _band(window, width).t()


def _band(window: Tensor, length: int) -> Tensor:
    """Row i holds ``window`` from column i on: (K,) -> (length - K + 1, length)."""
    rows = length - len(window) + 1
    # each row of a band is the one above, moved by one: cut anew, one long row is all of them
    return F.pad(window, (0, rows)).repeat(rows)[: rows * length].view(rows, length)


def local_moments(
    reference: Tensor, image: Tensor, window: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Windowed means, variances and covariance of two one-channel images.

    Shape:
        two (N, 1, H, W) -> mean_r, mean_i, var_r, var_i, cov, each (N, 1, H - K + 1, W - K + 1);
        variances are not negative.
    """
    stack = torch.cat(
        [reference, image, reference * reference, image * image, reference * image], dim=1
    )
    mean_r, mean_i, square_r, square_i, product = separable_filter(stack, window).chunk(5, dim=1)
    return (
        mean_r,
        mean_i,
        (square_r - mean_r**2).clamp_min(0),
        (square_i - mean_i**2).clamp_min(0),
        product - mean_r * mean_i,
    )


def correlation(first: Tensor, second: Tensor, floor: float = 1.0) -> Tensor:
    """Pearson correlation of each image of a batch: two (N, C, H, W) -> (N,).

    ``floor`` is a standard deviation that is added to each image's in quadrature. Without it
    the gradient grows beyond all bounds as one image becomes constant.
    """
    first, second = first.flatten(1), second.flatten(1)
    first = first - first.mean(dim=1, keepdim=True)
    second = second - second.mean(dim=1, keepdim=True)
    variance_first = first.square().mean(dim=1) + floor**2
    variance_second = second.square().mean(dim=1) + floor**2
    return (first * second).mean(dim=1) / (variance_first * variance_second).sqrt()

"""Metrics made of Pearson correlations: CC and SCD."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np

from mmsgdfuse.evaluation.functional.image import luma_triple
from mmsgdfuse.evaluation.functional.reduction import reduce_sources


def _covariances(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> dict[str, int]:
    """Covariances of A, B and F by the images' letters, times the squared number of pixels.

    Whole numbers are exact: a constant image has none, and the order of summing does not matter.
    """
    images = dict(zip('abf', luma_triple(ir, vis, fused)))
    totals = {name: int(image.sum()) for name, image in images.items()}
    return {
        x + y: images[x].size * _sum_of_products(images[x], images[y]) - totals[x] * totals[y]
        for x, y in combinations_with_replacement(images, 2)
    }


def _sum_of_products(first: np.ndarray, second: np.ndarray) -> int:
    # np.vdot would leave this to BLAS, whose threads then wait for more work at full speed: all
    # metrics that come after would take twice the time, and so would the other worker processes.
    return int(np.einsum('ij,ij->', first, second, dtype=np.int64))


def _pearson(covariance: int, variance: int, other_variance: int) -> float:
    """Pearson's correlation, NaN where one side is constant."""
    power = variance * other_variance
    return covariance / math.sqrt(power) if power > 0 else math.nan


def correlation_coefficient(
    ir: np.ndarray, vis: np.ndarray, fused: np.ndarray, reduction: str = 'mean'
) -> float:
    """CC: mean of the correlations of the fused image with its two sources.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.
        reduction: ``'mean'`` (default), ``'sum'``, ``'ir'`` or ``'vis'`` for one source alone.

    Returns:
        -1..1, no unit, higher is better; NaN where an image is constant.

    Source: Deshmukh and Bhosale, "Image fusion and image quality assessment of fused images",
    International Journal of Image Processing 4(5), 2010.

    Examples:
        >>> import numpy as np
        >>> fused = np.array([[0, 1], [2, 3]], dtype=np.uint8)
        >>> correlation_coefficient(fused, 255 - fused, fused)
        0.0
    """
    of = _covariances(ir, vis, fused)
    return reduce_sources(
        _pearson(of['af'], of['aa'], of['ff']), _pearson(of['bf'], of['bb'], of['ff']), reduction
    )


def sum_of_correlations_of_differences(
    ir: np.ndarray, vis: np.ndarray, fused: np.ndarray, reduction: str = 'sum'
) -> float:
    """SCD: corr(A, F - B) + corr(B, F - A).

    Rewards A + B: what is left of F after taking one source away should be the other one.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.
        reduction: ``'sum'`` (default), ``'mean'``, ``'ir'`` or ``'vis'`` for one source alone.

    Returns:
        -2..2, no unit, higher is better; NaN where F equals a source (up to a constant) or a
        source is constant.

    Source: Aslantas and Bendes, "A new image quality metric for image fusion: The sum of the
    correlations of differences", AEU 69(12), 2015.

    Examples:
        >>> import numpy as np
        >>> ir = np.array([[0, 1], [2, 3]], dtype=np.uint8)
        >>> vis = np.array([[8, 0], [0, 8]], dtype=np.uint8)
        >>> round(sum_of_correlations_of_differences(ir, vis, ir + vis), 12)
        2.0
    """
    of = _covariances(ir, vis, fused)
    # F - B varies as F and B do, less twice what they have in common.
    return reduce_sources(
        _pearson(of['af'] - of['ab'], of['aa'], of['ff'] + of['bb'] - 2 * of['bf']),
        _pearson(of['bf'] - of['ab'], of['bb'], of['ff'] + of['aa'] - 2 * of['af']),
        reduction,
    )

"""MI and QNCIE: how much the grey values of the fused image tell about those of its sources."""

from __future__ import annotations

import math

import numpy as np

from mmsgdfuse.evaluation.functional.image import luma_triple
from mmsgdfuse.evaluation.functional.reduction import reduce_sources

_LEVELS = 256


def _mutual_information_nats(first: np.ndarray, second: np.ndarray) -> float:
    cell = first.ravel().astype(np.int64) * _LEVELS + second.ravel()
    joint = np.bincount(cell, minlength=_LEVELS**2).reshape(_LEVELS, _LEVELS)
    rows, columns = np.nonzero(joint)
    counts = joint[rows, columns]
    expected = joint.sum(axis=1)[rows] * joint.sum(axis=0)[columns]
    # The quotient is exactly 1 where one image is constant, so that the result is exactly 0.
    return float(np.sum(counts / first.size * np.log(counts * first.size / expected)))


def mutual_information(
    ir: np.ndarray,
    vis: np.ndarray,
    fused: np.ndarray,
    log_base: float = math.e,
    reduction: str = 'sum',
) -> float:
    """MI: I(F; A) + I(F; B) from 256x256 joint histograms.

    Rewards copying one source. It is biased by the number of pixels: never compare it across
    resolutions or on crops. Saving the fused image as JPEG lowers it by a quarter.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.
        log_base: Base of the logarithm: ``math.e`` (default) gives nats, 2 gives bits.
        reduction: ``'sum'`` (default), ``'mean'``, ``'ir'`` or ``'vis'`` for one source alone.

    Returns:
        Nats, 0..2 EN(F) ln 2, higher is better.

    Source: Qu, Zhang and Yan, "Information measure for performance of image fusion",
    Electronics Letters 38(7), 2002. Toolboxes differ in the base: 1 nat is 1.4427 bits.

    Examples:
        >>> import numpy as np
        >>> fused = np.array([[0, 0], [9, 9]], dtype=np.uint8)
        >>> mutual_information(fused, np.zeros_like(fused), fused, log_base=2)
        1.0
    """
    ir, vis, fused = luma_triple(ir, vis, fused)
    base = math.log(log_base)
    return reduce_sources(
        _mutual_information_nats(ir, fused) / base,
        _mutual_information_nats(vis, fused) / base,
        reduction,
    )


def nonlinear_correlation_information_entropy(
    ir: np.ndarray, vis: np.ndarray, fused: np.ndarray
) -> float:
    """QNCIE: how far the three images depend on one another, by their grey values.

    The mutual information of every two images, in units of 8 bits, makes a 3x3 matrix with ones on
    its diagonal; with its eigenvalues l, 1 + sum of l/3 log256(l/3).

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.

    Returns:
        0.8019..1 (1 - log256(3) for three independent images), no unit, higher is better. Values
        of fused images differ in the third digit.

    Source: Wang, Shen and Jin, "Performance evaluation of image fusion techniques", in Stathaki
    (ed.), "Image Fusion: Algorithms and Applications", 2008, with grey-level histograms instead of
    ranks, as in the toolbox of Liu et al., "Objective assessment of multiresolution image fusion
    algorithms for context enhancement in night vision", IEEE TPAMI 34(1), 2012.

    Examples:
        >>> import numpy as np
        >>> flat = np.zeros((2, 2), dtype=np.uint8)
        >>> round(nonlinear_correlation_information_entropy(flat, flat, flat), 4)
        0.8019
    """
    ir, vis, fused = luma_triple(ir, vis, fused)
    base = math.log(_LEVELS)
    of_sources, of_ir, of_vis = (
        _mutual_information_nats(*pair) / base for pair in ((ir, vis), (ir, fused), (vis, fused))
    )
    matrix = [[1, of_sources, of_ir], [of_sources, 1, of_vis], [of_ir, of_vis, 1]]
    shares = np.linalg.eigvalsh(matrix) / 3
    shares = shares[shares > 0]  # one is zero where two images are the same permutation
    return float(1 + np.sum(shares * np.log(shares)) / base)

"""VIF: pixel-domain visual information fidelity of the fused image against each source."""

from __future__ import annotations

import math
import warnings

import numpy as np

from mmsgdfuse.evaluation.functional.image import UndefinedMetricWarning, luma_triple
from mmsgdfuse.evaluation.functional.reduction import reduce_sources
from mmsgdfuse.evaluation.functional.windows import filter_valid, gaussian_window, strips

#: The smallest side in pixels that leaves one whole window at the fourth scale.
VIF_MIN_SIDE = 41

_WINDOW_SIZES = (17, 9, 5, 3)
_NOISE_VARIANCE = 2.0
_EPS = 1e-10


class _Moments:
    """Windowed mean and variance of one image at one scale, computed once and shared."""

    def __init__(self, image: np.ndarray, window: np.ndarray) -> None:
        self.image = image
        self.window = window
        self.mean = filter_valid(image, window)
        self.variance = filter_valid(image * image, window)
        self.variance -= self.mean**2
        np.maximum(self.variance, 0, out=self.variance)

    def covariance(self, other: _Moments) -> np.ndarray:
        product = filter_valid(self.image * other.image, self.window)
        product -= self.mean * other.mean
        return product


def _information(reference: _Moments, distorted: _Moments) -> tuple[float, float]:
    """Information that the distorted image keeps of the reference, and all there was."""
    covariance = distorted.covariance(reference)
    # Flat windows need no case of their own: without variance there is no covariance either, and
    # _EPS keeps what rounding leaves of them below 1e-10.
    gain = covariance / (reference.variance + _EPS)
    np.maximum(gain, 0, out=gain)
    # What the gain does not explain is noise, also all of an image that contradicts its reference.
    covariance *= gain
    residual = np.subtract(distorted.variance, covariance, out=covariance)
    np.maximum(residual, _EPS, out=residual)
    residual += _NOISE_VARIANCE
    gain *= gain
    gain *= reference.variance
    gain /= residual
    kept = np.log1p(gain, out=gain).sum()
    total = np.log1p(reference.variance / _NOISE_VARIANCE).sum()
    return float(kept), float(total)


def vif_per_source(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> tuple[float, float]:
    """VIF with the infrared and VIF with the visible image as reference, in one go.

    :func:`visual_information_fidelity` has the definition and describes the arguments.

    Returns:
        The two values; NaN twice, with a warning, where a side is below 41 pixels.
    """
    planes = luma_triple(ir, vis, fused)
    height, width = planes[0].shape
    if min(height, width) < VIF_MIN_SIDE:
        warnings.warn(
            f'VIF is undefined for {width}x{height} pixels: no side may be below {VIF_MIN_SIDE}',
            UndefinedMetricWarning,
            stacklevel=3,
        )
        return math.nan, math.nan

    # Variances do not depend on the mean. Without it they suffer no cancellation: a constant
    # image has exactly none, where the mean of 255^2 less the square of the mean would leave some.
    images = [plane - plane.mean() for plane in planes]
    kept, total = np.zeros(2), np.zeros(2)
    for scale, size in enumerate(_WINDOW_SIZES):
        window = gaussian_window(size, size / 5)
        if scale > 0:
            # sepFilter2D would copy the strided view each time.
            images = [np.ascontiguousarray(filter_valid(i, window)[::2, ::2]) for i in images]
        for rows in strips(len(images[0]), overlap=size - 1):
            *references, distorted = (_Moments(image[rows], window) for image in images)
            for source, reference in enumerate(references):
                strip_kept, strip_total = _information(reference, distorted)
                kept[source] += strip_kept
                total[source] += strip_total

    # A reference without information (0/0) counts as kept whole.
    against_ir, against_vis = (float(k / t) if t > 0 else 1.0 for k, t in zip(kept, total))
    return against_ir, against_vis


def visual_information_fidelity(
    ir: np.ndarray, vis: np.ndarray, fused: np.ndarray, reduction: str = 'sum'
) -> float:
    """VIF: pixel-domain VIF with A as reference plus the same with B as reference.

    Four scales with Gaussian windows of 17, 9, 5, 3 pixels (sigma a fifth of the size), only
    where the window lies whole inside the image; from scale to scale the image is filtered and
    every second pixel kept. Noise variance 2. The sum rewards copying one source: the visible
    image alone scores above 1.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.
        reduction: ``'sum'`` (default), ``'mean'``, ``'ir'`` or ``'vis'`` for one source alone.

    Returns:
        0..about 2 (1 per source; above where F has more contrast), no unit, higher is better.
        A constant source counts as 1.0. NaN, with a warning, where a side is below 41 pixels.

    Source: Sheikh and Bovik, "Image information and visual quality", IEEE Transactions on Image
    Processing 15(2), 2006, section on the pixel domain; summed over the sources for fusion.

    Examples:
        >>> import numpy as np
        >>> image = (np.indices((48, 48)).prod(axis=0) % 251).astype(np.uint8)
        >>> round(visual_information_fidelity(image, image, image), 6)
        2.0
    """
    return reduce_sources(*vif_per_source(ir, vis, fused), reduction)

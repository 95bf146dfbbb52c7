"""FMI: mutual information between the features of the fused image and those of its sources."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from scipy import fft

from mmsgdfuse.evaluation.functional.image import luma_triple
from mmsgdfuse.evaluation.functional.reduction import reduce_sources

_SIDE = 3
_CELLS = _SIDE**2
# windows at a time: 81 values for each stay in a processor's cache
_CHUNK = 2048
_MEYER_TAPS = 62
# The FIR approximation of Meyer's wavelet (Abry, "Ondelettes et turbulence", 1997), which toolboxes
# call dmey: its centre tap and one of its two equal sides; one more tap of 62 is zero.
_MEYER = (
    0.7445855923188063,
    0.44459300275757724,
    -0.035087555656258346,
    -0.13284520043622938,
    0.030655091960824263,
    0.0637390243228016,
    -0.024348745906078023,
    -0.03213079399021176,
    0.017423434103729693,
    0.015270015130934803,
    -0.011061496392513451,
    -0.006387718318497156,
    0.006045814097323304,
    0.002202534100911002,
    -0.002704672124643725,
    -0.0006011502343516092,
    6.554305930575149e-05,
    -1.6312699734552807e-05,
    3.20544191334478e-06,
    7.367572885903746e-07,
    -1.489549216497156e-06,
    1.1307947017916706e-06,
    -5.506340565252278e-07,
    1.1783004497663934e-07,
    8.200680650386481e-08,
    -1.0866516536735883e-07,
    6.066975741351135e-08,
    -1.0798819539621958e-08,
    -1.111944952595278e-08,
    8.519459636796214e-09,
    -1.009999956941423e-12,
)


def _low_pass() -> np.ndarray:
    return np.array([0, *_MEYER[:0:-1], *_MEYER])


def _halves(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and high band of an image along its columns, each of about half the height."""
    low = _low_pass()
    high = low[::-1] * (-1.0) ** np.arange(1, _MEYER_TAPS + 1)
    border = _MEYER_TAPS - 1
    whole = np.pad(image, ((border, border), (0, 0)), mode='symmetric')
    count = (len(image) + border) // 2
    first = _MEYER_TAPS // 2 + 1
    bands = (
        cv2.sepFilter2D(whole, cv2.CV_64F, np.ones(1), taps[::-1].copy())[first::2][:count]
        for taps in (low, high)
    )
    return next(bands), next(bands)


def _wavelet(image: np.ndarray) -> np.ndarray:
    """One level of the discrete Meyer transform, its four bands beside each other."""
    low, high = _halves(image)
    approximation, vertical = (band.T for band in _halves(np.ascontiguousarray(low.T)))
    horizontal, diagonal = (band.T for band in _halves(np.ascontiguousarray(high.T)))
    return np.block([[approximation, horizontal], [vertical, diagonal]])


_FEATURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'pixel': lambda image: image,
    'gradient': lambda image: np.gradient(image, axis=1),
    'dct': lambda image: fft.dctn(image, norm='ortho'),
    'wavelet': _wavelet,
}
#: The features that FMI can be of.
FMI_FEATURES = tuple(_FEATURES)


def _windows(feature: np.ndarray) -> np.ndarray:
    """All windows of 3x3 values, column after column: (9, number of windows)."""
    height, width = (side - _SIDE + 1 for side in feature.shape)
    shifts = [(row, column) for column in range(_SIDE) for row in range(_SIDE)]
    return np.stack([feature[r : r + height, c : c + width].ravel() for r, c in shifts])


class _Marginals:
    """Each window as a probability density over its nine cells."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        low = values.min(axis=0)
        spread = values.max(axis=0) - low
        flat = spread == 0
        density = (values - low) / np.where(flat, 1, spread)
        density[:, flat] = 1
        density /= density.sum(axis=0)
        self.density = density
        self.entropy = _entropy(density)
        self.centred = density - density.mean(axis=0)
        self.power = np.einsum('in,in->n', self.centred, self.centred)
        position = np.arange(1.0, _CELLS + 1)[:, None]
        mean = (position * density).sum(axis=0)
        self.variance = np.maximum((position**2 * density).sum(axis=0) - mean**2, 0)


def _entropy(density: np.ndarray, space: np.ndarray | None = None) -> np.ndarray:
    """Sum of -p log2 abs(p) over all axes but the last."""
    logarithm = np.abs(density, out=space)
    # a finite log2(0), which is multiplied by zero
    np.maximum(logarithm, np.finfo(np.float64).tiny, out=logarithm)
    np.log2(logarithm, out=logarithm)
    logarithm *= density
    return -logarithm.sum(axis=tuple(range(density.ndim - 1)))


def _window_information(source: _Marginals, result: _Marginals, space: np.ndarray) -> np.ndarray:
    """Normalised mutual information of every window, 1 where both have the same values.

    ``space`` are two arrays (9, 9, windows) to compute in: memory that is asked from the system
    for each chunk anew takes longer than all of the arithmetic.
    """
    covariance = np.einsum('in,in->n', source.centred, result.centred)
    # rounding leaves some of it where a window is flat
    covariance[(source.power < 1e-24) | (result.power < 1e-24)] = 0
    correlation = np.divide(
        np.abs(covariance),
        np.sqrt(source.power * result.power),
        out=np.zeros_like(covariance),
        where=covariance != 0,
    )
    # Of a falling relation the lower Frechet bound is the upper one against the turned order.
    first = np.where(covariance < 0, source.density[::-1], source.density)
    second = result.density
    first_sum, second_sum = np.cumsum(first, axis=0), np.cumsum(second, axis=0)
    bound, joint = space
    np.minimum(second_sum[:, None], first_sum[None], out=bound)
    excess = bound.sum(axis=(0, 1)) - first_sum.sum(axis=0) * second_sum.sum(axis=0)
    deviation = np.sqrt(source.variance * result.variance)
    share = np.divide(
        correlation * deviation, excess, out=np.zeros_like(excess), where=excess > 1e-12
    )
    np.multiply(((1 - share) * second)[:, None], first[None], out=joint)
    bound *= share
    joint += bound
    joint[1:] -= bound[:-1]
    joint[:, 1:] -= bound[:, :-1]
    joint[1:, 1:] += bound[:-1, :-1]
    total = source.entropy + result.entropy
    shared = total - _entropy(joint, space=bound)
    value = np.divide(2 * shared, total, out=np.zeros_like(total), where=total > 0)
    value[(source.values == result.values).all(axis=0)] = 1
    return value


def feature_mutual_information(
    ir: np.ndarray,
    vis: np.ndarray,
    fused: np.ndarray,
    feature: str = 'pixel',
    reduction: str = 'mean',
) -> float:
    """FMI: mutual information between features of the fused image and of its sources.

    Every 3x3 window of a feature, stretched to 0..1 and divided by its sum, is taken as a density
    over its nine cells, column after column. The joint density of two such is the mixture of
    their product and of the Frechet bound that has their correlation (Nelsen); the value is
    2 I / (H1 + H2), and the mean over all windows.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3), no side below 3.
        vis: Visible image B, the same.
        fused: Fused image F, the same.
        feature: ``'pixel'`` (default), the grey values; ``'gradient'``, the central difference
            across; ``'dct'``, the cosine transform of the whole image; ``'wavelet'``, one level of
            the discrete Meyer transform, its four bands beside each other.
        reduction: ``'mean'`` (default) over the two sources, ``'sum'``, ``'ir'`` or ``'vis'`` for
            one source alone.

    Returns:
        0..1, no unit, higher is better. NaN where a side is below 3 pixels.

    Raises:
        ValueError: ``feature`` or ``reduction`` is unknown.

    Source: Haghighat, Aghagolzadeh and Seyedarabi, "A non-reference image fusion metric based on
    mutual information of image features", Computers and Electrical Engineering 37(5), 2011, in the
    windowed form of Haghighat and Razian, "Fast-FMI: non-reference image fusion metric", 2014.

    Examples:
        >>> import numpy as np
        >>> image = (np.indices((16, 16)).prod(axis=0) % 251).astype(np.uint8)
        >>> feature_mutual_information(image, image, image)
        1.0
    """
    if feature not in _FEATURES:
        raise ValueError(f'feature must be one of {FMI_FEATURES}, found {feature!r}')
    planes = luma_triple(ir, vis, fused)
    if min(planes[0].shape) < _SIDE:
        return reduce_sources(math.nan, math.nan, reduction)
    *sources, result = (_windows(_FEATURES[feature](plane.astype(np.float64))) for plane in planes)
    sums = np.zeros(2)
    space = np.empty((2, _CELLS, _CELLS, _CHUNK))
    for start in range(0, result.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        of_result = _Marginals(result[:, part])
        for index, source in enumerate(sources):
            of_source = _Marginals(source[:, part])
            own = space[..., : of_source.density.shape[1]]
            sums[index] += _window_information(of_source, of_result, own).sum()
    means = sums / result.shape[1]
    return reduce_sources(float(means[0]), float(means[1]), reduction)

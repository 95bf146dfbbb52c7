"""Metrics after models of the human eye: Qcb (Chen and Blum) and Qcv (Chen and Varshney).

Both stretch each image to 0..255, as the evaluators in use do, and filter it by a contrast
sensitivity function in cycles per a fixed share of the image's size.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from scipy import fft

from mmsgdfuse.evaluation.functional.image import luma_triple

_BLOCK = 16
_SALIENCY_POWER = 5


def _stretched(luma: np.ndarray) -> np.ndarray:
    """The luma in 0..255 grey levels, whole numbers; a constant image is zero."""
    low, high = int(luma.min()), int(luma.max())
    levels = np.arange(256, dtype=np.float64) - low
    return np.floor(levels / max(high - low, 1) * 255 + 0.5)[luma]


def _frequencies(shape: tuple[int, ...], share: float) -> np.ndarray:
    """Radial frequency of every coefficient of a real FFT; Nyquist is a side's length / share."""
    height, width = shape
    down = fft.fftfreq(height) * 2 * height / share
    across = fft.rfftfreq(width) * 2 * width / share
    return np.hypot(down[:, None], across)


def _filtered(image: np.ndarray, response: np.ndarray) -> np.ndarray:
    return fft.irfft2(fft.rfft2(image) * response, s=image.shape)


def _quotient(upper: np.ndarray, lower: np.ndarray, undefined: float) -> np.ndarray:
    """``upper / lower``, ``undefined`` where both are zero."""
    result = np.full_like(upper, undefined)
    return np.divide(upper, lower, out=result, where=lower != 0)


def _masked_contrast(image: np.ndarray) -> np.ndarray:
    """Peli's local contrast, a Gaussian of 2 pixels over one of 4 pixels, after masking."""
    near, far = (
        cv2.sepFilter2D(image, cv2.CV_64F, taps, taps, borderType=cv2.BORDER_CONSTANT)
        for taps in (_gaussian(2), _gaussian(4))
    )
    contrast = np.abs(_quotient(near, far, 1.0) - 1)
    return contrast**3 / (contrast**2 + 1e-4)


def _gaussian(sigma: float) -> np.ndarray:
    """31 taps of a Gaussian density; not normalised to a sum of one, as in the public code."""
    offset = np.arange(-15, 16)
    return np.exp(-(offset**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)


def qcb(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> float:
    """Qcb: how well the fused image keeps the local contrast of its sources (Chen and Blum).

    Each image is stretched to 0..255, filtered by the difference-of-Gaussians contrast
    sensitivity exp(-(r/15.387)^2) - 0.7622 exp(-(r/1.3456)^2), Nyquist at a thirtieth of a side,
    and its local contrast C (Gaussians of sigma 2 and 4, zero padding) is masked to
    C^3 / (C^2 + 0.0001). Per pixel and source, the smaller masked contrast over the larger; both
    sources are weighted by their squared masked contrasts; the mean over all pixels.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.

    Returns:
        0..1, no unit, higher is better. Where an image has no contrast at all, a contrast is
        kept if the other has none either; two sources without contrast weigh alike. Public codes
        give NaN there.

    Source: Chen and Blum, "A new automated quality assessment algorithm for image fusion", Image
    and Vision Computing 27(10), 2009; parameters as in the toolbox of Liu et al., "Objective
    assessment of multiresolution image fusion algorithms for context enhancement in night vision:
    a comparative study", IEEE TPAMI 34(1), 2012.

    Examples:
        >>> import numpy as np
        >>> image = (np.indices((64, 64)).prod(axis=0) % 251).astype(np.uint8)
        >>> qcb(image, image, image)
        1.0
    """
    planes = luma_triple(ir, vis, fused)
    radius = _frequencies(planes[0].shape, 30)
    response = np.exp(-((radius / 15.387) ** 2)) - 0.7622 * np.exp(-((radius / 1.3456) ** 2))
    *sources, result = (_masked_contrast(_filtered(_stretched(p), response)) for p in planes)
    kept = [
        _quotient(np.minimum(source, result), np.maximum(source, result), 1.0) for source in sources
    ]
    weights = [source**2 for source in sources]
    share = _quotient(weights[0], weights[0] + weights[1], 0.5)
    return float(np.mean(share * kept[0] + (1 - share) * kept[1]))


def _block_sums(image: np.ndarray) -> np.ndarray:
    """Sums over blocks of 16x16 pixels; what a block lacks at the right or below is zero."""
    height, width = image.shape
    whole = np.pad(image, ((0, -height % _BLOCK), (0, -width % _BLOCK)))
    blocks = whole.reshape(whole.shape[0] // _BLOCK, _BLOCK, whole.shape[1] // _BLOCK, _BLOCK)
    return blocks.sum(axis=(1, 3))


def qcv(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> float:
    """Qcv: visible differences from the sources, weighted by their edges (Chen and Varshney).

    Each image is stretched to 0..255. The differences A - F and B - F are filtered by the contrast
    sensitivity of Mannos and Sakrison, 2.6 (0.0192 + 0.144 r) exp(-(0.144 r)^1.1), Nyquist at an
    eighth of a side, and their mean squares over blocks of 16x16 pixels averaged with the sums of
    the sources' Sobel gradients to the power 5 as weights.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.

    Returns:
        Squared grey levels, 0 and up, **lower** is better; NaN where neither source has an edge.

    Source: Chen and Varshney, "A human perception inspired quality metric for image fusion based
    on regional information", Information Fusion 8(2), 2007; parameters as in the toolbox of Liu et
    al., 2012, see :func:`qcb`.

    Examples:
        >>> import numpy as np
        >>> image = (np.indices((64, 64)).prod(axis=0) % 251).astype(np.uint8)
        >>> qcv(image, image, image)
        0.0
    """
    *sources, result = (_stretched(plane) for plane in luma_triple(ir, vis, fused))
    radius = _frequencies(result.shape, 8)
    response = 2.6 * (0.0192 + 0.144 * radius) * np.exp(-((0.144 * radius) ** 1.1))
    visible, weight = 0.0, 0.0
    for source in sources:
        across = cv2.Sobel(source, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_CONSTANT)
        down = cv2.Sobel(source, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_CONSTANT)
        salience = _block_sums((across**2 + down**2) ** (_SALIENCY_POWER / 2))
        error = _block_sums(_filtered(source - result, response) ** 2) / _BLOCK**2
        visible += float(np.sum(salience * error))
        weight += float(np.sum(salience))
    return visible / weight if weight > 0 else math.nan

"""Similarity to the two sources: SSIM, MS-SSIM, Qy and PSNR."""

from __future__ import annotations

import math
import warnings

import numpy as np

from mmsgdfuse.evaluation.functional.image import UndefinedMetricWarning, luma_triple
from mmsgdfuse.evaluation.functional.reduction import reduce_sources
from mmsgdfuse.evaluation.functional.windows import (
    filter_valid,
    gaussian_window,
    strips,
    uniform_window,
)

#: The smallest side in pixels for MS-SSIM: one whole 11-pixel window after four halvings.
MS_SSIM_MIN_SIDE = 176

_SCALE_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_K1, _K2 = 0.01, 0.03


class _Window:
    """A window and the factor that makes its variances population or sample variances."""

    def __init__(self, name: str) -> None:
        if name == 'gaussian':
            self.taps, self.unbias = gaussian_window(11, 1.5), 1.0
        elif name == 'uniform':
            self.taps, self.unbias = uniform_window(7), 49 / 48
        else:
            raise ValueError(f"window must be 'gaussian' or 'uniform', found {name!r}")


def _mean_and_variance(image: np.ndarray, window: _Window) -> tuple[np.ndarray, np.ndarray]:
    mean = filter_valid(image, window.taps)
    return mean, (filter_valid(image * image, window.taps) - mean**2) * window.unbias


def _ssim_terms(
    sources: list[np.ndarray], fused: np.ndarray, window: _Window, data_range: float
) -> list[tuple[float, float]]:
    """Per source, the means of the SSIM map and of its contrast-structure part."""
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    overlap = len(window.taps) - 1
    sums = np.zeros((len(sources), 2))
    for rows in strips(len(fused), overlap):
        result = fused[rows]
        result_mean, result_variance = _mean_and_variance(result, window)
        for index, source in enumerate(sources):
            strip = source[rows]
            mean, variance = _mean_and_variance(strip, window)
            covariance = filter_valid(strip * result, window.taps) - mean * result_mean
            structure = 2 * covariance * window.unbias + c2
            structure /= variance + result_variance + c2
            luminance = (2 * mean * result_mean + c1) / (mean**2 + result_mean**2 + c1)
            sums[index] += np.sum(luminance * structure), np.sum(structure)
    height, width = fused.shape
    means = sums / ((height - overlap) * (width - overlap))
    return [(float(full), float(structure)) for full, structure in means]


def _warn_of_size(metric: str, shape: tuple[int, ...], min_side: int) -> None:
    warnings.warn(
        f'{metric} is undefined for {shape[1]}x{shape[0]} pixels: no side may be below {min_side}',
        UndefinedMetricWarning,
        stacklevel=3,
    )


def ssim(
    ir: np.ndarray,
    vis: np.ndarray,
    fused: np.ndarray,
    window: str = 'gaussian',
    data_range: float = 255.0,
    reduction: str = 'mean',
) -> float:
    """SSIM: structural similarity to the sources, K1 = 0.01, K2 = 0.03.

    The mean of the map over the pixels whose window lies whole inside the image.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.
        window: ``'gaussian'`` (default): 11 pixels, sigma 1.5, population variances, as in the
            paper of SSIM. ``'uniform'``: 7 pixels, sample variances, scikit-image's default.
        data_range: Grey levels from darkest to brightest. Default 255. Some fusion evaluators
            pass 0..255 images with 2, which makes the constants vanish.
        reduction: ``'mean'`` (default) over the two sources, ``'sum'``, ``'ir'`` or ``'vis'`` for
            one source alone. Toolboxes differ: a sum is twice a mean.

    Returns:
        -1..1, no unit, higher is better. NaN, with a warning, where a side is below the window.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility
    to structural similarity", IEEE Transactions on Image Processing 13(4), 2004.

    Examples:
        >>> import numpy as np
        >>> image = (np.indices((16, 16)).sum(axis=0) * 8).astype(np.uint8)
        >>> ssim(image, image, image)
        1.0
    """
    taps = _Window(window)
    *sources, result = (plane.astype(np.float64) for plane in luma_triple(ir, vis, fused))
    if min(result.shape) < len(taps.taps):
        _warn_of_size('SSIM', result.shape, len(taps.taps))
        return math.nan
    (against_ir, _), (against_vis, _) = _ssim_terms(sources, result, taps, data_range)
    return reduce_sources(against_ir, against_vis, reduction)


def _halve(image: np.ndarray) -> np.ndarray:
    """Mean of every 2x2 block; an odd last row or column is left out."""
    height, width = (side // 2 for side in image.shape)
    blocks = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return blocks.mean(axis=(1, 3))


def ms_ssim(
    ir: np.ndarray,
    vis: np.ndarray,
    fused: np.ndarray,
    data_range: float = 255.0,
    reduction: str = 'mean',
) -> float:
    """MS_SSIM: SSIM's structure at five scales and its luminance at the coarsest.

    Gaussian windows of 11 pixels (sigma 1.5); from scale to scale the mean of each 2x2 block;
    weights 0.0448, 0.2856, 0.3001, 0.2363, 0.1333; a negative term counts as 0.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.
        data_range: Grey levels from darkest to brightest. Default 255.
        reduction: ``'mean'`` (default) over the two sources, ``'sum'``, ``'ir'`` or ``'vis'`` for
            one source alone.

    Returns:
        0..1, no unit, higher is better. NaN, with a warning, where a side is below 176 pixels.

    Source: Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality
    assessment", Asilomar Conference on Signals, Systems and Computers, 2003.

    Examples:
        >>> import numpy as np
        >>> image = np.indices((176, 176)).sum(axis=0).astype(np.uint8)
        >>> ms_ssim(image, image, image)
        1.0
    """
    images = [plane.astype(np.float64) for plane in luma_triple(ir, vis, fused)]
    if min(images[0].shape) < MS_SSIM_MIN_SIDE:
        _warn_of_size('MS_SSIM', images[0].shape, MS_SSIM_MIN_SIDE)
        return math.nan
    window = _Window('gaussian')
    products = np.ones(2)
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale > 0:
            images = [_halve(image) for image in images]
        *sources, result = images
        coarsest = scale == len(_SCALE_WEIGHTS) - 1
        for source, (full, structure) in enumerate(
            _ssim_terms(sources, result, window, data_range)
        ):
            products[source] *= max(full if coarsest else structure, 0.0) ** weight
    return reduce_sources(float(products[0]), float(products[1]), reduction)


# the smallest variance that a 7-pixel window of whole numbers can have is above
_FLAT = 1e-6
_ALIKE = 0.75


def qy(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> float:
    """Qy: structural similarity to both sources where they agree, to the nearer one elsewhere.

    SSIM maps with Gaussian windows of 7 pixels (sigma 1.5) and vanishing constants. Where the
    sources are alike (SSIM of at least 0.75), the similarities to both are averaged with the
    sources' variances as weights, elsewhere the larger one counts; the mean over the pixels whose
    window lies whole inside the image.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.

    Returns:
        -1..1, no unit, higher is better. NaN, with a warning, where a side is below 7 pixels. Two
        flat windows have the same structure, a flat and a textured one have nothing in common, and
        where both sources are flat they weigh alike; public codes give rounding errors there.

    Source: Yang, Zhang, Wang and Liu, "A novel similarity based quality metric for image fusion",
    Information Fusion 9(2), 2008; window as in the toolbox of Liu et al., "Objective assessment of
    multiresolution image fusion algorithms for context enhancement in night vision", IEEE TPAMI
    34(1), 2012.

    Examples:
        >>> import numpy as np
        >>> image = np.indices((16, 16)).sum(axis=0).astype(np.uint8)
        >>> round(qy(image, image, image), 12)
        1.0
    """
    planes = [plane.astype(np.float64) for plane in luma_triple(ir, vis, fused)]
    window = gaussian_window(7, 1.5)
    overlap = len(window) - 1
    height, width = planes[0].shape
    if min(height, width) <= overlap:
        _warn_of_size('Qy', (height, width), len(window))
        return math.nan
    total = 0.0
    for rows in strips(height, overlap):
        strip = [plane[rows] for plane in planes]
        means = [filter_valid(image, window) for image in strip]
        variances = [
            filter_valid(image * image, window) - mean**2 for image, mean in zip(strip, means)
        ]
        for variance in variances:
            variance[variance < _FLAT] = 0

        of_sources, of_ir, of_vis = (
            _share(2 * means[i] * means[j], means[i] ** 2 + means[j] ** 2, 1.0)
            * _share(
                2 * (filter_valid(strip[i] * strip[j], window) - means[i] * means[j]),
                variances[i] + variances[j],
                1.0,
            )
            for i, j in ((0, 1), (0, 2), (1, 2))
        )
        weight = _share(variances[0], variances[0] + variances[1], 0.5)
        value = np.where(
            of_sources >= _ALIKE,
            weight * of_ir + (1 - weight) * of_vis,
            np.maximum(of_ir, of_vis),
        )
        total += float(value.sum())
    return total / ((height - overlap) * (width - overlap))


def _share(part: np.ndarray, whole: np.ndarray, undefined: float) -> np.ndarray:
    """``part / whole``, ``undefined`` where the whole is zero."""
    return np.divide(part, whole, out=np.full_like(whole, undefined), where=whole > 0)


def psnr(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray, peak: float | None = 255.0) -> float:
    """PSNR: 10 log10(peak^2 / mean of the two mean squared errors).

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.
        peak: Grey level that counts as the signal's peak. Default 255; None takes the fused
            image's own maximum, as CDDFuse's evaluator does.

    Returns:
        dB, 0 and up, higher is better; infinite where F equals both sources.

    Source: Wang and Bovik, "A universal image quality index", IEEE Signal Processing Letters
    9(3), 2002, as the fusion literature cites it.

    Examples:
        >>> import numpy as np
        >>> black, white = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
        >>> psnr(white, white, black)
        0.0
    """
    *sources, result = (plane.astype(np.float64) for plane in luma_triple(ir, vis, fused))
    error = float(np.mean([np.mean((source - result) ** 2) for source in sources]))
    top = float(result.max()) if peak is None else float(peak)
    if error == 0:
        return math.inf if top > 0 else math.nan
    return 10 * math.log10(top**2 / error) if top > 0 else -math.inf

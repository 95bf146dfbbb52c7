"""Centre-surround contrast: how far each pixel stands out from windows around it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

# Statistics of wide windows are smooth: this many pixels across the shorter side suffice for them.
_SURROUND_SIDE = 120


def _channel_sum(x: np.ndarray) -> np.ndarray:
    """(H, W, C) -> (H, W); several times faster than numpy's sum over so short an axis."""
    return cv2.transform(x, np.ones((1, x.shape[2]), np.float32))


def centre_surround(
    features: np.ndarray, scales: Sequence[float], noise: float = 1.0
) -> np.ndarray:
    """Contrast of every pixel to square windows around it, in standard deviations of the windows.

    For each window size, ``(x - mean) / (std + n)``, where ``n`` is 5 % of the features' range
    (5th to 95th percentile), but at least ``noise``; the result is the mean over the sizes. Images
    are continued by reflection. Doubling an image's amplitude leaves the result unchanged as long
    as ``noise`` is the smaller of the two.

    Args:
        features (np.ndarray): float32, (H, W), or (H, W, C) with C up to 4.
        scales (Sequence[float]): Window sizes in units of the image's shorter side.
        noise (float): Deviation, in the features' unit, below which nothing stands out.
            Default: 1.0.

    Returns:
        np.ndarray: float32, (H, W). Signed for (H, W); for several channels the
        Euclidean distance over the channels, with the square root of the summed variances below it.
    """
    shape = features.shape[:2]
    size = shape[::-1]
    step = max(1, min(shape) // _SURROUND_SIDE)
    small_size = (-(-size[0] // step), -(-size[1] // step))
    small = cv2.resize(features, small_size, interpolation=cv2.INTER_AREA)
    squares = cv2.resize(features * features, small_size, interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, (5, 95))
    floor = max(0.05 * float(high - low), noise)
    total = np.zeros(shape, np.float32)
    for scale in scales:
        window = (int(min(shape) / step * scale) | 1,) * 2
        mean = cv2.blur(small, window, borderType=cv2.BORDER_REFLECT)
        variance = cv2.blur(squares, window, borderType=cv2.BORDER_REFLECT) - mean * mean
        if features.ndim == 3:
            variance = _channel_sum(variance)
        gain = 1 / (np.sqrt(np.maximum(variance, 0)) + np.float32(floor))
        offset = features - cv2.resize(mean, size, interpolation=cv2.INTER_LINEAR)
        if features.ndim == 3:
            offset = np.sqrt(_channel_sum(offset * offset))
        total += offset * cv2.resize(gain, size, interpolation=cv2.INTER_LINEAR)
    return total / np.float32(len(scales))

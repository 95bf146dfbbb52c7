"""Windowed means by separable filters, in float64 and without invented border pixels."""

from __future__ import annotations

import cv2
import numpy as np


def gaussian_window(size: int, sigma: float) -> np.ndarray:
    """One axis of a normalised Gaussian window: its outer product with itself is the window.

    Args:
        size: Number of taps, odd.
        sigma: Standard deviation in pixels.

    Returns:
        float64 array (size,) that sums to one.

    Examples:
        >>> gaussian_window(3, 0.6).round(4).tolist()
        [0.1664, 0.6672, 0.1664]
    """
    offset = np.arange(size) - (size - 1) / 2
    weight = np.exp(-(offset**2) / (2 * sigma**2))
    return weight / weight.sum()


def uniform_window(size: int) -> np.ndarray:
    """One axis of a box window of ``size`` taps."""
    return np.full(size, 1 / size)


def filter_valid(image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Filters along both axes and keeps only what the window covers whole.

    Args:
        image: float64 array (H, W).
        window: float64 array (k,), symmetric, k odd, k <= min(H, W).

    Returns:
        float64 array (H - k + 1, W - k + 1).
    """
    radius = len(window) // 2
    filtered = cv2.sepFilter2D(image, cv2.CV_64F, window, window)
    return filtered[radius : image.shape[0] - radius, radius : image.shape[1] - radius]

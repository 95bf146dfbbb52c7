"""Windowed means by separable filters, in float64 and without invented border pixels."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

#: Rows whose temporaries (a few dozen of 640 columns) fit into a processor's cache.
_STRIP = 64


def strips(height: int, overlap: int = 0) -> Iterator[slice]:
    """Parts an image into strips of rows, to be worked on one after the other.

    What a strip needs stays in the cache, and its memory serves the next one. Whole planes would
    be asked from the system for every temporary anew, at more than twice the time.

    Args:
        height: Rows of the image.
        overlap: Rows that a strip shares with the next one: a window's size less one.

    Yields:
        Slices of rows; without their overlap they cover the image once.

    Examples:
        >>> [(s.start, s.stop) for s in strips(150, overlap=2)]
        [(0, 66), (64, 130), (128, 150)]
    """
    for start in range(0, height - overlap, _STRIP):
        yield slice(start, min(start + _STRIP + overlap, height))


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

"""Features that look alike in infrared and visible images: where edges are and how they run.

Heat and light agree on few grey values and on many outlines. The direction of an edge is taken
modulo 180 degrees, because a contrast often has the opposite sign in the other camera. Source:
the idea of dense orientation channels is that of CFOG (Ye et al., IEEE TGRS 57(11), 2019).
"""

from __future__ import annotations

import cv2
import numpy as np

CHANNELS = 8
# Exponent of the cosine: neighbouring channels overlap by about a half.
_SELECTIVITY = 6
_GRADIENT_SIGMA = 1.0
_CHANNEL_SIGMA = 2.0


def orientation_features(image: np.ndarray) -> np.ndarray:
    """Gradient magnitude by direction, smoothed and normalised per pixel.

    Args:
        image: uint8 (H, W).

    Returns:
        float32 (8, H, W), from 0 to 1. Flat areas are near 0: the norm of a pixel's channels is
        divided by itself plus the median norm of the image.
    """
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), _GRADIENT_SIGMA)
    across, down = (cv2.Scharr(smooth, cv2.CV_32F, *order) / 32 for order in ((1, 0), (0, 1)))
    magnitude = np.hypot(across, down)
    direction = np.arctan2(down, across)
    angles = np.pi * np.arange(CHANNELS) / CHANNELS
    channels = np.stack([
        cv2.GaussianBlur(
            magnitude * np.abs(np.cos(direction - angle)) ** _SELECTIVITY, (0, 0), _CHANNEL_SIGMA
        )
        for angle in angles
    ])  # fmt: skip
    norm = np.sqrt((channels**2).sum(axis=0))
    return channels / (norm + np.median(norm) + 1e-3)

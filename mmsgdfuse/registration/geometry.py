"""Pure functions on 3x3 homographies. Pixel (0, 0) is the centre of the first pixel."""

from __future__ import annotations

import cv2
import numpy as np

Size = tuple[int, int]


def scaling(factor: float) -> np.ndarray:
    """The homography (3, 3) from an image to itself resized by ``factor``, as OpenCV resizes."""
    shift = (factor - 1) / 2
    return np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]])


def one_grid(size: Size, other: Size) -> np.ndarray:
    """The homography (3, 3) between two samplings of one frame, sizes (height, width)."""
    factors = [large / small for large, small in zip(other, size)]
    down, across = (scaling(factor) for factor in factors)
    return np.array([across[0], down[1], [0, 0, 1]])


def transform_points(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a homography (3, 3) to points (N, 2), x first; float64 (N, 2)."""
    points = np.asarray(points, np.float64).reshape(-1, 1, 2)
    if not len(points):
        return np.empty((0, 2))
    return cv2.perspectiveTransform(points, homography).reshape(-1, 2)


def corners(size: Size) -> np.ndarray:
    """Centres of the four corner pixels of an image of ``size`` (height, width), (4, 2)."""
    bottom, right = size[0] - 1, size[1] - 1
    return np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float64)


def corner_error(first: np.ndarray, second: np.ndarray, size: Size) -> float:
    """Mean distance of the corners when mapped by one homography and back by another.

    Args:
        first: Homography (3, 3) from an image of ``size``.
        second: Another one.
        size: (height, width), pixels.

    Returns:
        Pixels of that image; infinite if a corner is not mapped at all.
    """
    own = corners(size)
    if not (is_regular(first, size) and is_regular(second, size)):
        return float('inf')
    back = transform_points(np.linalg.inv(second), transform_points(first, own))
    return float(np.linalg.norm(back - own, axis=1).mean())


def local_scale(homography: np.ndarray, size: Size) -> float:
    """Pixels of the target per pixel of an image of ``size``, at its centre."""
    height, width = size
    centre = np.array([[(width - 1) / 2, (height - 1) / 2]])
    steps = transform_points(homography, centre + np.array([[0, 0], [1, 0], [0, 1]]))
    return float(abs(np.linalg.det(steps[1:] - steps[0])) ** 0.5)


def is_regular(homography: np.ndarray, size: Size) -> bool:
    """Whether a homography maps the whole frame of ``size`` one to one, without mirroring it."""
    if homography.shape != (3, 3) or not np.isfinite(homography).all():
        return False
    points = np.c_[corners(size), np.ones(4)]
    depth = points @ homography[2]
    return bool(
        (depth * np.sign(depth[0]) > 1e-6).all() and np.linalg.det(homography) * depth[0] > 0
    )

"""Corresponding points of two images that are nearly registered already."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from mmsgdfuse.registration.features import orientation_features
from mmsgdfuse.registration.geometry import local_scale, scaling, transform_points

# Of a window, the share that must lie inside the visible image
_MIN_INSIDE = 0.7
_EDGE = 7


class Matches(NamedTuple):
    """Points that show the same thing.

    Attributes:
        ir: (N, 2) in infrared pixels, x first.
        vis: (N, 2) in visible pixels.
        score: (N,) normalised correlation of the windows around them, -1 to 1.
        pixel: Side of a pixel of the search, infrared pixels.
    """

    ir: np.ndarray
    vis: np.ndarray
    score: np.ndarray
    pixel: float

    def chosen(self, which: np.ndarray) -> Matches:
        """The matches that a boolean or index array (N,) names."""
        return Matches(self.ir[which], self.vis[which], self.score[which], self.pixel)

    @staticmethod
    def joined(several: list[Matches]) -> Matches:
        """All matches of several images."""
        ir, vis, score = (np.concatenate(part) for part in zip(*(each[:3] for each in several)))
        return Matches(ir, vis, score, several[0].pixel)


def match_windows(
    ir: np.ndarray,
    vis: np.ndarray,
    homography: np.ndarray,
    width: int,
    reach: int,
    windows: tuple[int, ...],
    step: int,
) -> Matches:
    """Match windows of the infrared image within a small range of a known transform.

    Args:
        ir: uint8 (H, W).
        vis: uint8 (H', W').
        homography: (3, 3), infrared to visible pixels, right to about ``reach``.
        width: Width that the infrared image is resized to, pixels. All below are in its pixels.
        reach: Largest shift in x and in y.
        windows: Sides of the square windows; odd.
        step: Distance between two windows.

    Returns:
        The best shift of each window with a precision below a pixel. Windows outside the visible
        image, and those whose best shift is at the end of the range, are left out.
    """
    small, warped, inside, to_small = _on_one_grid(ir, vis, homography, width)
    pairs = [_windows(small, warped, inside, reach, side, step) for side in windows]
    points, shifted, score = (np.concatenate(part) for part in zip(*pairs))
    back = np.linalg.inv(to_small)
    return Matches(
        transform_points(back, points),
        transform_points(homography @ back, shifted),
        score,
        1 / to_small[0, 0],
    )


def _on_one_grid(
    ir: np.ndarray, vis: np.ndarray, homography: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both images on the resized infrared grid, where the visible one is, and the resizing."""
    factor = min(1.0, width / ir.shape[1])
    size = (max(1, round(ir.shape[1] * factor)), max(1, round(ir.shape[0] * factor)))
    small = cv2.resize(ir, size, interpolation=cv2.INTER_AREA)
    to_small = scaling(factor)
    to_vis = homography @ np.linalg.inv(to_small)
    shrink = 1 / max(1.0, local_scale(to_vis, small.shape[:2]))
    if shrink < 1:  # else a warp that reads few pixels would alias
        vis = cv2.resize(vis, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        to_vis = scaling(shrink) @ to_vis
    warped = cv2.warpPerspective(
        vis, to_vis, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    inside = cv2.warpPerspective(
        np.ones(vis.shape, np.uint8), to_vis, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    )
    inside = cv2.erode(inside, np.ones((_EDGE, _EDGE), np.uint8)).astype(np.float32)
    return small, warped, inside, to_small


def _windows(
    ir: np.ndarray, vis: np.ndarray, inside: np.ndarray, reach: int, side: int, step: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, shifted points and scores of the windows of one size."""
    height, width = ir.shape
    if min(height, width) <= side:
        return np.empty((0, 2)), np.empty((0, 2)), np.empty(0)
    first = _without_local_mean(orientation_features(ir), side)
    second = _without_local_mean(orientation_features(vis) * inside, side) * inside
    rows, columns = (np.arange(side // 2, n - side // 2, step) for n in (height, width))
    grid = np.ix_(rows, columns)

    def box(image: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(image, -1, (side, side), borderType=cv2.BORDER_CONSTANT)

    padded = np.pad(second, ((0, 0), (reach, reach), (reach, reach)))
    energy = box((first**2).sum(axis=0))[grid]
    other_energy = box((padded**2).sum(axis=0))
    count = 2 * reach + 1
    scores = np.empty((count, count, len(rows), len(columns)), np.float32)
    for down in range(count):
        for right in range(count):
            moved = slice(down, down + height), slice(right, right + width)
            product = box(np.einsum('chw,chw->hw', first, padded[(slice(None), *moved)]))[grid]
            both = np.maximum(energy * other_energy[moved][grid], 1e-8)
            scores[down, right] = product / np.sqrt(both)
    y, x = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing='ij'))
    best, shift = _best_shifts(scores.reshape(count, count, -1))
    kept = np.isfinite(shift).all(axis=1) & (box(inside)[grid].ravel() >= _MIN_INSIDE)
    points = np.stack([x, y], axis=1).astype(np.float64)[kept]
    return points, points + shift[kept] - reach, best[kept]


def _without_local_mean(features: np.ndarray, side: int) -> np.ndarray:
    around = (2 * side + 1, 2 * side + 1)
    return features - np.stack([cv2.blur(channel, around) for channel in features])


def _best_shifts(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best score (N,) of (rows, columns, N) and its place (N, 2), x first; NaN at the border."""
    rows, columns, number = scores.shape
    place = scores.reshape(-1, number).argmax(axis=0)
    y, x = np.unravel_index(place, (rows, columns))
    index = np.arange(number)
    best = scores[y, x, index]
    shift = np.full((number, 2), np.nan)
    inner = (x > 0) & (x < columns - 1) & (y > 0) & (y < rows - 1)
    y, x, index, peak = y[inner], x[inner], index[inner], best[inner]
    for axis, (before, after) in enumerate((
        (scores[y, x - 1, index], scores[y, x + 1, index]),
        (scores[y - 1, x, index], scores[y + 1, x, index]),
    )):  # fmt: skip
        # the top of the parabola through the three scores
        curvature = np.maximum(2 * peak - before - after, 1e-6)
        shift[inner, axis] = (x, y)[axis] + (after - before) / (2 * curvature)
    return best, shift

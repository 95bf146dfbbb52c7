"""Where one image lies in the other, by scale and position, when nothing is known."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from scipy import fft

from mmsgdfuse.registration.features import orientation_features
from mmsgdfuse.registration.geometry import corner_error, scaling

# Width of the infrared image in the search, pixels
SEARCH_WIDTH = 160
# Of the smaller image, the share that must lie in the other one
_MIN_OVERLAP = 0.5
# Two maxima of one scale nearer than this are one
_PEAK_RADIUS = 6
_PEAKS = 2
_SMALLEST_SIDE = 24


class Candidate(NamedTuple):
    """A possible place.

    Attributes:
        homography: (3, 3) from infrared to visible pixels; scale and shift only.
        score: How far the correlation stands above its mean over all shifts of that scale,
            in standard deviations.
    """

    homography: np.ndarray
    score: float


def coarse_candidates(
    ir: np.ndarray, vis: np.ndarray, scales: np.ndarray, count: int = 6, apart: float = 40
) -> list[Candidate]:
    """Search all shifts at given scales by normalised cross-correlation of edge features.

    Args:
        ir: uint8 (H, W).
        vis: uint8 (H', W').
        scales: Visible pixels per infrared pixel to try.
        count: How many candidates are returned at most. Default 6.
        apart: Mean corner distance between two candidates, infrared pixels. Default 40.

    Returns:
        The best first.
    """
    factor = SEARCH_WIDTH / ir.shape[1]
    small = _resize(ir, factor)
    features, mask = _centred(small)
    found = []
    for scale in scales:
        other = _resize(vis, factor / scale)
        if min(other.shape) < _SMALLEST_SIDE or min(small.shape) < _SMALLEST_SIDE:
            continue
        for x, y, score in _peaks(features, mask, *_centred(other), other.shape):
            shift = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
            homography = np.linalg.inv(scaling(factor / scale)) @ shift @ scaling(factor)
            found.append(Candidate(homography, score))
    chosen: list[Candidate] = []
    for candidate in sorted(found, key=lambda each: -each.score):
        if all(
            corner_error(candidate.homography, each.homography, ir.shape[:2]) > apart
            for each in chosen
        ):
            chosen.append(candidate)
        if len(chosen) == count:
            break
    return chosen


def _resize(image: np.ndarray, factor: float) -> np.ndarray:
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=way)


def _centred(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features without the mean of each channel, and a mask of ones."""
    features = orientation_features(image)
    return features - features.mean(axis=(1, 2), keepdims=True), np.ones(image.shape, np.float32)


def _peaks(
    first: np.ndarray,
    first_mask: np.ndarray,
    second: np.ndarray,
    second_mask: np.ndarray,
    limit: tuple[int, ...],
) -> list[tuple[int, int, float]]:
    """The best shifts (x, y) of the first on the second, with their scores."""
    size = [
        fft.next_fast_len(a + b, real=True) for a, b in zip(first_mask.shape, second_mask.shape)
    ]

    def spectrum(image: np.ndarray) -> np.ndarray:
        return fft.rfft2(image, size)

    def correlate(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return fft.irfft2(one.conj() * other, size)

    mask, other_mask = spectrum(first_mask), spectrum(second_mask)
    product = fft.irfft2((spectrum(first).conj() * spectrum(second)).sum(axis=0), size)
    energy = correlate(spectrum((first**2).sum(axis=0)), other_mask)
    other_energy = correlate(mask, spectrum((second**2).sum(axis=0)))
    overlap = correlate(mask, other_mask)
    valid = overlap > _MIN_OVERLAP * min(first_mask.sum(), second_mask.sum())
    if not valid.any():
        return []
    score = product / np.sqrt(np.maximum(energy * other_energy, 1e-6))
    spread = score[valid].std()
    if not spread > 0:
        return []
    score = np.where(valid, (score - score[valid].mean()) / spread, -np.inf)
    rows, columns = np.ogrid[: size[0], : size[1]]
    peaks = []
    for _ in range(_PEAKS):
        row, column = np.unravel_index(np.argmax(score), score.shape)
        value = float(score[row, column])
        if not np.isfinite(value):
            break
        y = int(row) if row < limit[0] else int(row) - size[0]
        x = int(column) if column < limit[1] else int(column) - size[1]
        peaks.append((x, y, value))
        near = [np.abs(axis - centre) for axis, centre in ((rows, row), (columns, column))]
        near = [np.minimum(distance, side - distance) for distance, side in zip(near, size)]
        score = np.where((near[0] < _PEAK_RADIUS) & (near[1] < _PEAK_RADIUS), -np.inf, score)
    return peaks

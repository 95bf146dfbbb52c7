"""Edge transfer metrics: Qabf (edges that the fused image kept) and Nabf (edges it invented)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from mmsgdfuse.evaluation.functional.image import luma_triple
from mmsgdfuse.evaluation.functional.windows import strips

_Edges = tuple[np.ndarray, np.ndarray]


def _edge_strips(
    planes: tuple[np.ndarray, ...],
    border: int,
    edges_of: Callable[[np.ndarray, np.ndarray], _Edges],
) -> Iterator[tuple[_Edges, _Edges, _Edges]]:
    """Magnitude and angle of the gradients of all three images, strip by strip."""
    padded = [cv2.copyMakeBorder(plane, 1, 1, 1, 1, border, value=0) for plane in planes]
    for rows in strips(len(padded[0]), overlap=2):
        ir, vis, fused = (edges_of(*_sobel(plane[rows])) for plane in padded)
        yield ir, vis, fused


def _sobel(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal and vertical Sobel derivative (scale 8) of all but the outermost pixels."""
    across = cv2.Sobel(luma, cv2.CV_64F, 1, 0, ksize=3)
    down = cv2.Sobel(luma, cv2.CV_64F, 0, 1, ksize=3)
    return across[1:-1, 1:-1], down[1:-1, 1:-1]


def _magnitude(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    # np.hypot guards against overflow, which grey levels cannot reach, at three times the cost.
    return np.sqrt(across * across + down * down)


def _line_angle(rise: np.ndarray, run: np.ndarray) -> np.ndarray:
    """atan(rise / run) in [-pi/2, pi/2], and pi/2 wherever ``run`` is 0."""
    return np.arctan(np.divide(rise, run, out=np.full_like(rise, np.inf), where=run != 0))


def _sigmoid(values: np.ndarray, ceiling: float, slope: float, centre: float) -> np.ndarray:
    growth = centre - values
    growth *= slope
    np.exp(growth, out=growth)
    growth += 1
    return np.divide(ceiling, growth, out=growth)


def _qabf_edges(across: np.ndarray, down: np.ndarray) -> _Edges:
    # y points up here. The sign matters, because differences of angles are not wrapped.
    return _magnitude(across, down), _line_angle(-down, across)


def _preserved(source: _Edges, fused: _Edges) -> np.ndarray:
    """Per pixel, how well strength and angle of the source's edge survive."""
    weaker = np.minimum(source[0], fused[0])
    stronger = np.maximum(source[0], fused[0])
    # Where both gradients are equal the reference evaluator takes the gradient itself.
    ratio = np.divide(weaker, stronger, out=weaker.copy(), where=weaker < stronger)
    alignment = 1 - np.abs(source[1] - fused[1]) / (math.pi / 2)
    return _sigmoid(ratio, 0.9994, 15, 0.5) * _sigmoid(alignment, 0.9879, 22, 0.8)


def qabf(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> float:
    """Qabf: share of the sources' edges that the fused image keeps, weighted by their strength.

    3x3 Sobel with zero padding; angle atan(sy / sx), pi/2 where sx = 0, differences not wrapped;
    a sigmoid of the strengths' ratio times a sigmoid of the angles' agreement; where the two
    strengths are equal the ratio is that strength itself.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.

    Returns:
        0..0.9753, no unit, higher is better; NaN where both sources are all zero.

    Source: Xydeas and Petrovic, "Objective image fusion performance measure", Electronics
    Letters 36(4), 2000, in the variant of CDDFuse's evaluator.

    Examples:
        >>> import numpy as np
        >>> image = (np.indices((16, 16)).sum(axis=0) * 8).astype(np.uint8)
        >>> round(qabf(image, image, image), 4)
        0.9753
    """
    kept = weight = 0.0
    planes = luma_triple(ir, vis, fused)
    for *sources, result in _edge_strips(planes, cv2.BORDER_CONSTANT, _qabf_edges):
        for source in sources:
            kept += float(np.sum(_preserved(source, result) * source[0]))
            weight += float(np.sum(source[0]))
    return kept / weight if weight > 0 else math.nan


_NABF_THRESHOLD = 2.0
_NABF_MIN_WEIGHT = 0.001


def _nabf_edges(across: np.ndarray, down: np.ndarray) -> _Edges:
    strength = _magnitude(across, down) / 8
    return strength, np.where(strength == 0, 0.0, _line_angle(across, down))


def _explained(source: _Edges, fused: _Edges) -> np.ndarray:
    """Per pixel, how well the source's edge accounts for the fused image's."""
    weaker = np.minimum(source[0], fused[0])
    stronger = np.maximum(source[0], fused[0])
    ratio = np.divide(weaker, stronger, out=np.zeros_like(weaker), where=weaker > 0)
    alignment = np.abs(np.abs(source[1] - fused[1]) - math.pi / 2) / (math.pi / 2)
    return np.sqrt(_sigmoid(ratio, 0.9999, 19, 0.5) * _sigmoid(alignment, 0.9995, 22, 0.5))


def _nabf_weight(strength: np.ndarray) -> np.ndarray:
    return np.where(strength >= _NABF_THRESHOLD, strength**1.5, _NABF_MIN_WEIGHT)


def nabf(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> float:
    """Nabf: weight of the edges in the fused image that neither source explains.

    Counts the pixels where the fused image's gradient exceeds both sources', each by how badly
    the sources' edges account for it. Sobel / 8 with mirrored borders; a source weighs by its
    gradient^1.5 from 2 grey levels on and 0.001 below.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.

    Returns:
        0..1, no unit, lower is better.

    Source: Shreyamsha Kumar, "Multifocus and multispectral image fusion based on pixel
    significance using discrete cosine harmonic wavelet transform", Signal, Image and Video
    Processing 7(6), 2013, after Petrovic and Xydeas.

    Examples:
        >>> import numpy as np
        >>> image = (np.indices((16, 16)).sum(axis=0) * 8).astype(np.uint8)
        >>> nabf(image, image, image)
        0.0
    """
    unexplained = weight = 0.0
    planes = luma_triple(ir, vis, fused)
    for *sources, result in _edge_strips(planes, cv2.BORDER_REFLECT_101, _nabf_edges):
        added = (result[0] > sources[0][0]) & (result[0] > sources[1][0])
        for source in sources:
            weights = _nabf_weight(source[0])
            lost = (1 - _explained(source, result)) * weights
            unexplained += float(np.sum(lost, where=added))
            weight += float(np.sum(weights))
    return unexplained / weight

"""Contrast of labelled regions against their surround."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmsgdfuse.evaluation.functional.image import to_luma

_RING = 0.5
_LEAST_RING = 2


def region_contrast(image: np.ndarray, boxes: Sequence[Sequence[float]]) -> np.ndarray:
    """How far the mean of each box differs from the mean of the frame around it.

    The surround is a rectangular ring, half the box's shorter side wide and at least 2 pixels,
    cut at the frame's border. Pixels of any of the boxes do not count as surround.

    Args:
        image: uint8, (H, W), (H, W, 1) or RGB (H, W, 3).
        boxes: (N, 4) as x, y, width, height in pixels.

    Returns:
        np.ndarray: float64, (N,), grey levels 0..255; NaN for a box without pixels in the frame or
        without surround.
    """
    luma = to_luma(image)
    frame = np.array(luma.shape[::-1])
    spans = []
    inside = np.zeros(luma.shape, bool)
    for x, y, width, height in boxes:
        left, top = np.clip(np.floor((x, y)).astype(int), 0, frame)
        right, bottom = np.clip(np.ceil((x + width, y + height)).astype(int), 0, frame)
        spans.append((left, top, right, bottom))
        inside[top:bottom, left:right] = True
    values = np.full(len(spans), np.nan)
    for index, (left, top, right, bottom) in enumerate(spans):
        ring = max(_LEAST_RING, round(_RING * min(right - left, bottom - top)))
        area = np.s_[max(top - ring, 0) : bottom + ring, max(left - ring, 0) : right + ring]
        surround = luma[area][~inside[area]]
        box = luma[top:bottom, left:right]
        if box.size and surround.size:
            values[index] = abs(box.mean() - surround.mean())
    return values

"""Overshoot: dark or bright rims beside strong edges that neither source has."""

from __future__ import annotations

import math

import cv2
import numpy as np

from mmsgdfuse.evaluation.functional.image import luma_triple

_STRONG_FROM = 40
_REACH = 3


def overshoot(
    ir: np.ndarray,
    vis: np.ndarray,
    fused: np.ndarray,
    threshold: int = _STRONG_FROM,
    reach: int = _REACH,
) -> float:
    """Overshoot: how far the fused image leaves the sources' range beside strong edges.

    The range of a pixel is from the smallest to the largest value that the two sources have in
    its 3x3 neighbourhood. An edge is strong where the largest and the smallest value of one
    source in the 3x3 neighbourhood differ by ``threshold`` or more. The value is the mean,
    over all pixels of the squares of ``reach`` pixels around strong edges, of the grey levels by
    which F is above or below the range. Neighbourhoods end at the image's border.

    No rule that takes a value between the two sources' at each pixel has any. A ringing filter,
    a sharpened edge and a seam between areas of different sources do.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.
        threshold: Difference in grey levels from which an edge is strong. Default 40.
        reach: Pixels to each side of a strong edge that count. Default 3.

    Returns:
        Grey levels, 0..255, lower is better. NaN where neither source has a strong edge.

    Source: defined by this project, see docs/metrics.md.

    Examples:
        >>> import numpy as np
        >>> step = np.repeat(np.uint8([[50] * 8 + [150] * 8]), 8, axis=0)
        >>> rim = step.copy()
        >>> rim[:, 8] = 166
        >>> overshoot(step, step, step), overshoot(step, step, rim)
        (0.0, 2.0)
    """
    ir, vis, fused = luma_triple(ir, vis, fused)
    # OpenCV's morphology leaves out what lies beyond the border
    around = np.ones((3, 3), np.uint8)
    low_ir, low_vis = cv2.erode(ir, around), cv2.erode(vis, around)
    high_ir, high_vis = cv2.dilate(ir, around), cv2.dilate(vis, around)
    span = np.maximum(high_ir - low_ir, high_vis - low_vis)
    near = cv2.dilate(
        (span >= threshold).astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    ).astype(bool)
    if not near.any():
        return math.nan
    # the subtraction of uint8 images by OpenCV ends at 0
    above = cv2.subtract(fused, np.maximum(high_ir, high_vis))
    below = cv2.subtract(np.minimum(low_ir, low_vis), fused)
    return float((above.astype(np.float64) + below)[near].mean())

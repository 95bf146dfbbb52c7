"""QRG: does the fused image amplify noise where both sources are flat?"""

from __future__ import annotations

import math

import cv2
import numpy as np

from mmsgdfuse.evaluation.functional.image import luma_triple

#: Fewer quiet pixels than this say nothing: QRG is NaN.
QRG_MIN_PIXELS = 1000

_WINDOW = 7
_QUIET_BELOW = 4.0


def _local_deviation(luma: np.ndarray) -> np.ndarray:
    """Population standard deviation in a 7x7 window, borders reflected."""
    size, border = (_WINDOW, _WINDOW), cv2.BORDER_REFLECT
    total = cv2.boxFilter(luma, cv2.CV_64F, size, normalize=False, borderType=border)
    squares = cv2.sqrBoxFilter(luma, cv2.CV_64F, size, normalize=False, borderType=border)
    # Sums of whole numbers are exact, so that a flat window has no deviation at all.
    return np.sqrt(_WINDOW**2 * squares - total**2) / _WINDOW**2


def quiet_region_gain(
    ir: np.ndarray,
    vis: np.ndarray,
    fused: np.ndarray,
    threshold: float = _QUIET_BELOW,
    min_pixels: int = QRG_MIN_PIXELS,
) -> float:
    """QRG: how much noisier the fused image is than its sources where both are flat.

    Over the pixels whose 7x7 standard deviation (reflected borders) is below ``threshold`` in
    both sources: the mean of the fused image's standard deviation divided by the mean of the
    larger one of the sources'.

    The other metrics can all be raised at once by amplifying the thermal camera's noise on
    asphalt and drawing patterns into saturated sky. This one tells.

    Args:
        ir: Infrared image A, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image B, the same.
        fused: Fused image F, the same.
        threshold: Standard deviation in grey levels below which a source is quiet. Default 4.
        min_pixels: Quiet pixels below which the value is undefined. Default 1000.

    Returns:
        0 and up, no unit: 1 means that flat stays as flat as in the noisier source, above 1 the
        fused image amplifies noise. NaN with too few quiet pixels. Where the quiet pixels of
        both sources have no noise at all: infinite if the fused image has any, else NaN.

    Source: defined by this project, see docs/metrics.md.

    Examples:
        >>> import numpy as np
        >>> noise = np.random.default_rng(0).integers(100, 104, (64, 64), dtype=np.uint8)
        >>> quiet_region_gain(noise, noise // 2, noise)
        1.0
    """
    ir, vis, fused = luma_triple(ir, vis, fused)
    deviation_ir, deviation_vis = _local_deviation(ir), _local_deviation(vis)
    quiet = (deviation_ir < threshold) & (deviation_vis < threshold)
    if np.count_nonzero(quiet) < min_pixels:
        return math.nan
    noise = float(np.maximum(deviation_ir, deviation_vis)[quiet].mean())
    result = float(_local_deviation(fused)[quiet].mean())
    if noise == 0:
        return math.inf if result > 0 else math.nan
    return result / noise

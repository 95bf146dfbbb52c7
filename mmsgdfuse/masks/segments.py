"""What mask generators produce and composers consume: segments, as segment-anything writes them."""

from __future__ import annotations

from typing import TypedDict

import cv2
import numpy as np


class Segment(TypedDict, total=False):
    """One segment of an image, with the keys of ``SamAutomaticMaskGenerator``'s records.

    Every generator sets the keys down to ``contrast``; SAM also sets the two below.
    """

    segmentation: np.ndarray  # bool, (H, W)
    area: int  # pixels
    bbox: list[int]  # x, y, width, height in pixels
    predicted_iou: float  # the generator's own confidence, 0..1
    stability_score: float  # how little the segment changes with its threshold, 0..1
    contrast: float  # distance to the surround in units of their spread, >= 0
    point_coords: list[list[float]]
    crop_box: list[int]


def mask_box(mask: np.ndarray) -> list[int]:
    """The box around a boolean mask.

    Args:
        mask (np.ndarray): bool, (H, W).

    Returns:
        list[int]: x, y, width, height in pixels; four zeros for an empty mask.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return [x, y, width, height]


def as_luma(image: np.ndarray) -> np.ndarray:
    """An image as float32 luma (H, W) in its own range, from (H, W), (H, W, 1) or RGB (H, W, 3)."""
    if image.ndim == 3 and image.shape[2] == 3:
        return cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)
    return image.reshape(image.shape[:2]).astype(np.float32)


def segment_contrast(luma: np.ndarray, mask: np.ndarray, ring: int) -> float:
    """How far a segment stands out from what surrounds it.

    The difference between the mean inside the segment and the mean in a ring around it, divided by
    the ring's standard deviation plus one tenth of the image's: no unit, unchanged when the
    image is stretched linearly.

    Args:
        luma (np.ndarray): float32, (H, W), any range.
        mask (np.ndarray): bool, (H, W), the segment.
        ring (int): Width of the ring in pixels, at least 1.

    Returns:
        float: At least 0; 0 for an empty segment, one without surround, and in a constant image.
    """
    spread = float(luma.std())
    return _contrast_in_box(luma, mask, mask_box(mask), ring, spread)


def _contrast_in_box(
    luma: np.ndarray, mask: np.ndarray, box: list[int], ring: int, spread: float
) -> float:
    x, y, width, height = box
    if not width or spread == 0:
        return 0.0
    rows = slice(max(y - ring, 0), y + height + ring)
    cols = slice(max(x - ring, 0), x + width + ring)
    inside = np.ascontiguousarray(mask[rows, cols]).view(np.uint8)
    # A square kernel dilates in time independent of its size; the corners do no harm to a mean.
    around = cv2.dilate(inside, np.ones((2 * ring + 1, 2 * ring + 1), np.uint8)) - inside
    if not around.any():
        return 0.0
    crop = luma[rows, cols]
    centre = cv2.mean(crop, inside)[0]
    mean, std = cv2.meanStdDev(crop, mask=around)
    return float(abs(centre - mean.item()) / (std.item() + 0.1 * spread))


def add_contrast(segments: list[Segment], image: np.ndarray) -> list[Segment]:
    """Measure ``contrast`` for those segments that do not have it yet.

    Args:
        segments (list[Segment]): Segments of ``image``; changed in place.
        image (np.ndarray): (H, W), (H, W, 1) or RGB (H, W, 3), any range.

    Returns:
        list[Segment]: The same list.
    """
    missing = [segment for segment in segments if 'contrast' not in segment]
    if missing:
        luma = as_luma(image)
        spread = float(luma.std())
        ring = max(2, min(luma.shape) // 60)
        for segment in missing:
            segment['contrast'] = _contrast_in_box(
                luma, segment['segmentation'], mask_box(segment['segmentation']), ring, spread
            )
    return segments


def covered_share(mask: np.ndarray, threshold: float = 0.0) -> float:
    """The share of an image that a mask covers.

    Args:
        mask (np.ndarray): The map in [0, 1] or a boolean mask, any shape.
        threshold (float): Pixels above it count. Default: 0.0.

    Returns:
        float: 0..1.
    """
    return float(np.count_nonzero(mask > threshold) / mask.size)

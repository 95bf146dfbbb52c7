"""Segments from a map of class ids: the second source of masks, beside generators."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np

from mmsgdfuse.masks.segments import Segment


def label_segments(
    label_map: np.ndarray, classes: Collection[int] | None = None, min_area: int = 16
) -> list[Segment]:
    """Each connected region of a class becomes a segment.

    Args:
        label_map (np.ndarray): Class ids, uint8 (H, W) or (H, W, 1); 0 is unlabelled.
        classes (Collection[int] | None): The ids to take; None takes all but 0. Default: None.
        min_area (int): Smaller regions, in pixels, are dropped. Default: 16.

    Returns:
        list[Segment]: By rising id, then in reading order of the regions; ``predicted_iou`` and
        ``stability_score`` are 1, and there is no ``contrast`` yet
        (see :func:`mmsgdfuse.masks.add_contrast`).

    Raises:
        ValueError: The map is not one of whole numbers (H, W) or (H, W, 1).
    """
    if label_map.ndim == 3 and label_map.shape[2] == 1:
        label_map = label_map[..., 0]
    if label_map.ndim != 2 or not np.issubdtype(label_map.dtype, np.integer):
        raise ValueError(
            f'a label map holds whole numbers (H, W), found {label_map.dtype} {label_map.shape}'
        )
    segments = []
    wanted = [c for c in np.unique(label_map).tolist() if (c in classes if classes else c != 0)]
    for class_id in wanted:
        region = (label_map == class_id).view(np.uint8)
        count, label, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=8)
        for k in range(1, count):
            *box, area = map(int, stats[k])
            if area >= min_area:
                segments.append(
                    Segment(
                        segmentation=label == k,
                        area=area,
                        bbox=box,
                        predicted_iou=1.0,
                        stability_score=1.0,
                    )
                )
    return segments

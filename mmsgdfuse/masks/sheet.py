"""Contact sheets: images, their segments and their masks side by side, to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from mmsgdfuse.masks.segments import Segment

_CAPTION = 22  # pixels above each row


def contact_sheet(
    rows: Iterable[tuple[str, np.ndarray, Sequence[Segment], np.ndarray]], width: int = 480
) -> np.ndarray:
    """Draw one row per image: the image, its segments in colours, its mask as a heat map.

    Args:
        rows (Iterable): Tuples of a caption, the image (uint8, (H, W), (H, W, 1) or RGB (H, W, 3)),
            its segments and its mask (float, (H, W), in [0, 1]).
        width (int): Width of each of the three pictures in pixels. Default: 480.

    Returns:
        np.ndarray: uint8 RGB, (rows' heights, 3 * width, 3).

    Raises:
        ValueError: There is no row.
    """
    strips = [_strip(*row, width) for row in rows]
    if not strips:
        raise ValueError('a contact sheet needs at least one image')
    return np.concatenate(strips)


def _strip(
    caption: str, image: np.ndarray, segments: Sequence[Segment], mask: np.ndarray, width: int
) -> np.ndarray:
    image = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
    size = width, max(1, round(image.shape[0] * width / image.shape[1]))
    pictures = [
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        for picture in (image, _paint_segments(image, segments), _paint_mask(image, mask))
    ]
    title = np.full((_CAPTION, 3 * width, 3), 32, np.uint8)
    cv2.putText(
        title, caption, (6, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA
    )
    return np.concatenate([title, np.concatenate(pictures, axis=1)])


def _paint_segments(image: np.ndarray, segments: Sequence[Segment]) -> np.ndarray:
    painted = image.astype(np.float32) * 0.5
    # Hues a golden angle apart: neighbours in the list never look alike.
    hues = (np.arange(len(segments)) * 111.25 % 180).astype(np.uint8)
    hsv = np.stack([hues, np.full_like(hues, 200), np.full_like(hues, 255)], axis=-1)
    colours = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0] if len(segments) else []
    ordered = sorted(zip(segments, colours), key=lambda pair: -pair[0]['area'])
    for segment, colour in ordered:
        inside = segment['segmentation']
        painted[inside] = 0.4 * image[inside] + 0.6 * colour
    return painted.astype(np.uint8)


def _paint_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    heat = cv2.applyColorMap(np.rint(mask * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    heat = cv2.cvtColor(heat, cv2.COLOR_BGR2RGB)
    return np.where(mask[..., None] > 0, 0.25 * image + 0.75 * heat, 0.5 * image).astype(np.uint8)

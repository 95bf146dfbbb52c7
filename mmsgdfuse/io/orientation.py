"""The orientation that EXIF and TIFF keep beside the pixels: one rule for every format."""

from __future__ import annotations

import numpy as np

from mmsgdfuse.io import tiff
from mmsgdfuse.io.errors import ContentError


def exif_orientation(block: bytes) -> int:
    r"""The orientation of an EXIF block, 1 to 8; 1 where there is none or it cannot be read.

    Args:
        block: EXIF as JPEG, PNG or WebP keep it, with or without the mark ``Exif\0\0``.
    """
    try:
        pages = tiff.parse_pages(block.removeprefix(b'Exif\0\0'), max_pages=1)
    except ContentError:  # a camera's faulty tags are no reason to refuse its pixels
        return 1
    return pages[0].orientation if pages else 1


def apply_orientation(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn pixels as they are stored into the picture as it is meant to be seen.

    Args:
        pixels: Array (H, W) or (H, W, C).
        orientation: EXIF's number, 1 to 8 (EXIF 2.3, tag 0x0112). 1 changes nothing; 5 to 8 swap
            height and width.

    Returns:
        Contiguous array.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def oriented_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Height and width after the orientation is applied."""
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)

"""Bringing one image onto the other's grid, in one resampling."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from mmsgdfuse.registration.geometry import Size
from mmsgdfuse.registration.rig import GRIDS, Grid, Rig
from mmsgdfuse.utils.errors import InputError

# Rows of the grid that are mapped at a time, which bounds the memory
_ROWS = 256
# Standard deviation of the low-pass per pixel that is skipped
_LOW_PASS = 0.5


class AlignedPair(NamedTuple):
    """A pair on one grid.

    Attributes:
        ir: (H, W, C), as the infrared image was.
        vis: (H, W, C), as the visible image was.
        valid: bool (H, W), where both cameras see something. Elsewhere the moved image repeats
            its border.
    """

    ir: np.ndarray
    vis: np.ndarray
    valid: np.ndarray


def align_pair(ir: np.ndarray, vis: np.ndarray, rig: Rig, grid: Grid = 'visible') -> AlignedPair:
    """Bring a pair onto one grid.

    Args:
        ir: Infrared image (H, W, C), uint8 or float32.
        vis: Visible image (H', W', C'), the same.
        rig: How their pixels correspond. If it names sizes, the images may be resized ones.
        grid: ``'visible'`` moves the infrared image, ``'infrared'`` the visible one. Default
            ``'visible'``.

    Raises:
        InputError: ``grid`` is another word, the rig does not fit the sizes, or the images do
            not overlap.
    """
    if grid not in GRIDS:
        raise InputError(f'grid must be one of {", ".join(GRIDS)}, found {grid!r}')
    sizes = {'infrared': ir.shape[:2], 'visible': vis.shape[:2]}
    rig = rig.resized(sizes['infrared'], sizes['visible'])
    moved, source = (ir, sizes['infrared']) if grid == 'visible' else (vis, sizes['visible'])
    across, down = _pixel_maps(rig, grid, sizes[grid])
    valid = (across >= 0) & (across <= source[1] - 1) & (down >= 0) & (down <= source[0] - 1)
    if not valid.any():
        raise InputError('the rig puts the two images beside each other; estimate it again')
    warped = cv2.remap(
        _without_aliasing(moved, across, down), across, down, cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).reshape(*sizes[grid], moved.shape[2])  # fmt: skip
    return AlignedPair(warped, vis, valid) if grid == 'visible' else AlignedPair(ir, warped, valid)


def feather(valid: np.ndarray, width: float) -> np.ndarray:
    """Weight of the fused image: 0 outside of the valid region, 1 further inside than ``width``.

    Args:
        valid: bool (H, W).
        width: Pixels over which the weight rises linearly; 0 for a hard edge.

    Returns:
        float32 (H, W). The border of the frame is no seam: an image that is valid everywhere
        has weight 1 everywhere.
    """
    if valid.all():
        return np.ones(valid.shape, np.float32)
    distance = cv2.distanceTransform(valid.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.clip(distance / max(width, 1e-6), 0, 1).astype(np.float32)


def fill_outside(
    fused: np.ndarray, other: np.ndarray, valid: np.ndarray, width: float
) -> np.ndarray:
    """The fused image inside of the valid region, the other image outside, and a soft seam.

    Args:
        fused: uint8 (H, W, 3).
        other: The image of the camera whose grid it is, uint8 (H, W, 1) or (H, W, 3).
        valid: bool (H, W).
        width: Of the seam, see :func:`feather`.

    Returns:
        uint8 (H, W, 3).
    """
    weight = feather(valid, width)[..., None]
    blended = weight * fused + (1 - weight) * other
    return np.rint(blended).astype(np.uint8)


def valid_box(valid: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the largest rectangle inside of the valid region.

    Args:
        valid: bool (H, W), with a true pixel.

    Raises:
        InputError: No pixel is valid.
    """
    best, box = 0, (0, 0, 0, 0)
    heights = np.zeros(valid.shape[1] + 1, np.int64)  # the last one ends every rectangle
    for row, line in enumerate(valid):
        heights[:-1] = np.where(line, heights[:-1] + 1, 0)
        open_at: list[int] = []  # columns of rising heights, of the classical largest rectangle
        for column, height in enumerate(heights.tolist()):
            while open_at and heights[open_at[-1]] >= height:
                top = int(heights[open_at.pop()])
                left = open_at[-1] + 1 if open_at else 0
                if top * (column - left) > best:
                    best, box = top * (column - left), (row - top + 1, row + 1, left, column)
            open_at.append(column)
    if not best:
        raise InputError('the images do not overlap; estimate the rig again')
    return slice(*box[:2]), slice(*box[2:])


def _pixel_maps(rig: Rig, grid: Grid, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Column and row, float32 (H, W), of the moved image that each pixel of the grid shows."""
    back = rig.to_infrared if grid == 'visible' else rig.to_visible
    maps = np.empty((2, *size), np.float32)
    for top in range(0, size[0], _ROWS):
        rows = np.arange(top, min(top + _ROWS, size[0]))
        pixels = np.stack(np.meshgrid(np.arange(size[1]), rows), axis=-1).reshape(-1, 2)
        found = back(pixels.astype(np.float64)).reshape(len(rows), size[1], 2)
        maps[:, rows] = np.moveaxis(found, -1, 0)
    return maps[0], maps[1]


def _without_aliasing(image: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Low-pass an image that is read in steps of more than a pixel."""
    middle = tuple(side // 2 for side in across.shape)
    near = tuple(max(index - 1, 0) for index in middle)
    steps = [abs(float(grid[middle] - grid[near])) for grid in (across, down)]
    skipped = max(max(steps) - 1, 0.0)
    if skipped < 0.1:
        return image
    return cv2.GaussianBlur(image, (0, 0), _LOW_PASS * skipped).reshape(image.shape)

"""What an estimated transform looks like: numbers per pair, and pictures to look at."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmsgdfuse.io.images import write_image
from mmsgdfuse.registration.estimation import Registration, to_grey
from mmsgdfuse.registration.rig import Rig
from mmsgdfuse.registration.warping import align_pair

_TILES = 8
_EDGE_COLOUR = (255, 40, 40)
_EDGE_QUANTILE = 0.93


def summarise(found: Registration) -> dict[str, Any]:
    """The numbers of a registration as plain values, for a rig's file."""
    return dict(
        kind=found.kind,
        residual=round(float(found.residual), 3),
        matches=found.matches,
        coverage=round(float(found.coverage), 3),
        uncertainty=round(float(found.uncertainty), 2),
        distortion=round(float(found.distortion), 4),
        frames=[
            dict(
                name=frame.name,
                residual=None if np.isnan(frame.residual) else round(float(frame.residual), 3),
                matches=frame.matches,
                tried=frame.tried,
            )
            for frame in found.frames
        ],
    )


def describe(found: Registration) -> str:
    """A table of the pairs and the numbers of all, as text."""
    lines = [f'{"pair":30s} residual  matches']
    lines += [
        f'{frame.name[:30]:30s} {frame.residual:5.2f} px  {frame.matches} of {frame.tried}'
        if frame.used
        else f'{frame.name[:30]:30s}   -       does not agree'
        for frame in found.frames
    ]
    lines.append(
        f'{found.kind}: residual {found.residual:.2f} px, coverage {found.coverage:.2f}, corners '
        f'within {found.uncertainty:.1f} px, lens distortion {found.distortion:+.3f}'
    )
    return '\n'.join(lines)


def write_report(
    folder: str | os.PathLike, rig: Rig, pairs: Iterable[tuple[str, np.ndarray, np.ndarray]]
) -> int:
    """Write ``NAME_checkerboard.png`` and ``NAME_edges.png`` of each pair.

    Args:
        folder: Where they are written; it is made.
        rig: The rig.
        pairs: Name, infrared and visible image of each, uint8.

    Returns:
        How many pairs were drawn.
    """
    count = 0
    for name, ir, vis in pairs:
        aligned = align_pair(as_channels(ir), as_channels(vis), rig)
        for kind, image in (
            ('checkerboard', checkerboard(aligned.ir, aligned.vis, aligned.valid)),
            ('edges', edge_overlay(aligned.ir, aligned.vis, aligned.valid)),
        ):
            write_image(Path(folder) / f'{name}_{kind}.png', image)
        count += 1
    return count


def as_channels(image: np.ndarray) -> np.ndarray:
    """An image (H, W) or (H, W, C) as (H, W, C)."""
    return image[..., None] if image.ndim == 2 else image


def checkerboard(ir: np.ndarray, vis: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Tiles of the two images in turn: outlines go on across the tiles of a registered pair.

    Args:
        ir: Infrared image, uint8 (H, W, 1).
        vis: Visible image, uint8 (H, W, 3) or (H, W, 1).
        valid: bool (H, W).

    Returns:
        uint8 (H, W, 3).
    """
    height, width = valid.shape
    side = max(8, min(height, width) // _TILES)
    odd = (np.arange(height)[:, None] // side + np.arange(width) // side) % 2 == 1
    return (
        np.where((odd & valid)[..., None], ir, vis)
        .astype(np.uint8)
        .repeat(3 // max(ir.shape[2], vis.shape[2]), axis=2)
    )


def edge_overlay(ir: np.ndarray, vis: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The visible image with the strongest infrared edges in red, shapes as for a checkerboard."""
    smooth = cv2.GaussianBlur(to_grey(ir).astype(np.float32), (0, 0), 1.5)
    strength = np.hypot(*(cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((1, 0), (0, 1))))
    edges = (strength > np.quantile(strength[valid], _EDGE_QUANTILE)) & valid
    picture = vis.repeat(3 // vis.shape[2], axis=2).copy()
    picture[edges] = _EDGE_COLOUR
    return picture

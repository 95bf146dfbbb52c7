"""Fusing an image that is too large for one pass, in tiles that agree with each other.

Masks and noise are those of the whole image. Statistics that a model computes over its image come
from a sample: patches spread evenly over the image, put side by side and run once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from mmsgdfuse.runtime.runner import Runner, padded
from mmsgdfuse.utils.errors import InputError

WHOLE = 2_500_000  # pixels up to which an image is fused in one pass
TILE = 768  # side of a tile without its overlap
_ALIGNMENT = 32  # tiles begin where the networks' grids of all levels begin
_OVERLAP = {False: 96, True: 256}  # by whether the model computes statistics over the image
_SAMPLE = 3  # patches of the sample along each side
_PATCH = 416  # their side


class Tile(NamedTuple):
    """A part of an image.

    Attributes:
        rows: Rows that are written.
        columns: Columns that are written.
        seen_rows: Rows that the network sees.
        seen_columns: Columns that the network sees.
    """

    rows: slice
    columns: slice
    seen_rows: slice
    seen_columns: slice


def choose_tile(shape: tuple[int, int], tile: int | None) -> int:
    """Side of the tiles for an image (H, W); 0: it is fused whole.

    Args:
        shape: (H, W).
        tile: Asked for; 0 for none. Default None: by the size.

    Raises:
        InputError: ``tile`` is neither 0 nor a multiple of 32 from 64 on.
    """
    if tile is None:
        return TILE if shape[0] * shape[1] > WHOLE else 0
    if tile != 0 and (tile < 2 * _ALIGNMENT or tile % _ALIGNMENT):
        raise InputError(
            f'tile must be 0 (whole images) or a multiple of {_ALIGNMENT} from {2 * _ALIGNMENT} '
            f'on, found {tile}'
        )
    return tile if max(shape) > tile else 0


def plan_tiles(shape: tuple[int, int], tile: int, overlap: int) -> Iterator[Tile]:
    """Tiles that cover an image once, row by row.

    Args:
        shape: (H, W).
        tile: Side of what each writes.
        overlap: Pixels that the network sees around it.
    """
    for rows, seen_rows in _spans(shape[0], tile, overlap):
        for columns, seen_columns in _spans(shape[1], tile, overlap):
            yield Tile(rows, columns, seen_rows, seen_columns)


def _spans(side: int, tile: int, overlap: int) -> Iterator[tuple[slice, slice]]:
    for start in range(0, side, tile):
        stop = min(start + tile, side)
        yield slice(start, stop), slice(max(start - overlap, 0), min(stop + overlap, side))


def fuse_tiled(
    runner: Runner, inputs: Mapping[str, np.ndarray], tile: int, preliminary: bool = True
) -> dict[str, np.ndarray]:
    """Fuse one pair in tiles.

    Args:
        runner: The model.
        inputs: ``ir`` (H, W, 1) and ``vis`` (H, W, 3) in 0..255; ``mask_ir`` and ``mask_vis``
            (H, W, 1) in [0, 1] of the whole image where the model needs them.
        tile: Side of the tiles, a multiple of 32.
        preliminary: Whether the preliminary image is kept, where there is one. Default True.

    Returns:
        uint8 (H, W, 3): ``fused``, and ``preliminary``.
    """
    shape = inputs['ir'].shape[0], inputs['ir'].shape[1]
    statistics = image_statistics(runner, inputs)
    overlap = _OVERLAP[statistics is not None]
    images: dict[str, np.ndarray] = {}
    for each in plan_tiles(shape, tile, overlap):
        seen = {
            name: image[None, each.seen_rows, each.seen_columns] for name, image in inputs.items()
        }
        origin = each.seen_rows.start, each.seen_columns.start
        size = seen['ir'].shape[1], seen['ir'].shape[2]
        noise = runner.noise(padded(size, runner.size_divisor), origin)
        found = runner.run(seen, noise, statistics).images
        top, left = each.rows.start - origin[0], each.columns.start - origin[1]
        for name, image in found.items():
            if name == 'fused' or preliminary:
                whole = images.setdefault(name, np.empty((*shape, 3), np.uint8))
                height, width = whole[each.rows, each.columns].shape[:2]
                whole[each.rows, each.columns] = image[0, top : top + height, left : left + width]
    return images


def image_statistics(runner: Runner, inputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Statistics (1, S) of an image from a sample of it; ``None`` for a model without any."""
    shape = inputs['ir'].shape[0], inputs['ir'].shape[1]
    rows, columns = (_patch_starts(side) for side in shape)
    size = min(_PATCH, shape[0]), min(_PATCH, shape[1])
    if runner.noise((1, 1)) is None:
        return None
    sample = {
        name: _mosaic(
            [
                [image[top : top + size[0], left : left + size[1]] for left in columns]
                for top in rows
            ],
            0,
        )[None]
        for name, image in inputs.items()
    }
    whole = padded((sample['ir'].shape[1], sample['ir'].shape[2]), runner.size_divisor)
    noise = runner.noise(whole)
    assert noise is not None
    noise = noise.copy()
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            part = runner.noise(size, (top, left))
            noise[..., i * size[0] : (i + 1) * size[0], j * size[1] : (j + 1) * size[1]] = part
    return runner.run(sample, noise).statistics


def _patch_starts(side: int) -> list[int]:
    """Where patches begin along one side: evenly spread, on the networks' grid."""
    count = min(_SAMPLE, max(side // _PATCH, 1))
    last = (side - min(_PATCH, side)) // _ALIGNMENT
    return [round(last * (i + 0.5) / count) * _ALIGNMENT if count > 1 else 0 for i in range(count)]


def _mosaic(patches: list[list[np.ndarray]], axis: int) -> np.ndarray:
    return np.concatenate([np.concatenate(line, axis + 1) for line in patches], axis)

"""Several images of one scene side by side, each under its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

TITLES = {
    'ir': 'infrared',
    'vis': 'visible',
    'mask_ir': 'infrared mask',
    'mask_vis': 'visible mask',
    'preliminary': 'preliminary',
    'fused': 'fused',
}
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PAPER, _INK = 255, 32


def fusion_panel(
    images: Mapping[str, np.ndarray],
    columns: int | None = None,
    tile_width: int | None = None,
) -> np.ndarray:
    """Draw images of one scene side by side, each under its name.

    The fields of a fusion (``ir``, ``vis``, ``mask_ir``, ``mask_vis``, ``preliminary``,
    ``fused``) come first, in this order and under their titles; other images follow in the
    order given, under their keys.

    Args:
        images: By name: uint8 in 0..255, or floating point or bool in [0, 1] such as a mask;
            (H, W), (H, W, 1) or RGB (H, W, 3). All of one size.
        columns: Tiles per row. Default: all in one row.
        tile_width: Width in pixels that each tile is scaled to. Default: as it is.

    Returns:
        RGB uint8 array (h, w, 3).

    Raises:
        ValueError: No image is given, their sizes differ, a shape is another one, or
            ``columns`` or ``tile_width`` is below 1.
        TypeError: An image has another dtype.

    Examples:
        >>> import numpy as np
        >>> ir = np.zeros((48, 64), np.uint8)
        >>> fusion_panel(dict(fused=ir, ir=ir, mask_ir=np.ones((48, 64), np.float32))).shape
        (68, 200, 3)
    """
    if not images:
        raise ValueError('images is empty; give at least one image to draw')
    names = [name for name in TITLES if name in images]
    names += [name for name in images if name not in TITLES]
    columns = len(names) if columns is None else columns
    if columns < 1 or (tile_width is not None and tile_width < 1):
        raise ValueError(f'columns and tile_width start at 1, found {columns} and {tile_width}')
    pictures = [_to_rgb(name, np.asarray(images[name])) for name in names]
    sizes = {picture.shape[:2] for picture in pictures}
    if len(sizes) > 1:
        found = ', '.join(f'{n} {p.shape[0]}x{p.shape[1]}' for n, p in zip(names, pictures))
        raise ValueError(f'the images of a panel must have one size, found {found}')
    tiles = [
        _titled(_scaled(picture, tile_width), TITLES.get(name, name))
        for name, picture in zip(names, pictures)
    ]
    return _grid(tiles, columns)


def _to_rgb(name: str, image: np.ndarray) -> np.ndarray:
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise ValueError(f'{name} must be (H, W), (H, W, 1) or (H, W, 3), found {np.shape(image)}')
    if image.dtype == bool or np.issubdtype(image.dtype, np.floating):
        image = np.rint(np.clip(image, 0, 1) * np.float32(255)).astype(np.uint8)
    if image.dtype != np.uint8:
        raise TypeError(f'{name} must be uint8, or a map in [0, 1], found {image.dtype}')
    return np.broadcast_to(image, (*image.shape[:2], 3))


def _scaled(image: np.ndarray, width: int | None) -> np.ndarray:
    if width is None or width == image.shape[1]:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    shrinks = width < image.shape[1]
    return cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )


def _titled(image: np.ndarray, title: str) -> np.ndarray:
    height, width = image.shape[:2]
    bar = max(20, round(0.07 * height))
    scale = cv2.getFontScaleFromHeight(_FONT, bar // 2)
    (text_width, text_height), _ = cv2.getTextSize(title, _FONT, scale, 1)
    if text_width > 0.95 * width:
        scale *= 0.95 * width / text_width
        (text_width, text_height), _ = cv2.getTextSize(title, _FONT, scale, 1)
    tile = np.full((bar + height, width, 3), _PAPER, np.uint8)
    corner = ((width - text_width) // 2, (bar + text_height) // 2)
    cv2.putText(tile, title, corner, _FONT, scale, (_INK,) * 3, 1, cv2.LINE_AA)
    tile[bar:] = image
    return tile


def _grid(tiles: Sequence[np.ndarray], columns: int) -> np.ndarray:
    height, width = tiles[0].shape[:2]
    gap = max(4, width // 100)
    rows = -(-len(tiles) // columns)
    page = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, 3), _PAPER, np.uint8
    )
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        page[top : top + height, left : left + width] = tile
    return page

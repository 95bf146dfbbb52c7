"""False colours of thermal pictures, and the way back from them to heat.

A palette is a table of 256 colours, cold to hot. Where every coloured pixel of a picture lies
close to the colours of one known palette, the position in the table is the heat.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from mmsgdfuse.utils.errors import InputError

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

# greater distance between the greatest and the least channel is colour and not JPEG noise
_CHROMA = 24
_COLOURED_SHARE = 0.01

# RGB distance from a palette's nearest colour: of lossless files, and with JPEG's noise
_TOLERANCE = 12.0
_LOOSE_TOLERANCE = 30.0
_EXPLAINED_SHARE = 0.97
_LOOSE_SHARE = 0.9

# two palettes that explain a picture alike must agree within this many levels
_AGREEMENT = 10.0

# colours this close that stand for heats this far apart cannot be told from each other
_SAME_COLOUR = 10.0
_FAR_APART = 24

_SAMPLES = 20_000

# tinted grey, which a natural picture of sky or dusk is nearly as well
_TINTS = ('bone', 'ocean', 'pink')

# what people draw heat with; the reversed ones would leave open which end is hot, and the more
# tables there are, the more natural pictures look like one of them
_MATPLOTLIB = (
    'cividis', 'CMRmap', 'coolwarm', 'gnuplot', 'gnuplot2', 'hot', 'inferno', 'jet', 'magma',
    'nipy_spectral', 'plasma', 'rainbow', 'seismic', 'turbo', 'viridis',
)  # fmt: skip


class PaletteMatch(NamedTuple):
    """A palette that explains a picture.

    Attributes:
        name: Such as 'inferno'.
        distance: Mean RGB distance of the coloured pixels from the palette, grey levels.
    """

    name: str
    distance: float


class UnknownPaletteError(ValueError):
    """No palette explains the colours, or one does that cannot be inverted."""


def coloured_share(image: np.ndarray) -> float:
    """Share (0..1) of the pixels that are coloured by more than JPEG noise.

    Args:
        image: RGB (H, W, 3) uint8.
    """
    spread = image.max(axis=2).astype(np.int16) - image.min(axis=2)
    return float((spread > _CHROMA).mean())


def has_colour(image: np.ndarray) -> bool:
    """Whether a hundredth of the pixels or more is coloured; RGB (H, W, 3) uint8."""
    return coloured_share(image) >= _COLOURED_SHARE


def palette_names() -> list[str]:
    """The palettes that are known: those of OpenCV, and matplotlib's for heat."""
    return sorted(_tables())


def palette_table(name: str) -> np.ndarray:
    """Colours of a known palette, uint8 (256, 3) RGB, cold to hot.

    Raises:
        ValueError: The name is not known.
    """
    if name not in _tables():
        raise InputError(f'palette must be one of {palette_names()}, found {name!r}')
    return _tables()[name]


def read_palette_strip(path: str | os.PathLike) -> np.ndarray:
    """A palette from a picture of a camera's own temperature scale.

    Args:
        path: Image file of the scale alone, without frame and digits: a strip whose colours run
            along its longer side, cold at the left or at the bottom.

    Returns:
        uint8 (256, 3) RGB.

    Raises:
        ValueError: The file is no image, or the strip is shorter than 16 pixels or has no colour.
    """
    data = np.fromfile(path, np.uint8) if Path(path).is_file() else np.zeros(0, np.uint8)
    strip = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if strip is None:
        raise InputError(f'{path}: cannot be read; give an image of a temperature scale')
    strip = cv2.cvtColor(strip, cv2.COLOR_BGR2RGB)
    if strip.shape[0] > strip.shape[1]:
        strip = np.rot90(strip, -1)
    if strip.shape[1] < 16 or not has_colour(np.ascontiguousarray(strip)):
        raise InputError(
            f'{path}: is no coloured strip of 16 pixels or more; cut the temperature scale out of '
            'a picture of the camera'
        )
    colours = np.median(strip, axis=0)
    at = np.linspace(0, len(colours) - 1, 256)
    columns = [np.interp(at, np.arange(len(colours)), colours[:, channel]) for channel in range(3)]
    return np.rint(np.stack(columns, axis=1)).astype(np.uint8)


def match_palette(image: np.ndarray) -> PaletteMatch | None:
    """The known palette that explains a picture's colours.

    A palette explains a picture if 97 % of its coloured pixels are within 12 grey levels (RGB
    distance) of one of the palette's colours, or, as JPEG blurs colours at edges, 90 % within 30
    levels and half within 12. Among several the nearest wins.

    Args:
        image: RGB (H, W, 3) uint8 with coloured pixels.

    Returns:
        The match, or None where no palette explains the picture.

    Raises:
        UnknownPaletteError: The palette gives different heats the same colour, or several
            palettes explain the picture and disagree about the heat.
    """
    pixels = _sample(image)
    spread = pixels.max(axis=1).astype(np.int16) - pixels.min(axis=1)
    coloured = pixels[spread > _CHROMA]
    if not len(coloured):
        return None
    matches = []
    for name, tree in _trees().items():
        distance, _ = tree.query(coloured, distance_upper_bound=4 * _LOOSE_TOLERANCE)
        distance = np.minimum(distance, 4 * _LOOSE_TOLERANCE)
        exact = (distance <= _TOLERANCE).mean()
        loose = (distance <= _LOOSE_TOLERANCE).mean()
        blurred = loose >= _LOOSE_SHARE and exact >= 0.5 and name not in _TINTS
        if exact >= _EXPLAINED_SHARE or blurred:
            matches.append(PaletteMatch(name, float(distance.mean())))
    if not matches:
        return None
    best = min(matches, key=lambda match: match.distance)
    _check_invertible(best.name, coloured)
    _check_agreement(best, matches, coloured)
    return best


def invert_palette(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Heat of each pixel: the position of the palette's nearest colour.

    Args:
        image: RGB (H, W, 3) uint8.
        table: Palette, uint8 (256, 3) RGB, cold to hot.

    Returns:
        uint8 (H, W, 1), 0 for the cold end and 255 for the hot end. Where neighbours in the table
        have the same colour, their mean.
    """
    colours, positions = _distinct(table)
    flat = image.reshape(-1, 3)
    code = flat.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    _, nearest = _tree(colours).query(flat[first])
    return positions[nearest][inverse.reshape(image.shape[:2])][..., None]


def _tree(table: np.ndarray) -> cKDTree:
    from scipy.spatial import cKDTree  # half the time that importing mmsgdfuse.io would take

    return cKDTree(table)


def _sample(image: np.ndarray) -> np.ndarray:
    pixels = image.reshape(-1, 3)
    return pixels[:: max(len(pixels) // _SAMPLES, 1)]


def _distinct(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The colours of a table, each once, and the mean position of each, uint8."""
    colours, inverse, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    total = np.bincount(inverse.reshape(-1), weights=np.arange(len(table)))
    return colours, np.rint(total / counts).astype(np.uint8)


def _check_invertible(name: str, pixels: np.ndarray) -> None:
    """Refuse a palette that repeats those of its colours that the picture uses."""
    table = palette_table(name).astype(np.float64)
    distances = np.linalg.norm(table[:, None] - table[None], axis=2)
    positions = np.arange(256)
    twice = (distances < _SAME_COLOUR) & (np.abs(positions[:, None] - positions) > _FAR_APART)
    used = np.unique(_tree(table).query(_sample(pixels[None]))[1])
    if twice[used].any():
        raise UnknownPaletteError(
            f'has the colours of {name!r}, which stand for more than one heat each'
        )


def _check_agreement(best: PaletteMatch, matches: list[PaletteMatch], pixels: np.ndarray) -> None:
    """Refuse where a palette that fits as well reads another heat from the same colours."""
    heat = _tree(palette_table(best.name)).query(pixels)[1]
    for other in matches:
        if other.distance > best.distance + 1.0:
            continue
        other_heat = _tree(palette_table(other.name)).query(pixels)[1]
        if np.abs(heat - other_heat).mean() > _AGREEMENT:
            raise UnknownPaletteError(
                f'has colours of both {best.name!r} and {other.name!r}, which differ in heat'
            )


@lru_cache(maxsize=1)
def _tables() -> dict[str, np.ndarray]:
    """Every known palette by name, RGB (256, 3)."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    tables = {}
    for name in dir(cv2):
        if name.startswith('COLORMAP_'):
            colours = cv2.applyColorMap(ramp, getattr(cv2, name))[:, 0, ::-1]
            tables[name.removeprefix('COLORMAP_').lower()] = np.ascontiguousarray(colours)
    from matplotlib import colormaps  # takes half a second, which grey pictures do without

    for name in _MATPLOTLIB:
        colours = np.rint(colormaps[name](ramp[:, 0])[:, :3] * 255).astype(np.uint8)
        same = tables.get(name)
        if same is None:
            tables[name] = colours
        elif np.abs(same.astype(int) - colours).max() > _SAME_COLOUR:
            tables[f'matplotlib {name}'] = colours
    return tables


@lru_cache(maxsize=1)
def _trees() -> dict[str, cKDTree]:
    return {name: _tree(table) for name, table in _tables().items()}

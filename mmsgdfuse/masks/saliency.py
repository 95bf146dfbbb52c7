"""The embedded mask generator: needs no weights, no network and no accelerator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from mmsgdfuse.masks.base import BaseMaskGenerator
from mmsgdfuse.masks.contrast import centre_surround
from mmsgdfuse.masks.joining import register_in
from mmsgdfuse.masks.segments import Segment

_POLARITIES = ('bright', 'dark', 'both')

# Smaller components may lie along the border: a person who is cut by it, for instance.
_BACKGROUND_AREA = 0.02

# A component that fills more than this share of the segment around it is that segment once more.
_SAME_SEGMENT = 0.7

# Holes up to this share of a segment's area are closed: dark clothes, a window in a car.
_HOLE_AREA = 0.1


# Fewer constant lines than this share of a side are picture, not padding.
_THINNEST_PADDING = 0.01


def picture_box(image: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a frame without constant padding.

    Padding is a border of one colour, the first pixel's or the last's, at least 1 % of the side
    wide. The picture's lines beside it must vary and be less than half of that colour; so an
    object before a flat background is no padded picture.

    Args:
        image (np.ndarray): uint8, (H, W) or (H, W, 3).

    Returns:
        tuple[slice, slice]: The whole frame where there is no padding.
    """
    height, width = image.shape[:2]
    for colour in (image[0, 0], image[-1, -1]):
        other = image != colour
        other = other.any(axis=2) if image.ndim == 3 else other
        x, y, w, h = cv2.boundingRect(other.view(np.uint8))
        edges = (
            (y, height, np.s_[y, x : x + w]),
            (height - y - h, height, np.s_[y + h - 1, x : x + w]),
            (x, width, np.s_[y : y + h, x]),
            (width - x - w, width, np.s_[y : y + h, x + w - 1]),
        )
        padded = [line for margin, side, line in edges if margin > _THINNEST_PADDING * side]
        if w and h and padded and all(_is_picture(image[e], other[e]) for e in padded):
            return slice(y, y + h), slice(x, x + w)
    return slice(0, height), slice(0, width)


def _is_picture(line: np.ndarray, other: np.ndarray) -> bool:
    """Whether a line varies and is mostly not of the padding's colour."""
    return bool((line != line[0]).any() and np.count_nonzero(other) > 0.5 * other.size)


class _Component(NamedTuple):
    mask: np.ndarray  # bool, inside the box
    x: int
    y: int
    contrast: float
    stability: float


def _border_length(mask: np.ndarray, x: int, y: int, shape: tuple[int, int]) -> int:
    """Pixels along the border of a frame of ``shape``, of a mask given in its box at (x, y)."""
    height, width = mask.shape
    edges = (
        (x == 0, mask[:, 0]),
        (y == 0, mask[0]),
        (x + width == shape[1], mask[:, -1]),
        (y + height == shape[0], mask[-1]),
    )
    return sum(int(np.count_nonzero(edge)) for touches, edge in edges if touches)


def _close_holes(mask: np.ndarray) -> None:
    """Fill, in place, the small holes of a uint8 mask (h, w)."""
    height, width = mask.shape
    largest = _HOLE_AREA * np.count_nonzero(mask)
    count, label, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    for k in range(1, count):
        x, y, w, h, area = stats[k]
        inner = x > 0 and y > 0 and x + w < width and y + h < height
        if inner and area <= largest:
            mask[y : y + h, x : x + w][label[y : y + h, x : x + w] == k] = 1


@register_in('MASK_GENERATORS')
class ThermalVisualSaliency(BaseMaskGenerator):
    """Segments that stand out from their surround at several scales.

    1. Every pixel is compared with the mean of square windows of several sizes around it, in units
       of the window's standard deviation; the mean over the sizes is the contrast map. It does not
       change when the image is stretched linearly, as thermal cameras do all the time. One-channel
       images are compared in intensity, brighter only (by default); colour images in CIELAB, in any
       direction, so that dark and coloured objects count too.
    2. The map is cut at rising levels. A connected component becomes a segment where it is neither
       tiny nor huge, does not run along the frame's border as sky and road do, and is not nearly
       the segment it lies in. So a person before a warm wall is a segment within the wall's.
    3. Small holes are filled, and segments grow by a few pixels: their edges must lie inside the
       mask for a gradient loss to see them.

    Constant padding around the picture is left out of all of this and never lies in a segment.

    Deterministic. All lengths and areas are relative to the frame, so that an image and its
    enlargement have the same segments.

    Args:
        polarity (str): What stands out in a one-channel image: 'bright' (white-hot infrared),
            'dark' (black-hot) or 'both'. Default: 'bright'.
        scales (Sequence[float]): Sizes of the windows, in units of the frame's shorter side.
            Default: (0.5, 1.0, 2.0).
        levels (Sequence[float]): Rising levels at which the contrast map is cut, in standard
            deviations. Default: (0.75, 1.1, 1.6, 2.3).
        peak (float): A component whose highest contrast stays below is dropped. Default: 1.5.
        min_area (float): Smallest component, as a share of the frame.
            Default: 1e-4 (31 pixels of 640x480).
        max_area (float): Largest component, as a share of the frame. Default: 0.1.
        border_limit (float): Components above 2 % of the frame are background, and dropped, where
            their length along the frame's border exceeds this many times the square root of their
            area. Default: 1.2.
        smoothing (float): Standard deviation of the Gaussian against noise, in units of the
            shorter side. Default: 1/320.
        opening (float): Thinner structures are removed from the components, in units of the
            shorter side. Default: 1/160.
        grow (float): Width by which segments grow, in units of the shorter side. Default: 1/240.
        max_segments (int): That many of the highest contrast are kept. Default: 96.
        composer (str | dict): Segments to map, see :class:`BaseMaskGenerator`.
            Default: 'salience'.

    Raises:
        ValueError: An argument is outside its range.
    """

    revision = 2

    def __init__(
        self,
        *,
        polarity: str = 'bright',
        scales: Sequence[float] = (0.5, 1.0, 2.0),
        levels: Sequence[float] = (0.75, 1.1, 1.6, 2.3),
        peak: float = 1.5,
        min_area: float = 1e-4,
        max_area: float = 0.1,
        border_limit: float = 1.2,
        smoothing: float = 1 / 320,
        opening: float = 1 / 160,
        grow: float = 1 / 240,
        max_segments: int = 96,
        composer: str | dict[str, Any] = 'salience',
    ) -> None:
        super().__init__(composer=composer)
        if polarity not in _POLARITIES:
            raise ValueError(f'polarity must be one of {_POLARITIES}, found {polarity!r}')
        if not scales or min(scales) <= 0:
            raise ValueError(f'scales must be one or more positive numbers, found {scales}')
        if not levels or min(levels) <= 0 or any(b <= a for a, b in zip(levels, levels[1:])):
            raise ValueError(f'levels must be positive and rising, found {levels}')
        if not 0 <= min_area < max_area <= 1:
            raise ValueError(
                f'areas must be 0 <= min_area < max_area <= 1, found {min_area} and {max_area}'
            )
        if min(peak, border_limit, smoothing, opening, grow) < 0:
            raise ValueError('peak, border_limit, smoothing, opening and grow must not be negative')
        if max_segments < 1:
            raise ValueError(f'max_segments must be at least 1, found {max_segments}')
        self.polarity = polarity
        self.scales = tuple(map(float, scales))
        self.levels = tuple(map(float, levels))
        self.peak = peak
        self.min_area = min_area
        self.max_area = max_area
        self.border_limit = border_limit
        self.smoothing = smoothing
        self.opening = opening
        self.grow = grow
        self.max_segments = max_segments

    @property
    def own_settings(self) -> dict[str, Any]:
        return dict(
            polarity=self.polarity,
            scales=list(self.scales),
            levels=list(self.levels),
            peak=self.peak,
            min_area=self.min_area,
            max_area=self.max_area,
            border_limit=self.border_limit,
            smoothing=self.smoothing,
            opening=self.opening,
            grow=self.grow,
            max_segments=self.max_segments,
        )

    def segment(self, image: np.ndarray) -> list[Segment]:
        rows, cols = picture_box(image)
        picture = image[rows, cols]
        components = list(self._components(self.contrast_map(picture)))
        components.sort(key=lambda component: -component.contrast)
        segments = [
            self._as_segment(component, picture.shape[:2])
            for component in components[: self.max_segments]
        ]
        if picture.shape != image.shape:
            for segment in segments:
                whole = np.zeros(image.shape[:2], bool)
                whole[rows, cols] = segment['segmentation']
                x, y, width, height = segment['bbox']
                segment['bbox'] = [x + cols.start, y + rows.start, width, height]
                segment['segmentation'] = whole
        return segments

    def contrast_map(self, image: np.ndarray) -> np.ndarray:
        """How much each pixel stands out.

        Args:
            image (np.ndarray): uint8, (H, W) or RGB (H, W, 3).

        Returns:
            np.ndarray: float32, (H, W), in standard deviations of the surround.
        """
        features: np.ndarray = image.astype(np.float32) / 255
        # Both on CIELAB's scale of 0..100, so that one noise floor serves both.
        features = features * 100 if image.ndim == 2 else cv2.cvtColor(features, cv2.COLOR_RGB2LAB)
        if (sigma := min(image.shape[:2]) * self.smoothing) > 0.3:
            features = cv2.GaussianBlur(features, (0, 0), sigma)
        contrast = centre_surround(features, self.scales)
        if image.ndim == 2 and self.polarity != 'bright':
            contrast = -contrast if self.polarity == 'dark' else np.abs(contrast)
        return contrast

    def _components(self, contrast: np.ndarray) -> Iterator[_Component]:
        shape = contrast.shape
        thinnest = round(min(shape) * self.opening)
        kernel = np.ones((thinnest, thinnest), np.uint8) if thinnest > 1 else None
        # The area of the innermost component kept so far at each pixel; 0 where there is none.
        kept_area = np.zeros(shape, np.int32)
        for level in self.levels:
            above: np.ndarray = (contrast > level).view(np.uint8)
            if kernel is not None:
                above = cv2.morphologyEx(above, cv2.MORPH_OPEN, kernel)
            count, label, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
            for k in range(1, count):
                x, y, width, height, area = map(int, stats[k])
                if (
                    not max(self.min_area * contrast.size, 4)
                    <= area
                    <= self.max_area * contrast.size
                ):
                    continue
                box = slice(y, y + height), slice(x, x + width)
                mask = label[box] == k
                # Levels are nested: one pixel tells what a whole component lies in.
                around = kept_area[box][np.unravel_index(mask.argmax(), mask.shape)]
                if around and area > _SAME_SEGMENT * around:
                    continue
                values = contrast[box][mask]
                if values.max() < self.peak or self._is_background(mask, area, x, y, shape):
                    continue
                kept_area[box][mask] = area
                stability = np.count_nonzero(values > 1.25 * level) / area
                yield _Component(mask, x, y, float(values.mean()), stability)

    def _is_background(
        self, mask: np.ndarray, area: int, x: int, y: int, shape: tuple[int, int]
    ) -> bool:
        if area <= _BACKGROUND_AREA * shape[0] * shape[1]:
            return False
        return _border_length(mask, x, y, shape) > self.border_limit * math.sqrt(area)

    def _as_segment(self, component: _Component, shape: tuple[int, int]) -> Segment:
        height, width = component.mask.shape
        radius = round(min(shape) * self.grow)
        top, left = max(component.y - radius, 0), max(component.x - radius, 0)
        bottom = min(component.y + height + radius, shape[0])
        right = min(component.x + width + radius, shape[1])
        mask = np.zeros((bottom - top, right - left), np.uint8)
        y, x = component.y - top, component.x - left
        mask[y : y + height, x : x + width] = component.mask
        if radius:
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
            mask = cv2.dilate(mask, disc)
        _close_holes(mask)
        segmentation = np.zeros(shape, bool)
        segmentation[top:bottom, left:right] = mask
        return Segment(
            segmentation=segmentation,
            area=int(np.count_nonzero(mask)),
            bbox=[left, top, right - left, bottom - top],
            predicted_iou=1 - math.exp(-component.contrast),
            stability_score=component.stability,
            contrast=component.contrast,
        )

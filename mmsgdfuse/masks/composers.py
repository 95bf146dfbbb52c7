"""Mask composers: pure functions from segments to the one-channel prior M in [0, 1].

The paper feeds SAM's mask of an image to the network and never says how many segments become one
channel. These are the readings that make sense; ``salience`` is the default.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from mmsgdfuse.masks.joining import register_in
from mmsgdfuse.masks.segments import Segment
from mmsgdfuse.utils.errors import MissingPackageError

Composer = Callable[[Sequence[Segment], 'tuple[int, int]'], np.ndarray]


def _empty(segments: Sequence[Segment], shape: tuple[int, int]) -> np.ndarray:
    for segment in segments:
        if segment['segmentation'].shape != tuple(shape):
            raise ValueError(
                f'a segment of shape {segment["segmentation"].shape} cannot be composed into a map '
                f'of shape {tuple(shape)}: pass the shape of the image that was segmented'
            )
    return np.zeros(shape, np.float32)


def _paint(
    segments: Sequence[Segment], weights: Sequence[float], shape: tuple[int, int]
) -> np.ndarray:
    """Per pixel, the highest weight among the segments that cover it."""
    canvas = _empty(segments, shape)
    # In ascending order of weight the last one written is the highest.
    for index in np.argsort(np.asarray(weights), kind='stable'):
        canvas[segments[index]['segmentation']] = weights[index]
    return canvas


@register_in('MASK_COMPOSERS')
def union(segments: Sequence[Segment], shape: tuple[int, int]) -> np.ndarray:
    """1 where any segment lies, 0 elsewhere.

    Args:
        segments (Sequence[Segment]): May be empty.
        shape (tuple[int, int]): (H, W) of the image.

    Returns:
        np.ndarray: float32, (H, W), 0 or 1.

    Raises:
        ValueError: A segment's shape is not ``shape``.
    """
    return _paint(segments, [1.0] * len(segments), shape)


@register_in('MASK_COMPOSERS')
def score(segments: Sequence[Segment], shape: tuple[int, int]) -> np.ndarray:
    """Per pixel, the highest ``predicted_iou * stability_score`` of the segments that cover it.

    Args:
        segments (Sequence[Segment]): May be empty.
        shape (tuple[int, int]): (H, W) of the image.

    Returns:
        np.ndarray: float32, (H, W), clipped to [0, 1] (SAM's predicted IoU may exceed 1).

    Raises:
        ValueError: A segment's shape is not ``shape``.
    """
    weights = [
        min(max(segment['predicted_iou'] * segment['stability_score'], 0.0), 1.0)
        for segment in segments
    ]
    return _paint(segments, weights, shape)


@register_in('MASK_COMPOSERS')
def salience(
    segments: Sequence[Segment], shape: tuple[int, int], floor: float = 0.25
) -> np.ndarray:
    """Per pixel, the highest weight of the segments that cover it, by their rank in contrast.

    With n segments the one with the k-th lowest contrast (k = 1..n) weighs
    ``floor + (1 - floor) * k / n``; equal contrasts share the mean of their ranks. Ranks instead of
    the contrasts themselves keep one very hot spot from pushing all others towards 0, and make the
    map independent of the camera's gain.

    Args:
        segments (Sequence[Segment]): With ``contrast``; may be empty.
        shape (tuple[int, int]): (H, W) of the image.
        floor (float): What the ranking starts from, 0..1. Default: 0.25.

    Returns:
        np.ndarray: float32, (H, W), in [0, 1].

    Raises:
        ValueError: ``floor`` is outside 0..1, or a segment's shape is not ``shape``.
        KeyError: A segment has no ``contrast`` (see :func:`mmsgdfuse.masks.add_contrast`).
    """
    if not 0 <= floor <= 1:
        raise ValueError(f'floor must lie in 0..1, found {floor}')
    if not segments:
        return _empty(segments, shape)
    contrasts = np.asarray([segment['contrast'] for segment in segments])
    _, inverse, counts = np.unique(contrasts, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return _paint(segments, list(floor + (1 - floor) * ranks / len(segments)), shape)


@register_in('MASK_COMPOSERS')
def labels(segments: Sequence[Segment], shape: tuple[int, int]) -> np.ndarray:
    """A level of its own for every segment: the map tells segments apart, not how much they matter.

    Segments are painted from the largest to the smallest, so that parts stay visible on wholes; the
    i-th of n gets i / n, the background 0.

    Args:
        segments (Sequence[Segment]): May be empty.
        shape (tuple[int, int]): (H, W) of the image.

    Returns:
        np.ndarray: float32, (H, W), in [0, 1].

    Raises:
        ValueError: A segment's shape is not ``shape``.
    """
    ordered = sorted(segments, key=lambda segment: -segment['area'])
    return _paint(ordered, [(i + 1) / len(ordered) for i in range(len(ordered))], shape)


_OWN: dict[str, Composer] = {each.__name__: each for each in (union, score, salience, labels)}


def build_composer(cfg: str | dict[str, Any]) -> Composer:
    """The composer that a config names.

    Args:
        cfg (str | dict): A registered name, or a dict of ``type`` and the composer's own keyword
            arguments.

    Returns:
        Callable: Takes ``segments`` and ``shape``.

    Raises:
        KeyError: No composer has this name.
        TypeError: ``cfg`` is something else.
    """
    if not isinstance(cfg, (str, dict)):
        raise TypeError(
            f'a composer is given by name or as a dict, found {cfg!r}; register a function of '
            'your own with @MASK_COMPOSERS.register_module() and give its name'
        )
    settings = {'type': cfg} if isinstance(cfg, str) else dict(cfg)
    name = settings.pop('type')
    known = dict(_OWN)
    composer = known.get(name)
    if composer is None:
        with suppress(MissingPackageError):
            from mmsgdfuse.registry import MASK_COMPOSERS

            composer = MASK_COMPOSERS.get(name)
            known.update(MASK_COMPOSERS.module_dict)
    if composer is None:
        choice = ', '.join(sorted(known))
        raise KeyError(f"no mask composer is called '{name}': choose one of {choice}")
    return partial(composer, **settings) if settings else composer

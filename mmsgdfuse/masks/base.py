"""The interface of every mask generator."""

from __future__ import annotations

import warnings
from abc import ABCMeta, abstractmethod
from typing import Any

import numpy as np

from mmsgdfuse.masks.composers import build_composer
from mmsgdfuse.masks.segments import Segment, add_contrast, covered_share

FULL_COVER = 0.95


class BaseMaskGenerator(metaclass=ABCMeta):
    """Turns an image into segments, and these into the one-channel prior M in [0, 1].

    A subclass implements :meth:`segment`, lists what its result depends on in :attr:`own_settings`
    and counts :attr:`revision` up when the same settings come to give another result.

    Args:
        composer (str | dict): Name of a registered composer, or a dict of ``type`` and its
            arguments. Default: 'salience'.

    Attributes:
        composer (Callable): Segments and (H, W) to a map.
        revision (int): Version of the class's algorithm, part of the settings.
        last_covered (float | None): Share of the frame (0..1) that the last map covered.
    """

    revision = 1

    def __init__(self, *, composer: str | dict[str, Any] = 'salience') -> None:
        self.composer = build_composer(composer)
        self._composer_settings = (
            {'type': composer} if isinstance(composer, str) else dict(composer)
        )
        self.last_covered: float | None = None

    @abstractmethod
    def segment(self, image: np.ndarray) -> list[Segment]:
        """Segments of one image, in a deterministic order.

        Args:
            image (np.ndarray): uint8, (H, W) or RGB (H, W, 3).
        """

    @property
    @abstractmethod
    def own_settings(self) -> dict[str, Any]:
        """Everything that changes the segments, as JSON-able values."""

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that changes the map, as JSON-able values: what a cache keys on."""
        return {
            'type': type(self).__name__,
            'revision': self.revision,
            **self.own_settings,
            'composer': self._composer_settings,
        }

    def generate(self, image: np.ndarray) -> list[Segment]:
        """Segments of one image, each with its contrast.

        Args:
            image (np.ndarray): uint8, (H, W), (H, W, 1) or RGB (H, W, 3).

        Returns:
            list[Segment]: May be empty.

        Raises:
            TypeError: The image is not uint8.
            ValueError: The image has another shape.
        """
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            found = getattr(image, 'dtype', type(image).__name__)
            raise TypeError(
                f'a mask generator takes a uint8 image, found {found}: scale it to 0..255'
            )
        if image.ndim == 3 and image.shape[2] == 1:
            image = image[..., 0]
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or not image.size:
            raise ValueError(
                'a mask generator takes an image (H, W), (H, W, 1) or (H, W, 3), '
                f'found {image.shape}'
            )
        return add_contrast(self.segment(np.ascontiguousarray(image)), image)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The prior M of one image.

        The map has 256 levels, so that an 8-bit file holds it without loss. Warns where it covers
        more than 95 % of the frame: such a mask carries no information.

        Args:
            image (np.ndarray): uint8, (H, W), (H, W, 1) or RGB (H, W, 3).

        Returns:
            np.ndarray: float32, (H, W), multiples of 1/255 in [0, 1].
        """
        mask = self.composer(self.generate(image), image.shape[:2])
        mask = np.rint(mask * 255).astype(np.uint8).astype(np.float32) / np.float32(255)
        self.last_covered = covered_share(mask)
        if self.last_covered > FULL_COVER:
            warnings.warn(
                f'the mask covers {self.last_covered:.1%} of the frame and so carries next to no '
                "information: use the composer 'salience', or raise the generator's thresholds",
                stacklevel=2,
            )
        return mask

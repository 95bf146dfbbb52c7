"""What every backend offers: one pass from arrays to images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Pass:
    """What one pass through a model gives.

    Attributes:
        images: ``fused``, and ``preliminary`` where the model makes one, uint8 (N, H, W, 3).
        statistics: float32 (N, S), what the model computed over each image; S is 0 for a model
            that computes nothing of that kind.
    """

    images: dict[str, np.ndarray]
    statistics: np.ndarray


class Runner(Protocol):
    """A trained model in one backend.

    Attributes:
        needs_masks: Whether ``mask_ir`` and ``mask_vis`` are read.
        size_divisor: What the model pads both sides to a multiple of.
    """

    @property
    def needs_masks(self) -> bool: ...

    @property
    def size_divisor(self) -> int: ...

    def noise(self, shape: tuple[int, int], origin: tuple[int, int] = (0, 0)) -> np.ndarray | None:
        """The noise of a tile (T, 5, H, W), float32; ``None`` for a model without diffusion."""

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        noise: np.ndarray | None = None,
        statistics: np.ndarray | None = None,
    ) -> Pass:
        """Fuse a batch.

        Args:
            inputs: ``ir`` (N, H, W, 1) and ``vis`` (N, H, W, 3) in 0..255; ``mask_ir`` and
                ``mask_vis`` (N, H, W, 1) in [0, 1] where the model needs them.
            noise: (T, 5, H', W') from :meth:`noise`, H' and W' being H and W rounded up to
                ``size_divisor``. Default: that of a whole image.
            statistics: (1, S), those of the whole image that these are tiles of. Default: each
                image has its own.
        """


def padded(shape: tuple[int, int], divisor: int) -> tuple[int, int]:
    """Height and width rounded up to a multiple."""
    return -(-shape[0] // divisor) * divisor, -(-shape[1] // divisor) * divisor

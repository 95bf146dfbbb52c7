"""Numbers that a layer computes over a whole image: recorded, and given to the image's tiles.

Group norm and channel attention depend on every pixel. A tile alone would have other numbers than
its image, and would not fit its neighbours. Inside :func:`whole_image_statistics` these layers
write down what they computed, or take what was written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn


class Statistics:
    """The statistics of one pass through a model, in the order in which layers ask for them.

    Args:
        images: Images N in the pass.
        given: (N, S) or (1, S), what :meth:`recorded` returned of the whole image. Default: each
            image has its own.
        use: Boolean scalar; where it is false, ``given`` is ignored. Default: it is used.
    """

    def __init__(self, images: int, given: Tensor | None = None, use: Tensor | None = None) -> None:
        self._images, self._given, self._use = images, given, use
        self._parts: list[Tensor] = []
        self._position = 0

    def take(self, own: Tensor) -> Tensor:
        """The statistic to use instead of a layer's own (M, ...), M being N or a multiple."""
        # a model that sees each image at several diffusion times has all images of a time together
        grouped = own.reshape(-1, self._images, own[0].numel()).transpose(0, 1)
        flat = grouped.flatten(1)
        self._parts.append(flat)
        if self._given is None:
            return own
        length = flat.shape[1]
        given = self._given[:, self._position : self._position + length]
        self._position += length
        taken = given.expand_as(flat) if self._use is None else torch.where(self._use, given, flat)
        return taken.reshape(grouped.shape).transpose(0, 1).reshape(own.shape)

    def recorded(self) -> Tensor:
        """What the layers computed themselves, float32 (N, S); S is 0 for a model without them."""
        if not self._parts:
            return torch.zeros(self._images, 0)
        return torch.cat(self._parts, dim=1)


_current: ContextVar[Statistics | None] = ContextVar('statistics', default=None)


@contextmanager
def whole_image_statistics(statistics: Statistics) -> Iterator[Statistics]:
    """Let the layers of the models that run inside record into, and read from, ``statistics``."""
    token = _current.set(statistics)
    try:
        yield statistics
    finally:
        _current.reset(token)


def image_statistic(own: Tensor) -> Tensor:
    """A layer's statistic of its image, or the one given instead: (M, ...) -> (M, ...)."""
    statistics = _current.get()
    return own if statistics is None else statistics.take(own)


class ImageGroupNorm(nn.GroupNorm):
    """Group norm whose mean and deviation may be those of a larger image.

    Shape:
        (N, C, H, W) -> (N, C, H, W).
    """

    def forward(self, x: Tensor) -> Tensor:
        if _current.get() is None:
            return super().forward(x)
        count, channels = x.shape[:2]
        # per channel first: a reduction over the pixels alone keeps the memory format
        mean = x.mean((2, 3))
        square = (x * x).mean((2, 3))
        grouped = torch.stack([mean, square]).reshape(2, count, self.num_groups, -1).mean(3)
        mean, square = image_statistic(grouped.transpose(0, 1)).unbind(1)
        scale = (square - mean * mean).clamp_min(0).add(self.eps).rsqrt()
        each = channels // self.num_groups
        scale = scale.repeat_interleave(each, 1) * self.weight
        shift = self.bias - mean.repeat_interleave(each, 1) * scale
        return x * scale[:, :, None, None] + shift[:, :, None, None]

"""How many pixels an image may declare before memory is taken for it."""

from __future__ import annotations

import os

from mmsgdfuse.io.errors import ContentError
from mmsgdfuse.utils.errors import InputError

MAX_PIXELS = 512_000_000
MAX_PIXELS_VARIABLE = 'MMSGDFUSE_MAX_PIXELS'

# OpenCV's own limits: the environment variable that raises each, and the default
_OPENCV_WIDTH = ('OPENCV_IO_MAX_IMAGE_WIDTH', 1 << 20)
_OPENCV_HEIGHT = ('OPENCV_IO_MAX_IMAGE_HEIGHT', 1 << 20)
_OPENCV_PIXELS = ('OPENCV_IO_MAX_IMAGE_PIXELS', 1 << 30)


def pixel_limit(max_pixels: int | None = None) -> int:
    """The number of pixels that an image may have.

    Args:
        max_pixels: The limit itself. Default None: the environment variable
            ``MMSGDFUSE_MAX_PIXELS``, and 512,000,000 where that is not set.

    Raises:
        ValueError: The limit is not a positive integer.
    """
    name = 'max_pixels'
    value: int | str = MAX_PIXELS if max_pixels is None else max_pixels
    if max_pixels is None and os.environ.get(MAX_PIXELS_VARIABLE):
        name, value = MAX_PIXELS_VARIABLE, os.environ[MAX_PIXELS_VARIABLE]
    try:
        limit = int(value)
    except ValueError:
        limit = 0
    if limit < 1:
        raise InputError(f'{name} must be a positive integer, found {value!r}')
    return limit


def check_size(width: int, height: int, max_pixels: int | None = None) -> None:
    """Raise ContentError where a declared size is above the limit, or above OpenCV's."""
    limit = pixel_limit(max_pixels)
    size = f'declares {width}x{height} pixels'
    if width * height > limit:
        raise ContentError(
            f'{size}, the limit is {limit}; if that is its true size, raise the limit by the '
            f'environment variable {MAX_PIXELS_VARIABLE} or by max_pixels, '
            'else copy or download it again'
        )
    for value, (variable, default) in (
        (width, _OPENCV_WIDTH),
        (height, _OPENCV_HEIGHT),
        (width * height, _OPENCV_PIXELS),
    ):
        if value > _environment_integer(variable, default):
            raise ContentError(
                f"{size}, which is above OpenCV's own limit; if that is its true size, raise the "
                f'limit by the environment variable {variable}, else copy or download it again'
            )


def _environment_integer(variable: str, default: int) -> int:
    # OpenCV also takes '64MB' and the like; such a value is left to OpenCV itself
    text = os.environ.get(variable, '')
    return int(text) if text.isdigit() else default if not text else 1 << 62

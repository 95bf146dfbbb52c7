"""Writing image files."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from mmsgdfuse.io.files import atomic_path
from mmsgdfuse.io.suffixes import IMAGE_SUFFIXES
from mmsgdfuse.utils.errors import InputError, InputTypeError


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write an image so that the file is either whole or not there; JPEG and WebP lose detail.

    Args:
        path: File to write; the suffix gives the format, and missing folders are made.
        image: uint8 array (H, W), (H, W, 1) or (H, W, 3), RGB.

    Raises:
        TypeError: ``image`` is not such an array.
        ValueError: The suffix is not one of :data:`IMAGE_SUFFIXES`, or the format cannot hold
            the image (WebP has at most 16383 pixels a side, PGM no colour).
        OSError: The disk is full, or the folder cannot be written to.
    """
    path = Path(path)
    image = np.asarray(image)
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or image.shape[2:] not in ((), (1,), (3,))
    ):
        raise InputTypeError(
            'image must be uint8 of shape (H, W), (H, W, 1) or (H, W, 3), '
            f'found {image.dtype} {image.shape}'
        )
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f'{path}: the suffix must be one of {", ".join(IMAGE_SUFFIXES)}')
    if image.shape[2:] == (3,):
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    try:
        done, encoded = cv2.imencode(path.suffix.lower(), image)
    except cv2.error:
        done = False
    if not done:
        height, width = image.shape[:2]
        raise InputError(
            f'{path}: the format cannot hold an image of {width}x{height} pixels and '
            f'{1 if image.ndim == 2 else image.shape[2]} channels; take another suffix'
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())

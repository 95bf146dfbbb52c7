"""Arrays that callers hand over, in the one form that the pipeline works on."""

from __future__ import annotations

import cv2
import numpy as np

from mmsgdfuse.utils.errors import InputError


def as_image(name: str, image: np.ndarray, channels: int) -> np.ndarray:
    """An image as (H, W, channels), uint8 or float32 in 0..255.

    Args:
        name: What to call the image in an error message.
        image: (H, W), (H, W, 1) or RGB (H, W, 3), uint8 or floating point in 0..255.
        channels: 1, which takes the luma of RGB (Rec. 601), or 3, which repeats grey.

    Raises:
        TypeError: The dtype is another one.
        ValueError: The shape or the range is.
    """
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise TypeError(
            f'{name} must be uint8, or floating point in 0..255, found {image.dtype}; scale it, '
            'or give the path of the file'
        )
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise InputError(f'{name} must be (H, W), (H, W, 1) or RGB (H, W, 3), found {image.shape}')
    if image.dtype != np.uint8:
        # a NaN fails both comparisons
        if not (image.min() >= 0 and image.max() <= 255):
            raise InputError(
                f'{name} must lie in 0..255, found {image.min():g}..{image.max():g}; scale it'
            )
        image = image.astype(np.float32)
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None]


def as_mask(name: str, mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask as float32 (H, W, 1) in [0, 1].

    Args:
        name: What to call the mask in an error message.
        mask: (H, W) or (H, W, 1): bool, floating point in [0, 1], or uint8 in 0..255.
        shape: (H, W) that it must have.

    Raises:
        TypeError: The dtype is another one.
        ValueError: The shape or the range is.
    """
    if mask.ndim == 2:
        mask = mask[..., None]
    if mask.shape != (*shape, 1):
        raise InputError(f'{name} must have the size of the pair, {shape}, found {mask.shape}')
    if mask.dtype == np.uint8:
        return mask.astype(np.float32) / np.float32(255)
    if mask.dtype != bool and not np.issubdtype(mask.dtype, np.floating):
        raise TypeError(f'{name} must be bool, floating point or uint8, found {mask.dtype}')
    if not (mask.min() >= 0 and mask.max() <= 1):
        raise InputError(f'{name} must lie in [0, 1], found {mask.min():g}..{mask.max():g}')
    return mask.astype(np.float32)

"""What every metric demands of an image, and the luma plane that it is measured on."""

from __future__ import annotations

import numpy as np


class UndefinedMetricWarning(UserWarning):
    """A metric has no value (NaN) or only a conventional one for an image, and why."""


def _check_image(image: np.ndarray, role: str) -> None:
    if not isinstance(image, np.ndarray):
        raise TypeError(f'{role} must be a numpy array, found {type(image).__name__}')
    if image.dtype != np.uint8:
        raise TypeError(
            f'{role} must be uint8 in 0..255, found {image.dtype}: the metrics are defined on '
            '8-bit images, and another range or unrounded values change them; convert it first'
        )
    if image.ndim == 3 and image.shape[2] in (2, 4):
        raise ValueError(f'{role} has an alpha channel (shape {image.shape}): remove it first')
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise ValueError(f'{role} must be (H, W), (H, W, 1) or (H, W, 3), found {image.shape}')
    if min(image.shape[:2]) < 2:
        raise ValueError(f'{role} must be at least 2x2 pixels, found {image.shape}')


def to_luma(image: np.ndarray, role: str = 'image') -> np.ndarray:
    """The 8-bit luma plane that every metric is measured on.

    0.299 R + 0.587 G + 0.114 B, rounded half to even. Grey stored as RGB comes out unchanged.

    Args:
        image: uint8 array (H, W), (H, W, 1) or (H, W, 3) in RGB order, 0..255.
        role: What to call the image in an error message.

    Returns:
        uint8 array (H, W).

    Raises:
        TypeError: ``image`` is not a uint8 array.
        ValueError: Another number of channels, or a side below 2 pixels.

    Examples:
        >>> import numpy as np
        >>> to_luma(np.array([[[255, 0, 0], [9, 9, 9]]] * 2, dtype=np.uint8)).tolist()
        [[76, 9], [76, 9]]
    """
    _check_image(image, role)
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[..., 0]
    return round_thousandths(luma_thousandths(image))


def luma_thousandths(image: np.ndarray) -> np.ndarray:
    """The luma before rounding, 299 R + 587 G + 114 B: whole numbers are exact everywhere.

    Args:
        image: uint8 array (H, W), (H, W, 1) or (H, W, 3) in RGB order.

    Returns:
        int32 array (H, W), thousandths of a grey level, 0..255000.
    """
    if image.ndim == 2 or image.shape[2] == 1:
        return image.reshape(image.shape[:2]).astype(np.int32) * 1000
    red, green, blue = (image[..., channel].astype(np.int32) for channel in range(3))
    return 299 * red + 587 * green + 114 * blue


def round_thousandths(thousandths: np.ndarray) -> np.ndarray:
    """Thousandths of a grey level as uint8, rounded half to even."""
    # An exact half is the only value that the division could misplace, and it is representable.
    return np.rint(thousandths / 1000).astype(np.uint8)


def luma_triple(
    ir: np.ndarray, vis: np.ndarray, fused: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The luma planes of a fused image and its two sources, checked against each other.

    Args:
        ir: Infrared image, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image, the same.
        fused: Fused image, the same.

    Returns:
        Three uint8 arrays (H, W): infrared, visible, fused.

    Raises:
        TypeError: One of them is not a uint8 array.
        ValueError: Their sizes differ, or one has an unfit shape.
    """
    planes = (to_luma(ir, 'ir'), to_luma(vis, 'vis'), to_luma(fused, 'fused'))
    if len({plane.shape for plane in planes}) > 1:
        sizes = ', '.join(
            f'{role} {plane.shape[1]}x{plane.shape[0]}'
            for role, plane in zip(('ir', 'vis', 'fused'), planes)
        )
        raise ValueError(f'the images differ in size ({sizes}): nothing is resized silently')
    return planes

"""Restoration without learning, a step before fusion that every learned one must beat.

Columns are levelled, noise is removed by non-local means, and a known blur is undone by Wiener's
filter. BM3D would denoise better; its packages are for non-commercial use only.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import fft

#: Estimated noise below this, in grey levels, is left alone.
MIN_NOISE = 1.5

_BORDER = 32


def destripe_columns(image: np.ndarray, width: float = 8.0) -> np.ndarray:
    """Take the offset of each column away.

    A column's offset is the median over the rows of the difference from a horizontal Gaussian
    mean, so that an object that is lower than half of the image does not count.

    Args:
        image: uint8 (H, W).
        width: Standard deviation of the Gaussian, pixels. Default 8.

    Returns:
        uint8 (H, W).
    """
    values = image.astype(np.float32)
    side = 2 * round(3 * width) + 1
    smooth = cv2.GaussianBlur(
        values, (side, 1), sigmaX=width, sigmaY=1, borderType=cv2.BORDER_REFLECT
    )
    offsets = np.median(values - smooth, axis=0, keepdims=True)
    return np.clip(np.rint(values - offsets), 0, 255).astype(np.uint8)


def noise_level(image: np.ndarray) -> float:
    """Estimate the standard deviation of white noise, in grey levels.

    Args:
        image: uint8 (H, W).

    Returns:
        The median of the absolute response of a difference of two Laplacians, over the value
        that it has for unit Gaussian noise. Offsets of whole columns or rows do not change it.

    Source: the mask is that of Immerkaer, "Fast noise variance estimation", Computer Vision and
    Image Understanding 64(2), 1996; the median makes it blind to few strong edges.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = cv2.filter2D(image, cv2.CV_32F, mask, borderType=cv2.BORDER_REFLECT)
    # the mask multiplies the deviation by 6, and the median of |N(0, 1)| is 0.6745
    return float(np.median(np.abs(response))) / (6 * 0.6745)


def denoise(image: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Remove noise by non-local means, as much as is estimated to be there.

    Args:
        image: uint8 (H, W) or RGB (H, W, 3).
        strength: Filter parameter per standard deviation of the noise. Default 1.

    Returns:
        uint8 of the same shape; the image itself where the estimate is below ``MIN_NOISE``.
    """
    level = noise_level(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    if level < MIN_NOISE:
        return image
    width = strength * level
    if image.ndim == 2:
        return cv2.fastNlMeansDenoising(image, None, width)
    # OpenCV's function takes luma and chroma apart, of BGR; the order of channels hardly matters
    # to it, but is kept right
    flipped = np.ascontiguousarray(image[..., ::-1])
    return cv2.fastNlMeansDenoisingColored(flipped, None, width, width)[..., ::-1].copy()


def wiener_deblur(image: np.ndarray, sigma: float, balance: float = 0.01) -> np.ndarray:
    """Undo a Gaussian blur of known width by Wiener's filter; borders are reflected.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        sigma: Standard deviation of the Gaussian, pixels; above 0.
        balance: Power of the noise over that of the image, equal at all frequencies. Default
            0.01.

    Returns:
        uint8 of the same shape.
    """
    planes = np.atleast_3d(image).astype(np.float32)
    height, width = planes.shape[:2]
    pad = _BORDER
    padded = np.pad(planes, ((pad, pad), (pad, pad), (0, 0)), mode='symmetric')
    down, across = fft.fftfreq(padded.shape[0]), fft.rfftfreq(padded.shape[1])
    response = np.exp(-2 * (np.pi * sigma) ** 2 * (down[:, None] ** 2 + across[None] ** 2))
    # the mean stays: the filter is 1 at frequency 0
    inverse = (1 + balance) * response / (response**2 + balance)
    spectrum = fft.rfft2(padded, axes=(0, 1)) * inverse[..., None]
    restored = fft.irfft2(spectrum, s=padded.shape[:2], axes=(0, 1))
    restored = restored[pad : pad + height, pad : pad + width]
    return np.clip(np.rint(restored), 0, 255).astype(np.uint8).reshape(image.shape)


def restore_pair(
    ir: np.ndarray, vis: np.ndarray, blur_sigma: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Restore both images as far as no learning is needed.

    The infrared image's columns are levelled and its noise removed; the visible image's noise is
    removed and its blur undone.

    Args:
        ir: Infrared image, uint8 (H, W, 1).
        vis: Visible image, uint8 RGB (H, W, 3).
        blur_sigma: Width of the visible image's blur, pixels; 0 (default) undoes none.

    Returns:
        Both images, of the same shapes.
    """
    restored = denoise(destripe_columns(ir[..., 0]))[..., None]
    clear = denoise(vis)
    return restored, wiener_deblur(clear, blur_sigma) if blur_sigma > 0 else clear

"""Metrics of the fused image alone: EN, SD, SF, AG.

All four reward noise and stretched contrast, so a high value proves little by itself.
"""

from __future__ import annotations

import math

import numpy as np

from mmsgdfuse.evaluation.functional.image import to_luma


def entropy(fused: np.ndarray, log_base: float = 2.0) -> float:
    """EN: Shannon entropy of the 256-bin histogram of the fused image.

    Args:
        fused: uint8 array (H, W), (H, W, 1) or (H, W, 3).
        log_base: Base of the logarithm: 2 gives bits, ``math.e`` nats. Default 2.

    Returns:
        Entropy in bits, 0..8, higher is better; a constant image gives 0.0.

    Source: Roberts, van Aardt and Ahmed, "Assessment of image fusion procedures using entropy,
    image quality, and multispectral classification", J. Applied Remote Sensing 2(1), 2008.

    Examples:
        >>> import numpy as np
        >>> entropy(np.array([[0, 1], [2, 3]], dtype=np.uint8))
        2.0
    """
    luma = to_luma(fused, 'fused')
    counts = np.bincount(luma.ravel(), minlength=256)
    counts = counts[counts > 0]
    # log(size / count) instead of -log(p): a constant image then gives 0.0, never -0.0.
    nats = np.sum(counts / luma.size * np.log(luma.size / counts))
    return float(nats / math.log(log_base))


def standard_deviation(fused: np.ndarray) -> float:
    """SD: population standard deviation of the fused image.

    Args:
        fused: uint8 array (H, W), (H, W, 1) or (H, W, 3).

    Returns:
        Grey levels, 0..127.5, higher is better.

    Source: Rao, "In-fibre Bragg grating sensors", Measurement Science and Technology 8(4), 1997,
    as the fusion literature cites it.

    Examples:
        >>> import numpy as np
        >>> standard_deviation(np.array([[0, 0], [10, 10]], dtype=np.uint8))
        5.0
    """
    return float(np.std(to_luma(fused, 'fused'), dtype=np.float64))


def spatial_frequency(fused: np.ndarray) -> float:
    """SF: root of the mean squared differences between neighbours, both directions summed.

    Each mean is over the differences that exist: H * (W - 1) across and (H - 1) * W down.

    Args:
        fused: uint8 array (H, W), (H, W, 1) or (H, W, 3).

    Returns:
        Grey levels, 0..360.6, higher is better.

    Source: Eskicioglu and Fisher, "Image quality measures and their performance",
    IEEE Transactions on Communications 43(12), 1995.

    Examples:
        >>> import numpy as np
        >>> spatial_frequency(np.array([[0, 3], [4, 7]], dtype=np.uint8))
        5.0
    """
    luma = to_luma(fused, 'fused').astype(np.float64)
    across = np.mean(np.diff(luma, axis=1) ** 2)
    down = np.mean(np.diff(luma, axis=0) ** 2)
    return float(np.sqrt(across + down))


def average_gradient(fused: np.ndarray) -> float:
    """AG: mean of sqrt((gx^2 + gy^2) / 2) over all pixels.

    Central differences inside, one-sided ones at the border.

    Args:
        fused: uint8 array (H, W), (H, W, 1) or (H, W, 3).

    Returns:
        Grey levels per pixel, 0..255, higher is better.

    Source: Cui, Feng, Xu, Li and Chen, "Detail preserved fusion of visible and infrared images
    using regional saliency extraction and multi-scale image decomposition", Optics
    Communications 341, 2015.

    Examples:
        >>> import numpy as np
        >>> average_gradient(np.array([[0, 2], [2, 4]], dtype=np.uint8))
        2.0
    """
    down, across = np.gradient(to_luma(fused, 'fused').astype(np.float64))
    return float(np.mean(np.sqrt((across**2 + down**2) / 2)))

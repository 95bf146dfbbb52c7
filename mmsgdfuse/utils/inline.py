"""Files inside a page."""

from __future__ import annotations

import base64

import cv2
import numpy as np


def data_url(content: bytes, media_type: str) -> str:
    """The content of a file as an address that holds all of it.

    Examples:
        >>> data_url(b'abc', 'text/plain')
        'data:text/plain;base64,YWJj'
    """
    return f'data:{media_type};base64,{base64.b64encode(content).decode("ascii")}'


def image_url(image: np.ndarray, max_width: int, quality: int = 92) -> str:
    """An image as a JPEG file in a data URL.

    Args:
        image: uint8 (H, W), (H, W, 1) or RGB (H, W, 3).
        max_width: Wider images are scaled down to this many pixels.
        quality: JPEG's, 0..100. Default 92.
    """
    if image.shape[1] > max_width:
        height = max(1, round(image.shape[0] * max_width / image.shape[1]))
        image = cv2.resize(image, (max_width, height), interpolation=cv2.INTER_AREA)
    if image.shape[2:] == (3,):
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data_url(encoded.tobytes(), 'image/jpeg')

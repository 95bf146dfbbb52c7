"""Random sensor faults, from which a restoring network learns."""

from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmsgdfuse.registry import TRANSFORMS

_NOTHING = dict(
    gamma=(1.0, 1.0), gain=(1.0, 1.0), offset=(0.0, 0.0), blur=(0.0, 0.0), noise=(0.0, 0.0),
    columns=(0.0, 0.0), rows=(0.0, 0.0), jpeg=(100, 100),
)  # fmt: skip
_DEFAULT_IR = dict(
    gamma=(0.55, 1.05), gain=(0.85, 1.1), offset=(-5, 8), blur=(0, 0.8), noise=(0, 20),
    columns=(0, 14), rows=(0, 4),
)  # fmt: skip
_DEFAULT_VIS = dict(
    gamma=(0.85, 1.05), gain=(0.9, 1.05), offset=(-3, 12), blur=(0, 2.6), noise=(0, 10),
    jpeg=(40, 100),
)  # fmt: skip


@TRANSFORMS.register_module()
class RandomDegradePair(BaseTransform):
    """Degrade both images of a pair by faults of random strength, and keep the clean pair.

    The faults follow the order of a camera: exposure
    (``gain * 255 * (x / 255) ** gamma + offset``), blur, noise, fixed column and row patterns,
    compression. Every strength is drawn uniformly from its range. Randomness comes from NumPy's
    global generator.

    Required keys: ``ir``, ``vis``. Changed keys: the same, then uint8. Added keys: ``clean_ir`` and
    ``clean_vis``, as ``ir`` and ``vis`` were.

    Args:
        ir (dict | None): Ranges for the infrared image, each a pair: ``gamma`` and ``gain``,
            positive factors; ``offset``, grey levels of 255; ``blur``, standard deviation of a
            Gaussian in pixels; ``noise``, standard deviation of Gaussian noise in grey levels;
            ``columns`` and ``rows``, standard deviation of one offset per column and per row in
            grey levels; ``jpeg``, quality in 1..100, at 100 the image is not compressed. A range
            that is left out changes nothing. None leaves the image alone. The default covers
            uncooled cameras with strong fixed-pattern noise.
        vis (dict | None): The same for the visible image. The default covers defocus, a bright
            veil, moderate noise and compression.
        prob (float): Probability that an image is degraded, drawn for each. Each single fault of a
            degraded image then occurs with a probability of 0.75. Default: 0.85.

    Raises:
        ValueError: A range has another name or is not increasing; ``prob`` is outside 0..1.
    """

    def __init__(
        self,
        ir: dict | None = _DEFAULT_IR,
        vis: dict | None = _DEFAULT_VIS,
        prob: float = 0.85,
    ) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be a probability in 0..1, found {prob}')
        self.ranges = {
            key: _check_ranges(key, ranges)
            for key, ranges in (('ir', ir), ('vis', vis))
            if ranges is not None
        }
        self.prob = prob

    def transform(self, results: dict) -> dict:
        for key in ('ir', 'vis'):
            results[f'clean_{key}'] = results[key]
            if key in self.ranges and np.random.uniform() < self.prob:
                strengths = {
                    name: np.random.uniform(*limits)
                    if np.random.uniform() < 0.75
                    else _NOTHING[name][0]
                    for name, limits in self.ranges[key].items()
                }
                results[key] = _degrade(results[key], **strengths)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(ranges={self.ranges}, prob={self.prob})'


def _degrade(
    image: np.ndarray,
    gamma: float,
    gain: float,
    offset: float,
    blur: float,
    noise: float,
    columns: float,
    rows: float,
    jpeg: float,
) -> np.ndarray:
    """One image (H, W, C) in 0..255 with faults of given strengths, uint8."""
    height, width = image.shape[:2]
    degraded: np.ndarray = gain * 255 * (image.astype(np.float32) / 255) ** gamma + offset
    if blur > 0.1:
        degraded = cv2.GaussianBlur(degraded, (0, 0), blur).reshape(image.shape)
    degraded += noise * np.random.standard_normal(image.shape).astype(np.float32)
    degraded += columns * np.random.standard_normal((1, width, 1)).astype(np.float32)
    degraded += rows * np.random.standard_normal((height, 1, 1)).astype(np.float32)
    levels = np.clip(np.rint(degraded), 0, 255).astype(np.uint8)
    if jpeg < 100:
        _, code = cv2.imencode('.jpg', levels, [cv2.IMWRITE_JPEG_QUALITY, round(jpeg)])
        levels = np.asarray(cv2.imdecode(code, cv2.IMREAD_UNCHANGED)).reshape(image.shape)
    return levels


def _check_ranges(key: str, ranges: dict) -> dict:
    unknown = set(ranges) - set(_NOTHING)
    if unknown:
        raise ValueError(f'{key} has unknown ranges {sorted(unknown)}; known: {list(_NOTHING)}')
    for name, (low, high) in ranges.items():
        if low > high:
            raise ValueError(f'{key}.{name} must be an increasing pair, found {(low, high)}')
    return {**_NOTHING, **ranges}

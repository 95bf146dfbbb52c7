"""Changes of brightness and contrast, separately for each modality."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mmsgdfuse.registry import TRANSFORMS

_NEUTRAL = dict(gain=(1.0, 1.0), offset=(0.0, 0.0), gamma=(1.0, 1.0))


@TRANSFORMS.register_module()
class PhotometricJitter(BaseTransform):
    """Draw a new exposure for each image: ``gain * 255 * (x / 255) ** gamma + offset``, clipped.

    Infrared cameras and data sets differ far more in their grey scale than visible ones do:
    MSRS stretches the contrast of its infrared images, RoadScene and LLVIP do not. A model that
    saw one of them only would take its scale for a law. The three channels of the visible image
    get the same curve, so its hue hardly moves. Masks stay as they are.

    Gain and gamma are drawn uniformly in their logarithm, so that brightening and darkening by
    the same factor are equally likely. Randomness comes from NumPy's global generator.

    Required keys: ``ir``, ``vis``. Changed keys: the same, then float32 in 0..255.

    Args:
        ir (dict | None): Ranges for the infrared image: ``gain`` and ``gamma`` as pairs of
            positive factors, ``offset`` as a pair of grey levels of 255. A range that is left out
            changes nothing; None leaves the image alone. Default:
            dict(gain=(0.6, 1.3), offset=(-20, 30), gamma=(0.7, 1.4)).
        vis (dict | None): The same for the visible image. Default:
            dict(gain=(0.7, 1.2), offset=(-5, 10), gamma=(0.7, 1.4)).
        prob (float): Probability of changing an image, drawn for each. Default: 0.5.

    Raises:
        ValueError: A range has another name, is not increasing, or holds a gain or gamma that is
            not positive; ``prob`` is outside 0..1.
    """

    def __init__(
        self,
        ir: dict | None = dict(gain=(0.6, 1.3), offset=(-20, 30), gamma=(0.7, 1.4)),  # noqa: B006
        vis: dict | None = dict(gain=(0.7, 1.2), offset=(-5, 10), gamma=(0.7, 1.4)),  # noqa: B006
        prob: float = 0.5,
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
        for key, ranges in self.ranges.items():
            if np.random.uniform() < self.prob:
                gain, gamma = (
                    np.exp(np.random.uniform(*np.log(ranges[name]))) for name in ('gain', 'gamma')
                )
                offset = np.random.uniform(*ranges['offset'])
                curve = gain * 255 * (results[key] / np.float32(255)) ** np.float32(gamma) + offset
                results[key] = np.clip(curve, 0, 255).astype(np.float32)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(ranges={self.ranges}, prob={self.prob})'


def _check_ranges(key: str, ranges: dict) -> dict:
    unknown = set(ranges) - set(_NEUTRAL)
    if unknown:
        raise ValueError(f'{key} has unknown ranges {sorted(unknown)}; known: {list(_NEUTRAL)}')
    ranges = {**_NEUTRAL, **ranges}
    for name, (low, high) in ranges.items():
        if low > high or (name != 'offset' and low <= 0):
            raise ValueError(
                f'{key}.{name} must be an increasing pair'
                f'{"" if name == "offset" else " of positive factors"}, found {(low, high)}'
            )
    return ranges

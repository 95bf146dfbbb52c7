"""Geometry that moves everything belonging to a pair together.

All randomness is drawn from NumPy's global generator, which mmengine seeds.
"""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mmsgdfuse.registry import TRANSFORMS

PAIRED_KEYS = ('ir', 'vis', 'mask_ir', 'mask_vis', 'labels')


def _present(results: dict) -> list[str]:
    """Keys of the (H, W, C) arrays that share the pair's pixels, sizes made sure of."""
    keys = [key for key in PAIRED_KEYS if key in results]
    shapes = {key: results[key].shape[:2] for key in keys}
    if len(set(shapes.values())) > 1:
        raise ValueError(f'the arrays of a pair must have the same size, found {shapes}')
    return keys


@TRANSFORMS.register_module()
class RandomCropPair(BaseTransform):
    """Cut the same random window out of both images, their masks and labels.

    An image that is smaller than the window is first continued by reflection at its right
    and lower edge.

    Required keys: ``ir``, ``vis``. Changed keys: these and, where present, ``mask_ir``,
    ``mask_vis`` and ``labels``; ``img_shape``.

    Args:
        crop_size (int | tuple[int, int]): Height and width of the window in pixels, or its side.
            Default: 160, as in the paper.

    Raises:
        ValueError: ``crop_size`` is not positive, or the arrays differ in size.
    """

    def __init__(self, crop_size: int | tuple[int, int] = 160) -> None:
        size = (crop_size, crop_size) if isinstance(crop_size, int) else tuple(crop_size)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f'crop_size must be one or two positive numbers, found {crop_size}')
        self.crop_size = size

    def transform(self, results: dict) -> dict:
        keys = _present(results)
        height, width = results['ir'].shape[:2]
        crop_height, crop_width = self.crop_size
        below, right = max(crop_height - height, 0), max(crop_width - width, 0)
        y = np.random.randint(height + below - crop_height + 1)
        x = np.random.randint(width + right - crop_width + 1)
        for key in keys:
            image = results[key]
            if below or right:
                image = np.pad(image, ((0, below), (0, right), (0, 0)), mode='reflect')
            results[key] = image[y : y + crop_height, x : x + crop_width]
        results['img_shape'] = self.crop_size
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(crop_size={self.crop_size})'


@TRANSFORMS.register_module()
class RandomFlipPair(BaseTransform):
    """Mirror both images, their masks and labels together.

    Required keys: ``ir``, ``vis``. Changed keys: these and, where present, ``mask_ir``,
    ``mask_vis`` and ``labels``.

    Args:
        horizontal (float): Probability of exchanging left and right. Default: 0.5.
        vertical (float): Probability of exchanging top and bottom. Default: 0.5.

    Raises:
        ValueError: A probability is outside 0..1.
    """

    def __init__(self, horizontal: float = 0.5, vertical: float = 0.5) -> None:
        for name, value in (('horizontal', horizontal), ('vertical', vertical)):
            _check_probability(name, value)
        self.horizontal = horizontal
        self.vertical = vertical

    def transform(self, results: dict) -> dict:
        axes = tuple(
            axis
            for axis, probability in ((1, self.horizontal), (0, self.vertical))
            if np.random.uniform() < probability
        )
        for key in _present(results):
            results[key] = np.flip(results[key], axes)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(horizontal={self.horizontal}, vertical={self.vertical})'


@TRANSFORMS.register_module()
class RandomRotate90Pair(BaseTransform):
    """Turn both images, their masks and labels by the same 90, 180 or 270 degrees.

    Required keys: ``ir``, ``vis``. Changed keys: these and, where present, ``mask_ir``,
    ``mask_vis`` and ``labels``; ``img_shape``.

    Args:
        prob (float): Probability of turning at all; the three angles are equally likely.
            Default: 0.5.

    Raises:
        ValueError: ``prob`` is outside 0..1.
    """

    def __init__(self, prob: float = 0.5) -> None:
        _check_probability('prob', prob)
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if np.random.uniform() >= self.prob:
            return results
        quarters = np.random.randint(1, 4)
        for key in _present(results):
            results[key] = np.rot90(results[key], quarters)
        results['img_shape'] = results['ir'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f'{name} must be a probability in 0..1, found {value}')

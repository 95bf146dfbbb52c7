"""From file names to arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mmcv.transforms import BaseTransform

from mmsgdfuse.registry import TRANSFORMS
from mmsgdfuse.utils.image_io import (
    ImageFileError,
    check_scaling,
    read_infrared,
    read_labels,
    read_visible,
)


@TRANSFORMS.register_module()
class LoadPair(BaseTransform):
    """Read the infrared and the visible image of a pair, and its label map where there is one.

    Required keys: ``ir_path``, ``vis_path``; optional: ``labels_path``.

    Added keys: ``ir`` (H, W, 1) and ``vis`` (H, W, 3) RGB, uint8 or, from 16-bit files, float32
    in 0..255; ``labels`` (H, W, 1) uint8; ``ori_shape`` and ``img_shape``, both (H, W).

    Args:
        scaling (str): How 16-bit infrared becomes 0..255: 'full', 'minmax' or 'percentile',
            see :func:`mmsgdfuse.utils.image_io.read_infrared`. Default: 'full'.
        percentiles (tuple[float, float]): Lower and upper percentile (0..100) of 'percentile'.
            Default: (0.5, 99.5).
        cache_images (bool): Keep every decoded image in memory, which pays where a small
            training set is read over and over. Costs 4 bytes per pixel and pair (1.2 MB at
            640x480) in each worker process; arrays are then read-only. Default: False.

    Raises:
        ImageFileError: A file cannot be read, or the sizes differ.
        ValueError: ``scaling`` or ``percentiles`` is not valid.
    """

    def __init__(
        self,
        scaling: str = 'full',
        percentiles: tuple[float, float] = (0.5, 99.5),
        cache_images: bool = False,
    ) -> None:
        check_scaling(scaling, percentiles)
        self.scaling = scaling
        self.percentiles = percentiles
        self.cache_images = cache_images
        self._cache: dict[str, np.ndarray] = {}

    def transform(self, results: dict) -> dict:
        results['ir'] = self._read(results['ir_path'], self._read_infrared)
        results['vis'] = self._read(results['vis_path'], read_visible)
        if 'labels_path' in results:
            results['labels'] = self._read(results['labels_path'], read_labels)
        shape = results['ir'].shape[:2]
        for key in ('vis', 'labels'):
            if key in results and results[key].shape[:2] != shape:
                raise ImageFileError(
                    f'{results[f"{key}_path"]}: is {results[key].shape[:2]} (H, W), but '
                    f'{results["ir_path"]} is {shape}; register the images to the same pixels'
                )
        results['ori_shape'] = results['img_shape'] = shape
        return results

    def _read_infrared(self, path: str) -> np.ndarray:
        return read_infrared(path, self.scaling, self.percentiles)

    def _read(self, path: str, read: Callable[[str], np.ndarray]) -> np.ndarray:
        if not self.cache_images:
            return read(path)
        if path not in self._cache:
            image = read(path)
            # a transform that wrote into it would spoil the next epoch
            image.setflags(write=False)
            self._cache[path] = image
        return self._cache[path]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(scaling={self.scaling!r}, percentiles={self.percentiles}, '
            f'cache_images={self.cache_images})'
        )

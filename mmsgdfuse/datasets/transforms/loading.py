"""From file names to arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from mmcv.transforms import BaseTransform

from mmsgdfuse.io import (
    AS_STORED,
    FalseColourError,
    InfraredReader,
    LoadedImage,
    VisibleReader,
    explain_swap,
)
from mmsgdfuse.io.images import ImageFileError, read_labels
from mmsgdfuse.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadPair(BaseTransform):
    """Read the infrared and the visible image of a pair, and its label map where there is one.

    Required keys: ``ir_path``, ``vis_path``; optional: ``labels_path``.

    Added keys: ``ir`` (H, W, 1) and ``vis`` (H, W, 3) RGB, uint8 or, from 16-bit files, float32
    in 0..255; ``ir_mapping`` (:class:`mmsgdfuse.io.RangeMapping`), how the infrared values became
    grey levels; ``labels`` (H, W, 1) uint8; ``ori_shape`` and ``img_shape``, both (H, W).

    Args:
        scaling (str): How infrared of more than 8 bits becomes 0..255: 'auto', 'full', 'minmax' or
            'percentile', see :func:`mmsgdfuse.io.thermal_range.find_range`. Default: 'auto'.
        percentiles (tuple[float, float]): Lower and upper percentile (0..100) of 'percentile'.
            Default: (0.5, 99.5).
        reading (dict | None): How infrared is read beyond that: ``range``, ``scope``,
            ``polarity``, ``palette`` and ``raw`` of :class:`mmsgdfuse.io.InfraredReader`.
            Default: None, its defaults.
        visible_bits (int | None): Bits per sample that visible files of 16 bits use, 8 to 16.
            Default: None, told from each image.
        cache_images (bool): Keep every decoded image in memory, which pays where a small
            training set is read over and over. Costs 4 bytes per pixel and pair (1.2 MB at
            640x480) in each worker process; arrays are then read-only. Default: False.
        same_size (bool): Whether the images must have one size. False for pairs that
            ``RegisterPair`` brings onto one grid. Default: True.

    Raises:
        ImageFileError: A file cannot be read, the sizes differ, or the two images are swapped.
        ValueError: ``scaling`` or ``percentiles`` is not valid.
    """

    def __init__(
        self,
        scaling: str = 'auto',
        percentiles: tuple[float, float] = (0.5, 99.5),
        cache_images: bool = False,
        reading: Mapping[str, Any] | None = None,
        visible_bits: int | None = None,
        same_size: bool = True,
    ) -> None:
        self._reader = InfraredReader.from_options(
            reading, scaling=scaling, percentiles=percentiles
        )
        self._visible = VisibleReader(visible_bits)
        self.scaling = scaling
        self.percentiles = percentiles
        self.cache_images = cache_images
        self.same_size = same_size
        self._cache: dict[str, LoadedImage] = {}
        self._noticed: set[str] = set()

    def transform(self, results: dict) -> dict:
        ir, vis = self._read_pair(results['ir_path'], results['vis_path'])
        results.update(ir=ir.pixels, vis=vis.pixels, ir_mapping=ir.mapping)
        if 'labels_path' in results:
            results['labels'] = self._read(results['labels_path'], _load_labels).pixels
        shape = results['ir'].shape[:2]
        for key in ('vis', 'labels') if self.same_size else ():
            if key in results and results[key].shape[:2] != shape:
                raise ImageFileError(
                    f'{results[f"{key}_path"]}: is {results[key].shape[:2]} (H, W), but '
                    f'{results["ir_path"]} is {shape}; register the images to the same pixels, '
                    'or add RegisterPair after LoadPair(same_size=False)'
                )
        results['ori_shape'] = results['img_shape'] = shape
        return results

    def _read_pair(self, ir_path: str, vis_path: str) -> tuple[LoadedImage, LoadedImage]:
        vis = self._read(vis_path, self._visible.read)
        try:
            ir = self._read(ir_path, self._reader.read)
        except FalseColourError as error:
            raise explain_swap(error, vis.pixels, vis_path) from None
        for path, image in ((ir_path, ir), (vis_path, vis)):
            self._warn(path, image.notices)
        return ir, vis

    def _warn(self, path: str, notices: tuple[str, ...]) -> None:
        """Warn of each kind of notice once, not for every image of every epoch."""
        for notice in set(notices) - self._noticed:
            self._noticed.add(notice)
            warnings.warn(f'{path}: {notice}', stacklevel=4)

    def _read(self, path: str, read: Callable[[str], LoadedImage]) -> LoadedImage:
        if not self.cache_images:
            return read(path)
        if path not in self._cache:
            image = read(path)
            # a transform that wrote into it would spoil the next epoch
            image.pixels.setflags(write=False)
            self._cache[path] = image
        return self._cache[path]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(scaling={self.scaling!r}, percentiles={self.percentiles}, '
            f'reading={self._reader}, visible_bits={self._visible.bits}, '
            f'cache_images={self.cache_images}, same_size={self.same_size})'
        )


def _load_labels(path: str) -> LoadedImage:
    return LoadedImage(read_labels(path), AS_STORED)

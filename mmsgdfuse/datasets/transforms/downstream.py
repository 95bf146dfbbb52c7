"""Infrared beside the images of mmdet's and mmseg's data sets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmsgdfuse.io import FalseColourError, InfraredReader, explain_swap
from mmsgdfuse.io.images import ImageFileError
from mmsgdfuse.pairing import partner_path, same_file
from mmsgdfuse.registry import TRANSFORMS
from mmsgdfuse.utils.errors import InputError

_MASKS = ('mask_ir', 'mask_vis')


@TRANSFORMS.register_module()
class LoadInfrared(BaseTransform):
    """Read the infrared partner of an image that mmdet or mmseg has read.

    The partner has the same name in another folder, or one that follows from two patterns. From
    here on ``GenerateMasks`` and the other transforms of masks work as they do on the pairs of an
    ``IVIFDataset``; ``StackPair`` then makes one image of it all.

    Required keys: ``img`` (H, W, 3) BGR, ``img_path``. Added keys: ``ir`` (H, W, 1) and ``vis``
    (H, W, 3) RGB, 0..255; ``ir_path``, ``vis_path``.

    Args:
        visible (str): The folder in ``img_path`` that stands for the visible images, one name or
            several joined by '/'; its last occurrence counts. Or a pattern with ``*`` of the last
            parts of the path without suffix, such as '*_RGB'. Default: 'vi'.
        infrared (str): What stands there in the partner's path; or the partner's pattern, such as
            '*_PreviewData', whose ``*`` stand for the same text. Default: 'ir'.
        scaling (str): How infrared of more than 8 bits becomes 0..255: 'auto', 'full', 'minmax' or
            'percentile', see :func:`mmsgdfuse.io.thermal_range.find_range`. Default: 'auto'.
        percentiles (tuple[float, float]): Lower and upper percentile (0..100) of 'percentile'.
            Default: (0.5, 99.5).
        reading (dict | None): How infrared is read beyond that: ``range``, ``scope``,
            ``polarity``, ``palette`` and ``raw`` of :class:`mmsgdfuse.io.InfraredReader`.
            Default: None, its defaults.

    Raises:
        ImageFileError: The partner is missing, cannot be read, is the image itself, or has
            another size.
        InputError: ``visible`` and ``infrared`` are the same, or ``img_path`` has no such folder
            or does not match.
        ValueError: The image is no longer as it was read, or an
            argument is not valid.
    """

    def __init__(
        self,
        visible: str = 'vi',
        infrared: str = 'ir',
        scaling: str = 'auto',
        percentiles: tuple[float, float] = (0.5, 99.5),
        reading: Mapping[str, Any] | None = None,
    ) -> None:
        self._reader = InfraredReader.from_options(
            reading, scaling=scaling, percentiles=percentiles
        )
        self._noticed: set[str] = set()
        self.visible = visible.strip('/')
        self.infrared = infrared.strip('/')
        if self.visible == self.infrared:
            raise InputError(
                f'visible and infrared are both {visible!r}, so that each image would be its own '
                'partner; give the names of two folders, or two patterns'
            )
        self.scaling = scaling
        self.percentiles = percentiles

    def transform(self, results: dict) -> dict:
        img, path = results['img'], results['img_path']
        if img.ndim != 3 or img.shape[2] != 3:
            raise ValueError(
                f'{path}: LoadInfrared needs a colour image, found shape {img.shape}; put it after '
                "LoadImageFromFile with color_type='color'"
            )
        partner = self.partner(path)
        if same_file(partner, path):
            raise ImageFileError(
                f'{path}: is its own infrared partner; mend visible and infrared of LoadInfrared'
            )
        # a copy: the image may be changed before the masks are made
        vis = img[..., ::-1].copy()
        try:
            loaded = self._reader.read(partner)
        except FalseColourError as error:
            raise explain_swap(error, vis, path) from None
        for notice in set(loaded.notices) - self._noticed:
            self._noticed.add(notice)
            warnings.warn(f'{partner}: {notice}', stacklevel=2)
        ir = loaded.pixels
        if ir.shape[:2] != img.shape[:2]:
            raise ImageFileError(
                f'{partner}: is {ir.shape[:2]} (H, W), but {path} is {img.shape[:2]}; register the '
                'images to the same pixels, and put LoadInfrared before Resize and crops'
            )
        results.update(ir=ir, vis=vis, ir_path=partner, vis_path=path)
        return results

    def partner(self, path: str) -> str:
        """Path of the infrared image that belongs to a visible one."""
        if '*' in self.visible + self.infrared:
            return str(partner_path(path, self.visible, self.infrared))
        before, folder, name = f'/{Path(path).as_posix()}'.rpartition(f'/{self.visible}/')
        if not folder:
            raise InputError(
                f'{path}: has no folder {self.visible!r} to put {self.infrared!r} in the place of; '
                "set LoadInfrared's visible and infrared to the names of your folders"
            )
        return f'{before}/{self.infrared}/{name}'[1:]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(visible={self.visible!r}, infrared={self.infrared!r}, '
            f'scaling={self.scaling!r}, percentiles={self.percentiles}, '
            f'reading={self._reader})'
        )


@TRANSFORMS.register_module()
class StackPair(BaseTransform):
    """Put the infrared image, and both masks where there are any, behind the colour channels.

    One image of four or six channels is what the geometric transforms of mmcv, mmdet and mmseg
    resize, flip and crop as a whole, and what ``FusedDetector`` and ``FusedSegmentor`` take apart.
    Photometric transforms belong before it, where the image has three channels. Padding belongs to
    the downstream model's data preprocessor: OpenCV draws borders of up to four channels.

    Required keys: ``img`` (H, W, 3), ``ir`` (H, W, 1). Optional keys: ``mask_ir``, ``mask_vis`` (H,
    W, 1) in 0..1, both or none. Changed keys: ``img`` becomes (H, W, 4), or (H, W, 6) with
    masks, in 0..255: uint8 where ``img`` and ``ir`` are, else float32. Removed keys: ``ir``,
    ``vis``, ``mask_ir``, ``mask_vis``.

    Raises:
        KeyError: ``ir`` or one of the masks is missing.
        ValueError: The arrays differ in size.
    """

    def transform(self, results: dict) -> dict:
        if 'ir' not in results:
            raise KeyError('ir is missing; put LoadInfrared before StackPair')
        layers = [results['img'], results['ir']]
        masks = [key for key in _MASKS if key in results]
        if len(masks) == 1:
            raise KeyError(
                f'{masks[0]} comes without its partner; make or load both masks, or neither'
            )
        layers += [np.rint(results[key] * np.float32(255)).astype(np.uint8) for key in masks]
        shapes = {layer.shape[:2] for layer in layers}
        if len(shapes) > 1:
            raise ValueError(
                f'{results["img_path"]}: image, infrared and masks differ in size: '
                f'{[layer.shape[:2] for layer in layers]}; put StackPair before Resize and crops'
            )
        results['img'] = np.concatenate(layers, axis=2)
        for key in ('ir', 'vis', *masks):
            results.pop(key, None)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'

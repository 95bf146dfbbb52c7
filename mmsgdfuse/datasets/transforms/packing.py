"""From arrays to what the model and the metrics read."""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from mmsgdfuse.registry import TRANSFORMS
from mmsgdfuse.structures import FusionDataSample

_INPUT_KEYS = ('ir', 'vis', 'mask_ir', 'mask_vis', 'clean_ir', 'clean_vis')


@TRANSFORMS.register_module()
class PackFusionInputs(BaseTransform):
    """Turn arrays into tensors and the rest into a :class:`FusionDataSample`.

    Required keys: ``ir`` (H, W, 1), ``vis`` (H, W, 3). Optional: ``mask_ir``, ``mask_vis``
    (H, W, 1), ``labels`` (H, W, 1), ``clean_ir`` and ``clean_vis`` in the form of ``ir`` and
    ``vis`` (the pair before it was degraded), and what ``meta_keys`` lists.

    Returns ``inputs``, a dict of tensors (C, H, W): images in 0..255 with their dtype, masks
    float32 in [0, 1]; and ``data_samples`` with the meta information and, where there are any,
    ``labels`` as uint8 tensor (1, H, W).

    Args:
        meta_keys (tuple[str, ...]): Keys that go into the sample's meta information. Default:
            ('name', 'ir_path', 'vis_path', 'ori_shape', 'img_shape').
    """

    def __init__(
        self,
        meta_keys: tuple[str, ...] = ('name', 'ir_path', 'vis_path', 'ori_shape', 'img_shape'),
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        meta = {key: results[key] for key in self.meta_keys if key in results}
        # cropping back relies on it, whatever came before
        meta['img_shape'] = tuple(results['ir'].shape[:2])
        sample = FusionDataSample(metainfo=meta)
        if 'labels' in results:
            sample.labels = _to_tensor(results['labels'])
        inputs = {key: _to_tensor(results[key]) for key in _INPUT_KEYS if key in results}
        return dict(inputs=inputs, data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'


def _to_tensor(image: np.ndarray) -> Tensor:
    # (H, W, C) -> (C, H, W); copied, since the array may be a view of a cached image
    return torch.from_numpy(image.transpose(2, 0, 1).copy())

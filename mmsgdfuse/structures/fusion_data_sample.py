"""The data element that mmengine passes between dataset, model, metric and visualizer."""

from __future__ import annotations

from mmengine.structures import BaseDataElement
from torch import Tensor

_IMAGE_FIELDS = ('fused', 'preliminary')


def _check_image(name: str, value: Tensor) -> None:
    if not isinstance(value, Tensor) or value.ndim != 3:
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f'{name} must be a (C, H, W) tensor, found {found}')


class FusionDataSample(BaseDataElement):
    """One infrared-visible pair on its way through the pipeline.

    Data fields, all optional:

    - ``fused``: the fused image, uint8 tensor (3, H, W), RGB, 0..255, at the input's own size,
      byte for byte what is written to disk.
    - ``preliminary``: the Stage I image F1 in the same form.

    Meta fields that the dataset writes: ``name`` (file name without its folder), ``ir_path``,
    ``vis_path``, ``ori_shape`` ((H, W) of the pair on disk), ``img_shape`` ((H, W) after the
    geometric transforms).

    Raises:
        TypeError: A field above is set to something that is not a (C, H, W) tensor.

    Examples:
        >>> import torch
        >>> sample = FusionDataSample(metainfo=dict(name='a.png', ori_shape=(48, 64)))
        >>> sample.fused = torch.zeros(3, 48, 64, dtype=torch.uint8)
        >>> 'fused' in sample, sample.name
        (True, 'a.png')
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in _IMAGE_FIELDS:
            _check_image(name, value)  # type: ignore[arg-type]
        super().__setattr__(name, value)

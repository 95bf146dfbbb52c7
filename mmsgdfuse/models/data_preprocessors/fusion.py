"""Normalise, pad and batch pairs; crop results back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmsgdfuse.registry import MODELS
from mmsgdfuse.structures import FusionDataSample

_CHANNELS = dict(ir=1, vis=3, mask_ir=1, mask_vis=1, clean_ir=1, clean_vis=3)
_MASKS = ('mask_ir', 'mask_vis')


@MODELS.register_module()
class FusionDataPreprocessor(BaseDataPreprocessor):
    """Move a batch to the device, scale it and bring it to one size that the network can take.

    Images of different sizes are continued by reflection at the right and lower edge, up to the
    batch's largest height and width, rounded up to ``pad_size_divisor``. Reflection shows the
    network nothing that a photograph could not hold, and works however small an image is.

    Args:
        pad_size_divisor (int): What height and width must be a multiple of. Default: 1.
        non_blocking (bool): Whether to copy to the device without waiting. Default: False.

    Raises:
        ValueError: ``pad_size_divisor`` is not positive.
    """

    def __init__(self, pad_size_divisor: int = 1, non_blocking: bool = False) -> None:
        super().__init__(non_blocking=non_blocking)
        if pad_size_divisor < 1:
            raise ValueError(f'pad_size_divisor must be at least 1, found {pad_size_divisor}')
        self.pad_size_divisor = pad_size_divisor

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare one batch.

        Args:
            data: ``inputs``: dict of lists of tensors (C, H, W), or of batches (N, C, H, W):
                ``ir`` with one channel and ``vis`` with three, in 0..255; ``mask_ir`` and
                ``mask_vis`` with one, in [0, 1], both optional; ``clean_ir`` and ``clean_vis``, in
                the form of ``ir`` and ``vis``, optional. ``data_samples``: list of
                :class:`FusionDataSample`, optional.
            training: Not used: there is nothing to augment here.

        Returns:
            ``inputs``: dict of float32 batches (N, C, H', W'), images in [-1, 1] and masks in
            [0, 1]; ``data_samples``: as it came, or None.

        Raises:
            KeyError: ``ir`` or ``vis`` is missing.
            ValueError: Numbers of images, channels or sizes within a pair do not agree.
        """
        data = self.cast_data(data)
        inputs = {key: data['inputs'][key] for key in _CHANNELS if key in data['inputs']}
        sizes = _check_inputs(inputs)
        height, width = (
            -(-max(side) // self.pad_size_divisor) * self.pad_size_divisor for side in zip(*sizes)
        )
        batches = {}
        for key, images in inputs.items():
            batch = torch.stack([reflect_pad(image, height, width) for image in images]).float()
            batches[key] = batch if key in _MASKS else batch / 127.5 - 1
        return dict(inputs=batches, data_samples=data.get('data_samples'))

    def crop_back(self, batch: Tensor, data_samples: Sequence[FusionDataSample]) -> list[Tensor]:
        """Undo the padding.

        Args:
            batch: (N, C, H', W').
            data_samples: One sample per image, whose ``img_shape`` is the size to return to.

        Returns:
            Views (C, H, W) of the batch.

        Raises:
            ValueError: There are not as many samples as images.
        """
        if len(batch) != len(data_samples):
            raise ValueError(f'{len(batch)} images but {len(data_samples)} data_samples')
        return [
            image[:, : sample.img_shape[0], : sample.img_shape[1]]
            for image, sample in zip(batch, data_samples)
        ]


def reflect_pad(image: Tensor, height: int, width: int) -> Tensor:
    """Continue an image by reflection at its right and lower edge.

    Unlike :func:`torch.nn.functional.pad` this takes any dtype and pads by more than the image's
    own side, reflecting to and fro.

    Args:
        image: (..., H, W).
        height: Rows of the result, at least H.
        width: Columns of the result, at least W.

    Examples:
        >>> reflect_pad(torch.tensor([[1, 2, 3]]), 1, 8)
        tensor([[1, 2, 3, 2, 1, 2, 3, 2]])
    """
    for dim, size in ((-2, height), (-1, width)):
        side = image.shape[dim]
        if side < size:
            period = max(2 * side - 2, 1)
            index = torch.arange(size, device=image.device) % period
            image = image.index_select(dim, torch.minimum(index, period - index))
    return image


def _check_inputs(inputs: dict[str, Sequence[Tensor] | Tensor]) -> list[tuple[int, int]]:
    """Sizes (H, W) of the pairs, all arrays of a pair having been found to agree."""
    missing = {'ir', 'vis'} - set(inputs)
    if missing:
        raise KeyError(f'inputs has no {sorted(missing)}; the pipeline must load and pack both')
    sizes = [tuple(image.shape[-2:]) for image in inputs['ir']]
    for key, images in inputs.items():
        if len(images) != len(sizes):
            raise ValueError(f"inputs['{key}'] has {len(images)} images, 'ir' has {len(sizes)}")
        for image, size in zip(images, sizes):
            if tuple(image.shape) != (_CHANNELS[key], *size):
                raise ValueError(
                    f"inputs['{key}'] must hold tensors ({_CHANNELS[key]}, H, W) of their pair's "
                    f'size, here {(_CHANNELS[key], *size)}, found {tuple(image.shape)}'
                )
    return sizes

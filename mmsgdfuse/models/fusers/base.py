"""What every model that makes a fused image has in common."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmsgdfuse.models.losses import FusionLoss
from mmsgdfuse.registry import MODELS
from mmsgdfuse.structures import FusionDataSample

MODES = ('tensor', 'predict', 'loss')


class BaseFuser(BaseModel, metaclass=ABCMeta):
    """Base of the models that mmengine's Runner trains and tests.

    Subclasses implement :meth:`fuse`, which makes images, and :meth:`loss`.

    Weights live in channels_last memory, in which convolutions are several times faster on
    a CPU and at least as fast on a GPU.

    Args:
        data_preprocessor: Config of the preprocessor; ``None`` is a
            :class:`FusionDataPreprocessor` that pads to :attr:`size_divisor`.
        init_cfg: mmengine's initialisation config. Default None.

    Attributes:
        needs_masks (bool): Whether inference reads ``mask_ir`` and ``mask_vis``.
    """

    needs_masks = False

    def __init__(
        self, data_preprocessor: dict | nn.Module | None = None, init_cfg: dict | None = None
    ) -> None:
        super().__init__(
            data_preprocessor=data_preprocessor or self._preprocessor(), init_cfg=init_cfg
        )

    @staticmethod
    def _preprocessor() -> nn.Module:
        return MODELS.build(dict(type='mmsgdfuse.FusionDataPreprocessor'))

    def _finish(self) -> None:
        """To be called at the end of a subclass's constructor."""
        self.data_preprocessor.pad_size_divisor = max(
            self.data_preprocessor.pad_size_divisor, self.size_divisor
        )
        self.to(memory_format=torch.channels_last)

    @property
    def size_divisor(self) -> int:
        """What the sides of the images must be a multiple of."""
        return 1

    @abstractmethod
    def fuse(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Make images.

        Args:
            inputs: ``ir`` (N, 1, H, W) and ``vis`` (N, 3, H, W) in [-1, 1]; ``mask_ir`` and
                ``mask_vis`` (N, 1, H, W) in [0, 1] where the model needs them.

        Returns:
            ``fused`` (N, 3, H, W) in [-1, 1], and ``preliminary`` of the same form where the
            model makes one.
        """

    @abstractmethod
    def loss(
        self, inputs: dict[str, Tensor], data_samples: Sequence[FusionDataSample] | None = None
    ) -> dict[str, Tensor]:
        """The losses of one batch by name; ``inputs`` as in :meth:`fuse`."""

    def forward(
        self,
        inputs: dict[str, Tensor],
        data_samples: Sequence[FusionDataSample] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[FusionDataSample]:
        """The entry that mmengine calls.

        Args:
            inputs: As in :meth:`fuse`; what the data preprocessor returns.
            data_samples: One sample per image; needed by ``predict``.
            mode: ``'tensor'``: the fused images (N, 3, H, W) in [-1, 1]. ``'predict'``: the
                samples with ``fused`` and ``preliminary`` set as 8-bit images of the input's
                own size. ``'loss'``: a dict of losses.

        Raises:
            ValueError: ``mode`` is none of these.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.fuse(inputs)['fused']
        raise ValueError(f'mode must be one of {MODES}, found {mode!r}')

    def predict(
        self, inputs: dict[str, Tensor], data_samples: Sequence[FusionDataSample] | None
    ) -> list[FusionDataSample]:
        """Fuse and write the 8-bit results, cropped to their own size, into the samples."""
        if data_samples is None:
            raise ValueError("mode 'predict' needs data_samples, whose img_shape says how to crop")
        samples = list(data_samples)
        for field, batch in self.fuse(inputs).items():
            for sample, image in zip(samples, self.data_preprocessor.crop_back(batch, samples)):
                setattr(sample, field, to_uint8(image))
        return samples


def to_uint8(image: Tensor) -> Tensor:
    """Image in [-1, 1] to grey levels 0..255, rounded half to even; any shape."""
    return ((image.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)


def build_losses(losses: Mapping[str, dict | FusionLoss]) -> nn.ModuleDict:
    """Build named fusion losses from their configs.

    Args:
        losses: Config by name; the name appears in the log as ``loss_<name>``.

    Raises:
        ValueError: No loss is given.
    """
    if not losses:
        raise ValueError(
            'losses is empty; give at least one, such as '
            "losses=dict(intensity=dict(type='MaskedIntensityLoss'))"
        )
    return nn.ModuleDict(
        {
            name: loss if isinstance(loss, nn.Module) else MODELS.build(loss)
            for name, loss in losses.items()
        }
    )


def joint_mask(inputs: Mapping[str, Tensor]) -> Tensor | None:
    """M = max(M_ir, M_vis) of Eq. 16, (N, 1, H, W) in [0, 1]; ``None`` without both masks."""
    if 'mask_ir' not in inputs or 'mask_vis' not in inputs:
        return None
    return torch.maximum(inputs['mask_ir'], inputs['mask_vis'])


def freeze(module: nn.Module) -> None:
    """Take a module out of training: no gradients, no running statistics, no dropout."""
    module.eval()
    module.requires_grad_(False)

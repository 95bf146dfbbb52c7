"""A fuser in front of a model of another package, which stays as it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmsgdfuse.models.fusers.base import freeze, to_uint8
from mmsgdfuse.models.fusers.loading import load_fuser
from mmsgdfuse.registry import MODELS
from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.utils.compat import import_downstream

# what StackPair stacks: three channels of the visible image, the infrared, both masks
_WITHOUT_MASKS, _WITH_MASKS = 4, 6


class FusedModel(BaseModel):
    """Base of the models that fuse a pair and hand the image to a model of another package.

    That model keeps its losses, its data preprocessor, its predictions and with them its metrics
    and test-time augmentation. What it sees is what it would read from a file that
    ``tools/fuse.py`` wrote: an image of 8-bit levels, BGR, which its own data preprocessor
    normalises and pads. Attributes that this class lacks are looked up in it, since hooks and
    test-time augmentation ask a model for its heads.

    A checkpoint of the downstream model alone, trained on a folder of fused images or on COCO, is
    read as one of this model with the fuser as it is.

    Images are fused at the size that the pipeline makes them. Rounding to 8 bits lets the gradient
    pass unchanged (straight-through), so that a fuser that is trained along sees it.

    Args:
        model: Config of the downstream model with its own ``data_preprocessor``, built in that
            package's scope.
        fuser: Config of the fuser: a trained one, or ``RuleFuser``. Default: the config in the
            header of ``fuser_weights``.
        fuser_weights: ``*.safetensors``, or checkpoint (``*.pth``) of the phase that ``fuser``
            is the model of. Default: none for a ``fuser`` that has no weights; without
            ``fuser``, the weights that ship with the package.
        freeze_fuser: Whether the fuser stays as it is. If not, the downstream losses train
            those of its parts that its own config trains. Default True.
        data_preprocessor: Preprocessor of ``model`` where its config has none: a Runner passes
            a config's own ``data_preprocessor`` this way. Default None.
        init_cfg: mmengine's initialisation config. Default None.

    Raises:
        FileNotFoundError: There is no such file of weights.
        ImportError: The downstream package cannot be imported; the message names versions that
            work.
        TypeError: ``fuser`` is not the config of a fuser.
        ValueError: The weights are not those of ``fuser``, or a fuser that has weights would be
            frozen without any. When a checkpoint is loaded: it is neither of this model nor of
            the downstream model.
    """

    scope: str

    def __init__(
        self,
        model: dict,
        fuser: dict | None = None,
        fuser_weights: str | os.PathLike | None = None,
        freeze_fuser: bool = True,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        import_downstream(self.scope)
        # these packages read nested configs by attribute
        model = ConfigDict(model, _scope_=self.scope)
        if data_preprocessor is not None:
            model.setdefault('data_preprocessor', data_preprocessor)
        self.fuser = load_fuser(fuser, fuser_weights)
        loaded = fuser is None or fuser_weights is not None
        if freeze_fuser and not loaded and any(True for _ in self.fuser.parameters()):
            raise ValueError(
                f'fuser is a {type(self.fuser).__name__} to be frozen at random weights; give '
                'fuser_weights, or freeze_fuser=False to train it from the beginning'
            )
        # a Runner initialises what is not marked as done, and would undo the loading
        self.fuser.is_init = loaded
        self.model = MODELS.build(model)
        self.freeze_fuser = freeze_fuser
        self.register_load_state_dict_pre_hook(_complete_checkpoint)
        self.train(self.training)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == 'model':  # not built yet
                raise
            return getattr(self.model, name)

    def train(self, mode: bool = True) -> FusedModel:
        """Switch to training; a frozen fuser stays in evaluation mode and without gradients."""
        super().train(mode)
        if self.freeze_fuser:
            freeze(self.fuser)
        return self

    def fuse(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Fuse stacked pairs.

        Args:
            inputs: Per pair what ``StackPair`` makes and the packing turns into (4, H, W), or
                with masks (6, H, W), 0..255; sizes may differ.

        Returns:
            Per pair the fused image (3, H, W), float, BGR, whole levels 0..255.

        Raises:
            KeyError: The fuser needs masks and there are none.
            ValueError: An image has another number of channels.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze_fuser):
            samples = [FusionDataSample(metainfo=dict(img_shape=i.shape[-2:])) for i in inputs]
            data = self.fuser.data_preprocessor(
                dict(inputs=_unstack(inputs), data_samples=samples), self.training
            )
            fused = self.fuser(**data)
            levels = (fused.float() + 1) * 127.5
            levels = to_uint8(fused) + (levels - levels.detach())
            # RGB to BGR, the order of everything that these packages read
            return self.fuser.data_preprocessor.crop_back(levels.flip(1), samples)

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence[BaseDataElement] | None = None,
        mode: str = 'tensor',
    ) -> Any:
        """The entry that mmengine calls.

        Args:
            inputs: As in :meth:`fuse`.
            data_samples: The downstream package's, one per pair.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``, as the downstream model takes them.

        Returns:
            What the downstream model returns for the fused images.
        """
        fused = dict(inputs=self.fuse(inputs), data_samples=data_samples)
        return self.model(**self.model.data_preprocessor(fused, mode == 'loss'), mode=mode)


@MODELS.register_module()
class FusedDetector(FusedModel):
    """A fuser in front of a detector of mmdet, see :class:`FusedModel`.

    Compiled operators of mmcv are needed only by detectors that use them, not by YOLOX and
    RetinaNet.
    """

    scope = 'mmdet'


@MODELS.register_module()
class FusedSegmentor(FusedModel):
    """A fuser in front of a segmenter of mmseg, see :class:`FusedModel`."""

    scope = 'mmseg'


def _unstack(images: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Stacked pairs as the fuser's preprocessor takes them."""
    pairs: dict[str, list[Tensor]] = dict(vis=[], ir=[])
    for image in images:
        if len(image) not in (_WITHOUT_MASKS, _WITH_MASKS):
            raise ValueError(
                f'a pair is stacked in {_WITHOUT_MASKS} channels, or {_WITH_MASKS} with masks, '
                f'found {len(image)}; add LoadInfrared and StackPair (and masks, if the fuser '
                'needs them) to the pipeline after LoadImageFromFile'
            )
        pairs['vis'].append(image[:3].flip(0))
        pairs['ir'].append(image[3:4])
        for index, key in enumerate(('mask_ir', 'mask_vis'), start=_WITHOUT_MASKS):
            if index < len(image):
                pairs.setdefault(key, []).append(image[index : index + 1].float() / 255)
    return pairs


def _complete_checkpoint(fused: FusedModel, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Turn the downstream model's state dict into the whole one, or refuse it."""
    names = [name for name in state if name.startswith(prefix)]
    found = {name.removeprefix(prefix).split('.', 1)[0] for name in names}
    if not names or found & {'fuser', 'model'}:
        return
    expected = {name for name, _ in fused.model.named_children()}
    if not found & expected:
        raise ValueError(
            f'the checkpoint has {", ".join(sorted(found))}; a {type(fused).__name__} has fuser, '
            f'model, and its model alone has {", ".join(sorted(expected))}. Give a checkpoint of '
            'one of these; weights of a fuser are given as fuser_weights'
        )
    for name in names:
        state[f'{prefix}model.{name.removeprefix(prefix)}'] = state.pop(name)
    for name, value in fused.fuser.state_dict().items():
        state[f'{prefix}fuser.{name}'] = value

"""A fuser in torch, and the masks that belong to it, from what a caller gave."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from mmsgdfuse.apis.recipe import Recipe
from mmsgdfuse.datasets.transforms import GenerateMasks
from mmsgdfuse.masks import BaseMaskGenerator
from mmsgdfuse.models.fusers import BaseFuser, StudentFuser, load_fuser
from mmsgdfuse.models.fusers.sgdfuse import INFERENCE_MODES
from mmsgdfuse.models.restoration import PairRestorer, load_restorer
from mmsgdfuse.registry import MASK_GENERATORS, SCOPE, TRANSFORMS
from mmsgdfuse.runtime.torch_runner import repeatable
from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.header_config import registered_name
from mmsgdfuse.utils.weights import load_weights

STUDENT = 'student'
Masks = Mapping[str, Any] | BaseMaskGenerator | Sequence[Mapping[str, Any]]


def load_model(
    config: str | os.PathLike | Config | BaseFuser | None,
    weights: str | os.PathLike | None,
    device: torch.device,
) -> tuple[BaseFuser, list[dict[str, Any]]]:
    """The model, and the configs of the masks that belong to it."""
    if isinstance(config, BaseFuser):
        if weights is not None or device_of(config) != device:
            model = copy.deepcopy(config).to(device)
            if weights is not None:
                load_weights(model, weights)
        else:
            # a copy of the root alone: attributes of its own, and the caller's weights
            model = copy.copy(config)
        return model, [dict(type='GenerateMasks')] if config.needs_masks else []
    if config is not None:
        if weights is None:
            raise InputError(
                'a config alone has no weights; give weights=, a *.safetensors or *.pth file '
                'trained with this config'
            )
        recipe = Recipe.from_config(config)
    else:
        assert weights is not None
        recipe = Recipe.from_file(weights)
        return load_fuser(weights=weights).eval().to(device), recipe.masks
    return recipe.build_model(weights).eval().to(device), recipe.masks


def configure(model: BaseFuser, **options: Any) -> None:
    """Set those options that are not None."""
    mode = options['inference_mode']
    if mode is not None and mode not in (*INFERENCE_MODES, STUDENT):
        raise InputError(f'mode must be one of {(*INFERENCE_MODES, STUDENT)}, found {mode!r}')
    if mode == STUDENT:
        if not isinstance(model, StudentFuser):
            raise InputError(
                f"mode 'student' is a network of its own, found {type(model).__name__}; give a "
                "student's weights, or none for the student that ships with the package"
            )
        options['inference_mode'] = None
    for name, value in options.items():
        if value is None:
            continue
        if not hasattr(model, name):
            raise InputError(f'{type(model).__name__} has no {name}; leave that argument out')
        setattr(model, name, value)


def build_masks(
    masks: Masks, cache_dir: str | os.PathLike | None
) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
    """The transforms that a generator, its config or the configs of transforms ask for."""
    if isinstance(masks, BaseMaskGenerator):
        return [GenerateMasks(masks, masks, None if cache_dir is None else Path(cache_dir))]
    transforms = []
    for entry in [masks] if isinstance(masks, Mapping) else masks:
        cfg = dict(entry)
        if registered_name(cfg['type'], MASK_GENERATORS) is not None:
            cfg = dict(type='GenerateMasks', ir=cfg, vis=cfg)
        if cfg['type'].rsplit('.', 1)[-1] == 'GenerateMasks':
            cfg['cache_dir'] = cache_dir
        transforms.append(TRANSFORMS.build(dict(cfg, _scope_=SCOPE)))
    return transforms


def build_masks_of_header(
    masks: Masks, cache_dir: str | os.PathLike | None, weights: object
) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
    """As :func:`build_masks`, from the header of ``weights``, where any arguments may stand."""
    try:
        return build_masks(masks, cache_dir)
    except (AttributeError, KeyError, TypeError) as error:  # any arguments may stand there
        raise InputError(
            f"{weights}: the header's masks cannot be built ({type(error).__name__}: {error}); "
            'give masks of your own, or export the weights again'
        ) from error


def choose_device(device: str | torch.device | None, config: Any) -> torch.device:
    """As asked, where a given model is, or the GPU if there is one."""
    if device is None and isinstance(config, BaseFuser):
        return device_of(config)
    device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    if device.type == 'cuda' and device.index is None:  # as a model's own device reads
        device = torch.device('cuda', torch.cuda.current_device())
    return device


def device_of(model: BaseFuser) -> torch.device:
    """Where a model is; a rule without weights is on the CPU."""
    return next((weight.device for weight in model.parameters()), torch.device('cpu'))


class Restoring:
    """A restorer on a device, from arrays to arrays.

    Args:
        weights: ``*.safetensors`` of a ``PairRestorer``. Default: the shipped ones.
        device: Where it runs.
    """

    def __init__(self, weights: str | os.PathLike | None, device: torch.device) -> None:
        self.model: PairRestorer = load_restorer(weights).to(device)
        self.device = device

    def __call__(self, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The pair without noise, stripes and blur, uint8 (H, W, 1) and (H, W, 3)."""
        inputs = {
            key: torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
            for key, image in images.items()
        }
        shape = images['ir'].shape[:2]
        samples = [FusionDataSample(metainfo=dict(img_shape=shape))]
        with torch.inference_mode(), repeatable(self.device):
            data = self.model.data_preprocessor(dict(inputs=inputs, data_samples=samples), False)
            (sample,) = self.model(data['inputs'], data['data_samples'], mode='predict')
        return {
            key: getattr(sample, f'restored_{key}').permute(1, 2, 0).cpu().numpy()
            for key in ('ir', 'vis')
        }

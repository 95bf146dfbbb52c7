"""A fuser from its config, its weights, or both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch

from mmsgdfuse.models.fusers.base import BaseFuser
from mmsgdfuse.registry import MODELS, SCOPE
from mmsgdfuse.utils.assets import DEFAULT_WEIGHTS
from mmsgdfuse.utils.errors import InputTypeError
from mmsgdfuse.utils.weights import load_weights, read_model_metadata


def load_fuser(
    config: Mapping[str, Any] | None = None, weights: str | os.PathLike | None = None
) -> BaseFuser:
    """Build a fuser, whatever mmengine's scope is, and load its weights.

    Torch's random generator stays where it was, so that what is built afterwards starts from the
    same values whichever fuser came before.

    Args:
        config: Config of the fuser. Default: the one in the header of ``weights``.
        weights: ``*.safetensors``, or checkpoint of tools/train.py. Default: random ones for a
            given ``config``; without one, the weights that ship with the package.

    Raises:
        FileNotFoundError: There is no such file of weights.
        TypeError: The config is not one of a fuser.
        ValueError: The weights do not say which model they are for and ``config`` does not
            either, or they are those of another model, such as another training phase's.
    """
    if config is None:
        weights = DEFAULT_WEIGHTS if weights is None else weights
        config = read_model_metadata(weights)['model']
    with torch.random.fork_rng(devices=[]):
        fuser = MODELS.build(dict(deepcopy(config), _scope_=SCOPE))
    if not isinstance(fuser, BaseFuser):
        raise InputTypeError(
            f"the config must be a fuser's, such as SGDFuse's, found {config.get('type')!r}"
        )
    if weights is not None:
        load_weights(fuser, weights)
    return fuser

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
            either, their header names what a file may not name, or they are those of another
            model, such as another training phase's.
    """
    if config is not None:
        fuser = _build(config)
    else:
        weights = DEFAULT_WEIGHTS if weights is None else weights
        fuser = _build_from_header(weights)
    if weights is not None:
        load_weights(fuser, weights)
    return fuser


def _build(config: Mapping[str, Any]) -> BaseFuser:
    with torch.random.fork_rng(devices=[]):
        fuser = MODELS.build(dict(deepcopy(config), _scope_=SCOPE))
    if not isinstance(fuser, BaseFuser):
        raise InputTypeError(
            f"the config must be a fuser's, such as SGDFuse's, found {config.get('type')!r}"
        )
    return fuser


def _build_from_header(weights: str | os.PathLike) -> BaseFuser:
    config = read_model_metadata(weights)['model']
    name = config.get('type')
    # asked before anything is built: another class might read files of its own
    if name is None or not issubclass(MODELS.get(name), BaseFuser):
        raise ValueError(
            f"{weights}: the header's model must be a fuser, such as SGDFuse, found {name!r}; "
            'export the weights of one with tools/model_converters/export_weights.py'
        )
    try:
        return _build(config)
    except ImportError:  # of a package that only some models need
        raise
    except Exception as error:  # arguments of any kind stand there
        raise ValueError(
            f"{weights}: the header's model cannot be built ({type(error).__name__}: {error}); the "
            'file is damaged, or made by another version of mmsgdfuse'
        ) from error

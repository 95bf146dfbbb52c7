"""A fuser from its config, its weights, or both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeVar

import torch

from mmsgdfuse.models.fusers.base import BaseFuser
from mmsgdfuse.registry import MODELS, SCOPE
from mmsgdfuse.utils.assets import DEFAULT_WEIGHTS
from mmsgdfuse.utils.errors import InputError, InputTypeError
from mmsgdfuse.utils.weights import load_weights, read_model_metadata

Model = TypeVar('Model')


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
        fuser = _build(config, BaseFuser)  # type: ignore[type-abstract]
    else:
        weights = DEFAULT_WEIGHTS if weights is None else weights
        fuser = build_from_header(
            weights,
            BaseFuser,  # type: ignore[type-abstract]
            'a fuser, such as SGDFuse',
        )
    if weights is not None:
        load_weights(fuser, weights)
    return fuser


def _build(config: Mapping[str, Any], kind: type[Model]) -> Model:
    with torch.random.fork_rng(devices=[]):
        model = MODELS.build(dict(deepcopy(config), _scope_=SCOPE))
    if not isinstance(model, kind):
        raise InputTypeError(
            f"the config must be a fuser's, such as SGDFuse's, found {config.get('type')!r}"
        )
    return model


def build_from_header(weights: str | os.PathLike, kind: type[Model], wanted: str) -> Model:
    """Build the model that the header of ``weights`` describes, with random weights.

    Args:
        weights: ``*.safetensors`` with the config of its model in the header.
        kind: Class that the model must be of.
        wanted: What an error message calls ``kind``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The header has no such config, names what a file may not name, or the model
            is of another class.
    """
    config = read_model_metadata(weights)['model']
    name = config.get('type')
    # asked before anything is built: another class might read files of its own
    if name is None or not issubclass(MODELS.get(name), kind):
        raise InputError(
            f"{weights}: the header's model must be {wanted}, found {name!r}; "
            'export the weights of one with tools/model_converters/export_weights.py'
        )
    try:
        return _build(config, kind)
    except ImportError:  # of a package that only some models need
        raise
    except Exception as error:  # arguments of any kind stand there
        raise InputError(
            f"{weights}: the header's model cannot be built ({type(error).__name__}: {error}); the "
            'file is damaged, or made by another version of mmsgdfuse'
        ) from error

"""Weights on disk: what ships, what is loaded, and what to say when the two do not fit."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.files import atomic_path
from mmsgdfuse.utils.header_config import ENTRIES, check_header_config
from mmsgdfuse.utils.torch_files import read_torch_file

TRAINING_ONLY = ('losses', 'noise_loss', 'distillation', 'teacher', 'restoration_loss')
_METADATA_KEY = 'mmsgdfuse'
_CHECKPOINT_META = ('experiment_name', 'epoch', 'iter', 'seed')
_SHOWN = 3
_MAX_METADATA = 2**20  # characters; a config has some thousands


def save_weights(
    model: nn.Module | Mapping[str, Tensor],
    path: str | os.PathLike,
    metadata: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write weights as safetensors, whole or not at all; the same weights give the same bytes.

    Submodules that only training needs (:data:`TRAINING_ONLY`) are left out.

    Args:
        model: Model, or its state dict.
        path: File to write, ``*.safetensors``; missing folders are made.
        metadata: JSON-able values that travel in the file's header, such as the model's
            config. Default: none.
        dtype: What floating-point weights are stored as. Default ``torch.float16``.

    Raises:
        ValueError: The suffix is another one, a weight is not finite as ``dtype``, or
            ``metadata`` has more than a million characters.
        TypeError: ``metadata`` is not JSON-able.
    """
    path = Path(path)
    if path.suffix != '.safetensors':
        raise InputError(f'{path}: weights are written as *.safetensors')
    state = model.state_dict() if isinstance(model, nn.Module) else model
    tensors = {}
    for name, tensor in _for_inference(state).items():
        if tensor.is_floating_point():
            tensor = tensor.to(dtype)
            if not tensor.isfinite().all():
                raise InputError(f'{name} is not finite as {dtype}; export as float32, or look '
                                 'for the training step at which it diverged')  # fmt: skip
        tensors[name] = tensor.detach().cpu().contiguous()
    # one entry, since the order in which safetensors writes several changes from run to run
    header = {_METADATA_KEY: json.dumps(dict(metadata or {}), sort_keys=True)}
    if len(header[_METADATA_KEY]) > _MAX_METADATA:
        raise InputError(f'{path}: metadata has more than {_MAX_METADATA:,} characters; note less')
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, header))


def load_weights(model: nn.Module, path: str | os.PathLike) -> dict[str, Any]:
    """Load weights into a model, every one of them or none.

    Args:
        model: Model that the weights are for.
        path: ``*.safetensors`` of :func:`save_weights`, or a checkpoint of mmengine's Runner
            (of its averaged weights, where it kept an average) or a state dict as ``*.pth``.

    Returns:
        The file's metadata; of a checkpoint how far training had come.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or unsafe to load, or its weights are not this model's:
            the message says what was expected and what was found.
    """
    state, metadata = read_weights(path)
    found, expected = _for_inference(state), _for_inference(model.state_dict())
    _check_fit(Path(path), type(model).__name__, expected, found)
    model.load_state_dict(found, strict=False)
    return metadata


def read_weights(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors on the CPU and metadata of a file that :func:`load_weights` takes."""
    path = _existing(path)
    if path.suffix == '.safetensors':
        metadata = read_metadata(path)
        try:
            # bytes: a mapped file that is rewritten meanwhile would end the process
            return load(path.read_bytes()), metadata
        except SafetensorError as error:
            raise _damaged(path, error) from error
    return _read_checkpoint(path)


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata of a ``*.safetensors`` file, without its weights; empty for ``*.pth``."""
    path = _existing(path)
    if path.suffix != '.safetensors':
        return {}
    try:
        with safe_open(path, framework='pt') as file:
            return _decode(path, file.metadata())
    except SafetensorError as error:
        raise _damaged(path, error) from error


def read_model_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata of a file that holds, as ``model``, the config of what it is for.

    The file may come from anyone: ``model`` and ``masks`` are checked by
    :func:`~mmsgdfuse.utils.header_config.check_header_config` before anyone builds from them.

    Args:
        path: ``*.safetensors`` that tools/model_converters/export_weights.py wrote.

    Returns:
        The metadata; each ``type`` in ``model`` and ``masks`` has our scope.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, does not hold that config, or the config names what a file may
            not name.
    """
    metadata = read_metadata(path)
    if 'model' not in metadata:
        raise InputError(
            f'{path}: does not say which model it is for; give the config that it was trained with '
            'as well, or weights that tools/model_converters/export_weights.py wrote'
        )
    checked = {
        entry: check_header_config(entry, metadata[entry], path)
        for entry in ENTRIES
        if entry in metadata
    }
    return {**metadata, **checked}


def _damaged(path: Path, error: SafetensorError) -> ValueError:
    return InputError(f'{path}: is damaged ({error}); copy it again')


def _existing(path: str | os.PathLike) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file of weights; check the path')
    return path


def _decode(path: Path, header: Mapping[str, str] | None) -> dict[str, Any]:
    text = (header or {}).get(_METADATA_KEY, '{}')
    try:
        if len(text) > _MAX_METADATA:
            raise InputError(f'it has more than {_MAX_METADATA:,} characters')
        metadata = json.loads(text)
        if not isinstance(metadata, dict):
            raise InputError(f'it holds a {type(metadata).__name__} instead of names and values')
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: the header's metadata cannot be read ({error}); copy the file again, or "
            'export it with tools/model_converters/export_weights.py'
        ) from error
    return metadata


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not zipfile.is_zipfile(path):
        raise InputError(f'{path}: is damaged, or neither *.safetensors nor a file of torch.save')
    content = read_torch_file(path)
    state = content.get('state_dict', content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(map(_is_weight, state.items())):
        raise InputError(f'{path}: holds no weights, neither as state_dict nor by itself')
    meta = content.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    return state, {key: meta[key] for key in _CHECKPOINT_META if key in meta}


def _is_weight(item: tuple[object, object]) -> bool:
    name, value = item
    return isinstance(name, str) and isinstance(value, Tensor)


def _for_inference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k.split('.', 1)[0] not in TRAINING_ONLY}


def _check_fit(
    path: Path, model: str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> None:
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    if missing or unexpected:
        raise InputError(
            f'{path}: its weights are not those of {model}, which has {_submodules(expected)}; '
            f'the file has {_submodules(found)}. Missing: {_some(missing)}; not expected: '
            f'{_some(unexpected)}. Give the checkpoint of the training phase and config that '
            'the model is built from'
        )
    reshaped = [
        f'{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}'
        for name, tensor in expected.items()
        if found[name].shape != tensor.shape
    ]
    if reshaped:
        raise InputError(
            f'{path}: its weights are those of a {model} of another size: {_some(reshaped)}. '
            'Give the config that it was trained with'
        )


def _submodules(state: Mapping[str, Tensor]) -> str:
    return ', '.join(sorted({name.split('.', 1)[0] for name in state})) or 'nothing'


def _some(names: list[str]) -> str:
    more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return ', '.join(names[:_SHOWN]) + more if names else 'nothing'

"""Files of ``torch.save``, read as data: no code in them runs.

:func:`read_torch_file` reads them for this package, and :func:`guard_runner` sees to it that
mmengine's Runner, its hooks and its initialisers do not read them in another way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import torch

from mmsgdfuse.utils.compat import allow_safe_resume
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.import_hooks import after_import


def read_torch_file(path: str | os.PathLike, map_location: Any = 'cpu') -> Any:
    """The content of a file of ``torch.save``; the one place where this package unpickles.

    Only tensors, containers of plain values and what mmengine's Runner logs are taken, whatever
    torch's environment variables say.

    Args:
        path: The file.
        map_location: As for :func:`torch.load`. Default 'cpu'.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or holds something that would have to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; check the path')
    allow_safe_resume()
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch names no common base for what is wrong with a file
        raise _refusal(path, error) from error


def _refusal(path: object, error: Exception) -> ValueError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(
        f'{path}: cannot be loaded safely, or is damaged; nothing in it was run. Give weights or a '
        f"checkpoint of this package's training, or copy the file again. torch says: {reason}"
    )


def without_code(checkpoint: Any) -> Any:
    """A checkpoint without the text that mmengine's Runner would run.

    To resume, mmengine executes the config in ``meta['config']``, a key of its earliest versions.

    Args:
        checkpoint: What was loaded; changed in place.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


# --------------------------------------------------------------------------------------
# mmengine 0.10's own loader, through which go --resume, load_from, init_cfg and the backbones of
# mmdet and mmseg. What it downloads it unpickles without restriction, and what it resumes from
# may hold a config text that it executes.
# --------------------------------------------------------------------------------------

_RUNNER_CHECKPOINTS = 'mmengine.runner.checkpoint'
_FORCE_SAFE, _FORCE_UNSAFE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


def guard_runner() -> None:
    """Let mmengine take checkpoints, local or downloaded, as data only.

    From then on ``mmengine.runner.CheckpointLoader`` reads local files by
    :func:`read_torch_file` (``*.safetensors`` too), unpickles what it downloads with
    ``weights_only=True``, and hands out neither with code in it, see :func:`without_code`.
    Nothing is imported by this call, and calling it again changes nothing.
    """
    after_import(_RUNNER_CHECKPOINTS, _guard)


def _guard(module: ModuleType) -> None:
    # other packages hold the class itself, so that its method is what is replaced
    original = module.CheckpointLoader.load_checkpoint.__func__
    if getattr(original, 'guarded', False):
        return

    def load_checkpoint(cls, filename: str, map_location: Any = None, logger: Any = 'current'):
        """As mmengine's, but data only."""
        path = Path(os.path.expanduser(filename))
        if not path.is_file():
            try:
                with _weights_only():
                    return without_code(original(cls, filename, map_location, logger))
            except UnpicklingError as error:
                raise _refusal(filename, error) from error
        if path.suffix == '.safetensors':
            from mmsgdfuse.utils.weights import read_weights  # which imports this module

            return dict(state_dict=read_weights(path)[0], meta={})
        return without_code(read_torch_file(path, map_location))

    load_checkpoint.guarded = True  # type: ignore[attr-defined]
    module.CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)


@contextmanager
def _weights_only() -> Iterator[None]:
    """Context in which every ``torch.load`` is safe, whatever it is called with."""
    before = {name: os.environ.pop(name, None) for name in (_FORCE_SAFE, _FORCE_UNSAFE)}
    os.environ[_FORCE_SAFE] = '1'
    try:
        yield
    finally:
        del os.environ[_FORCE_SAFE]
        os.environ.update({name: value for name, value in before.items() if value is not None})

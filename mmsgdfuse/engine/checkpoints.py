"""Checkpoints that survive a power cut, and finding the one to go on from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.logging import print_log

from mmsgdfuse.utils.files import atomic_path
from mmsgdfuse.utils.torch_files import read_torch_file
from mmsgdfuse.utils.weights import read_weights

ATOMIC_BACKEND = 'mmsgdfuse_atomic'


@register_backend(ATOMIC_BACKEND, force=True)
class AtomicLocalBackend(LocalBackend):
    """mmengine's local backend with an atomic ``put``.

    ``CheckpointHook(backend_args=dict(backend='mmsgdfuse_atomic'))`` never leaves half a
    checkpoint under its final name: a file is whole or absent.
    """

    def put(self, obj: bytes | BytesIO, filepath: str | Path) -> None:
        """Write bytes to a temporary file beside the target, flush it and rename it."""
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        with durable_path(filepath) as temporary:
            temporary.write_bytes(obj.getvalue() if isinstance(obj, BytesIO) else obj)


@contextmanager
def durable_path(path: str | Path) -> Iterator[Path]:
    """Context of a new file's path, as :func:`atomic_path`, for a file that survives a power cut.

    Its content is on the disk before it takes its name, and its name before the context ends:
    an older file that is deleted after that is not the last one.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        yield temporary
        _flush(temporary, os.O_RDWR)
    if os.name != 'nt':  # which opens no folders
        _flush(path.parent, os.O_RDONLY)


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def epoch_checkpoints(work_dir: str | Path) -> list[Path]:
    """The ``epoch_N.pth`` files of a folder, newest first."""
    numbered = []
    for path in Path(work_dir).glob('epoch_*.pth'):
        match = re.fullmatch(r'epoch_(\d+)\.pth', path.name)
        if match:
            numbered.append((int(match.group(1)), path))
    return [path for _, path in sorted(numbered, reverse=True)]


def read_checkpoint(path: str | Path) -> dict:
    """A checkpoint of mmengine's Runner, loaded safely and to the CPU.

    Args:
        path: ``*.pth``; or ``*.safetensors``, which have weights alone.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, unsafe to load, or no checkpoint.
    """
    if Path(path).suffix == '.safetensors':
        return dict(state_dict=read_weights(path)[0], meta={})
    checkpoint = read_torch_file(path)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get('state_dict'), dict):
        raise ValueError(
            f'{path}: is no checkpoint of a training run; give an epoch_N.pth of tools/train.py'
        )
    return checkpoint


def latest_checkpoint(work_dir: str | Path) -> tuple[Path, int] | None:
    """The newest checkpoint of a folder that can be read.

    Args:
        work_dir: Folder of one training phase.

    Returns:
        Path and number of finished epochs, or ``None`` where there is no checkpoint. A file
        that cannot be read is reported and passed over.
    """
    for path in epoch_checkpoints(work_dir):
        try:
            return path, int(read_checkpoint(path)['meta']['epoch'])
        except Exception as error:  # noqa: BLE001  (torch names no common base for a broken file)
            print_log(f'{path} cannot be read and is passed over: {error}', 'current', 30)
    return None

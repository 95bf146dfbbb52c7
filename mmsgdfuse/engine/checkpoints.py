"""Checkpoints that survive a power cut, and finding the one to go on from."""

from __future__ import annotations

import os
import re
from io import BytesIO
from pathlib import Path

import torch
from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend
from mmengine.logging import print_log

from mmsgdfuse.utils.compat import allow_safe_resume
from mmsgdfuse.utils.image_io import atomic_path

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
        with atomic_path(filepath) as temporary, temporary.open('wb') as stream:
            stream.write(obj.getvalue() if isinstance(obj, BytesIO) else obj)
            stream.flush()
            os.fsync(stream.fileno())


def epoch_checkpoints(work_dir: str | Path) -> list[Path]:
    """The ``epoch_N.pth`` files of a folder, newest first."""
    numbered = []
    for path in Path(work_dir).glob('epoch_*.pth'):
        match = re.fullmatch(r'epoch_(\d+)\.pth', path.name)
        if match:
            numbered.append((int(match.group(1)), path))
    return [path for _, path in sorted(numbered, reverse=True)]


def read_checkpoint(path: str | Path) -> dict:
    """A checkpoint of mmengine's Runner, loaded safely and to the CPU."""
    allow_safe_resume()
    return torch.load(path, map_location='cpu', weights_only=True)


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

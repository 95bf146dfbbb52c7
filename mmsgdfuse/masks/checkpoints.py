"""SAM's official checkpoints: where they come from, what they must hash to, how they are read."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mmsgdfuse.utils.errors import InputError, MMSGDFuseError

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT_FOLDER = 'checkpoints'

_SOURCE = 'https://dl.fbaipublicfiles.com/segment_anything'
_CHUNK = 1 << 20


class SAMCheckpoint(NamedTuple):
    """An official checkpoint."""

    url: str
    sha256: str
    size: int  # bytes

    @property
    def file_name(self) -> str:
        """Name of the file, as published."""
        return self.url.rpartition('/')[2]


SAM_CHECKPOINTS = {
    'vit_b': SAMCheckpoint(
        f'{_SOURCE}/sam_vit_b_01ec64.pth',
        'ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912',
        375_042_383,
    ),
    'vit_l': SAMCheckpoint(
        f'{_SOURCE}/sam_vit_l_0b3195.pth',
        '3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622',
        1_249_524_607,
    ),
    'vit_h': SAMCheckpoint(
        f'{_SOURCE}/sam_vit_h_4b8939.pth',
        'a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e',
        2_564_550_879,
    ),
}


class CheckpointError(MMSGDFuseError, RuntimeError):
    """A checkpoint that cannot be had or used; the message names the file and what to do."""


def default_checkpoint(model_type: str) -> Path:
    """Where ``tools/download_sam.py`` puts a checkpoint, relative to the working folder.

    Args:
        model_type (str): 'vit_b', 'vit_l' or 'vit_h'.

    Raises:
        ValueError: There is no official checkpoint of this type.
    """
    if model_type not in SAM_CHECKPOINTS:
        raise InputError(
            f"no official SAM checkpoint is called '{model_type}': choose one of "
            f'{", ".join(SAM_CHECKPOINTS)}, or give the path of your own'
        )
    return Path(CHECKPOINT_FOLDER) / SAM_CHECKPOINTS[model_type].file_name


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits, read piece by piece."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _remedy(model_type: str) -> str:
    if model_type in SAM_CHECKPOINTS:
        return f'fetch it with `python tools/download_sam.py {model_type}`'
    return 'copy it there or correct the path'


def require_checkpoint(path: str | Path, model_type: str) -> None:
    """Make sure that a checkpoint is there.

    Args:
        path (str | Path): The file.
        model_type (str): What it should hold, for the message.

    Raises:
        FileNotFoundError: The file does not exist.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'{path}: no such SAM checkpoint; {_remedy(model_type)}, or use the weight-free '
            'generator ThermalVisualSaliency'
        )


def read_state_dict(path: str | Path, model_type: str) -> dict[str, Tensor]:
    """The weights in a checkpoint, read without running any code in it.

    Args:
        path (str | Path): The file.
        model_type (str): What it should hold, for the messages.

    Returns:
        dict[str, Tensor]: On the CPU.

    Raises:
        FileNotFoundError: The file does not exist.
        CheckpointError: It is damaged, or no dictionary of tensors.
    """
    require_checkpoint(path, model_type)
    from torch import Tensor

    from mmsgdfuse.utils.torch_files import read_torch_file

    try:
        state = read_torch_file(path)
    except (ValueError, OSError) as error:
        reason = str(error.__cause__ or error).partition('\n')[0]
        raise CheckpointError(
            f'{path}: damaged, or no checkpoint of weights alone ({reason}); delete it and '
            f'{_remedy(model_type)}'
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f'{path}: holds no dictionary of tensors; {_remedy(model_type)}')
    return state


def download(
    url: str,
    path: str | Path,
    sha256: str,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    timeout: float = 30.0,
) -> Path:
    """Fetch a file, going on where an earlier attempt stopped, and verify it.

    What has arrived lies in ``<path>.part`` until its hash is right, so that ``path`` either holds
    the whole file or does not exist.

    Args:
        url (str): Where it is.
        path (str | Path): Where it goes.
        sha256 (str): What it must hash to.
        progress (Callable | None): Called with the bytes so far and in total (None if unknown).
            Default: None.
        timeout (float): Seconds without an answer after which to give up. Default: 30.0.

    Returns:
        Path: ``path``. Nothing is fetched where it already holds the right bytes.

    Raises:
        CheckpointError: The server cannot be reached or breaks off, or the hash is wrong.
    """
    path = Path(path)
    if path.is_file() and file_sha256(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.part')
    try:
        _fetch(url, part, progress, timeout)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, 'reason', error)
        raise CheckpointError(
            f'{url}: cannot be downloaded ({reason}). Offline, fetch it on another machine and put '
            f'it at {path}; its SHA-256 must be {sha256}'
        ) from error
    found = file_sha256(part)
    if found != sha256:
        part.unlink()
        raise CheckpointError(
            f'{url}: the SHA-256 of what arrived is {found}, published is {sha256}; nothing was '
            'kept. Try again, and if it happens again, look for a proxy that changes downloads'
        )
    os.replace(part, path)
    return path


def _fetch(
    url: str, part: Path, progress: Callable[[int, int | None], None] | None, timeout: float
) -> None:
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={done}-'} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if done and error.code == 416:  # nothing is left to send: the hash will tell
            return
        raise
    with response:
        resumed = response.status == 206
        done = done if resumed else 0
        length = response.headers.get('Content-Length')
        total = done + int(length) if length else None
        with part.open('ab' if resumed else 'wb') as file:
            while piece := response.read(_CHUNK):
                file.write(piece)
                done += len(piece)
                if progress:
                    progress(done, total)
    if total is not None and done < total:
        raise OSError(f'the connection broke off after {done} of {total} bytes')

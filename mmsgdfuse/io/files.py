"""Writing files so that they are either whole or not there."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MAX_NAME_BYTES = 255
_MAX_SUFFIX_BYTES = 100

_LEFTOVERS = f'.*.{32 * "[0-9a-f]"}*'  # the names that atomic_path gives


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Context of a new file's path beside ``path``, which takes its place if all goes well.

    Raises:
        OSError: The file cannot be written; where the disk is full, the message says how to go on.
    """
    path = Path(path)
    temporary = path.with_name(_temporary_name(path))
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                error.errno,
                'no space left on the disk; what was written before is whole, so make room and '
                'start again',
                str(path),
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_name(path: Path) -> str:
    """A name of at most 255 bytes, the limit of most file systems."""
    unique = uuid.uuid4().hex
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _MAX_SUFFIX_BYTES else ''
    room = _MAX_NAME_BYTES - len(unique) - len(os.fsencode(suffix)) - 2
    # a cut within a character leaves a byte that is no text, which not every disk takes
    stem = os.fsencode(path.stem)[:room].decode('utf-8', 'ignore')
    return f'.{stem}.{unique}{suffix}'


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file as UTF-8; missing folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def remove_leftovers(folder: str | os.PathLike, min_age: float = 3600.0) -> int:
    """Delete what killed processes were just writing by :func:`atomic_path`.

    Args:
        folder: Where the files were to be.
        min_age: Seconds since the last write, below which a process may still be at work on a
            file. Default 3600.

    Returns:
        Number of files deleted.
    """
    newest = time.time() - min_age
    deleted = 0
    for path in Path(folder).glob(_LEFTOVERS):
        try:
            if path.stat().st_mtime <= newest:
                path.unlink()
                deleted += 1
        except FileNotFoundError:  # another process has finished the file, or deleted it
            continue
    return deleted

"""Writing files so that they are either whole or not there."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LEFTOVERS = f'.*.{32 * "[0-9a-f]"}.*'  # the names that atomic_path gives


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Context of a new file's path beside ``path``, which takes its place if all goes well."""
    path = Path(path)
    temporary = path.with_name(f'.{path.stem}.{uuid.uuid4().hex}{path.suffix}')
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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

"""A set of files that takes the place of an older set as a whole."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PREFIX = '.staged.'
_HOUR = 3600.0


@contextmanager
def staged_folder(folder: Path, own: Sequence[str]) -> Iterator[Path]:
    """Context of a new folder whose files move to another one if all goes well.

    Nothing is moved before everything is written, so that a full disk leaves what was there.
    Moving needs no space, since the new folder lies within the other one.

    Args:
        folder: Where the files go; made if it is missing.
        own: Globs of the files, relative to it, that belong to the set. Those that the new set
            lacks are removed with the old one; all other files stay.

    Yields:
        The new folder, empty.
    """
    existed = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    stage = folder / f'{_PREFIX}{uuid.uuid4().hex}'
    try:
        stage.mkdir()
        yield stage
        _replace(stage, folder, own)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if not existed and not any(folder.iterdir()):
            folder.rmdir()


def _replace(stage: Path, folder: Path, own: Sequence[str]) -> None:
    new = [path.relative_to(stage) for path in sorted(stage.rglob('*')) if path.is_file()]
    old = {path.relative_to(folder) for pattern in own for path in folder.glob(pattern)}
    for path in new:
        # This may fail, and so precedes the first move.
        (folder / path.parent).mkdir(exist_ok=True)
    for path in new:
        (stage / path).replace(folder / path)
    for path in old.difference(new):
        (folder / path).unlink(missing_ok=True)
    for emptied in {folder / path.parent for path in old} - {folder}:
        if not any(emptied.iterdir()):
            emptied.rmdir()


def _remove_leftovers(folder: Path) -> None:
    """Delete what killed processes left an hour ago or earlier."""
    for path in folder.glob(f'{_PREFIX}{32 * "[0-9a-f]"}'):
        if path.is_dir() and path.stat().st_mtime <= time.time() - _HOUR:
            shutil.rmtree(path, ignore_errors=True)

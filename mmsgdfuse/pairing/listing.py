"""The image files that a folder or a glob stands for."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmsgdfuse.utils.image_io import IMAGE_SUFFIXES, list_images

_WILDCARD = re.compile(r'(\*\*/?|\*|\?|\[[^]]+\])')


class Listed(NamedTuple):
    """A file and its place below the folder or the fixed part of the glob that listed it.

    Attributes:
        path: The file.
        relative: Its path from there, without suffix, with '/'.
    """

    path: Path
    relative: str


def list_folder(folder: Path, recursive: bool, faults: list[str]) -> list[Listed]:
    """The images of a folder; links that lead nowhere are faults.

    Raises:
        FileNotFoundError: The folder does not exist.
        NotADirectoryError: It is a file.
    """
    paths = list_images(folder, recursive)
    faults += broken_links(folder.rglob('*') if recursive else folder.iterdir()).values()
    return [Listed(path, _plain(path.relative_to(folder))) for path in paths]


def list_glob(pattern: str, faults: list[str]) -> list[Listed]:
    """The images that a glob matches, sorted; links that lead nowhere are faults."""
    root = glob_root(pattern)
    matches = sorted(Path(match) for match in glob.glob(pattern, recursive=True))
    faults += broken_links(matches).values()
    return [
        Listed(path, _plain(path.relative_to(root)))
        for path in matches
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    ]


def glob_root(pattern: str) -> Path:
    """The folders in front of a glob's first wildcard."""
    parts = Path(pattern).parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:fixed])


def wildcard_regex(pattern: str) -> re.Pattern[str]:
    """The regular expression of a glob, with a group per wildcard.

    Args:
        pattern: With '/', and the wildcards ``*``, ``?``, ``[...]`` (within a part of the path)
            and ``**/`` (any number of folders).
    """
    translated = ''
    for part in _WILDCARD.split(pattern):
        if part.startswith('**'):
            translated += '(.*/)?' if part.endswith('/') else '(.*)'
        elif part == '*':
            translated += '([^/]*)'
        elif part == '?':
            translated += '([^/])'
        elif part.startswith('[') and part.endswith(']'):
            inside = part[1:-1].replace('\\', r'\\')
            negated = inside.startswith('!')
            translated += f'([{"^/" if negated else ""}{inside[1:] if negated else inside}])'
        else:
            translated += re.escape(part)
    return re.compile(translated)


def wildcard_texts(regex: re.Pattern[str], text: str) -> str | None:
    """What the wildcards stand for in a text, joined by '/'; None where it does not match."""
    match = regex.fullmatch(text)
    if match is None:
        return None
    return '/'.join(group.strip('/') for group in match.groups() if group and group.strip('/'))


def broken_links(paths: Iterable[Path]) -> dict[Path, str]:
    """Those of the paths that are images by their suffix and links that lead nowhere, and why."""
    return {
        path: f'{path}: is a link to {os.readlink(path)}, which is not there; '
        'mend or remove the link'
        for path in sorted(paths)
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_symlink() and not path.exists()
    }


def _plain(path: Path) -> str:
    return PurePosixPath(path.with_suffix('')).as_posix()

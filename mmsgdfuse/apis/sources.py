"""Which files a user means, and which of them belong together."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmsgdfuse.datasets.pairing import find_pairs
from mmsgdfuse.io.images import IMAGE_SUFFIXES

_WILDCARD = re.compile(r'(\*\*/?|\*|\?|\[[^]]+\])')


class ImagePair(NamedTuple):
    """Two files that belong together.

    Attributes:
        name: Name of the result, without suffix.
        ir: Infrared image.
        vis: Visible image.
    """

    name: str
    ir: Path
    vis: Path


def find_sources(ir: str, vis: str) -> tuple[list[ImagePair], list[str]]:
    """The pairs that two arguments of a command line mean.

    Args:
        ir: An image file, a folder of images, or a glob ('night/*_ir.png', '**' for any depth).
        vis: The same kind for the visible images. Two folders are matched by file name up to
            the suffix; so are two globs, or, where no names agree, by what their wildcards
            stand for: 'a_ir.png' of '*_ir.png' and 'a_vis.jpg' of '*_vis.jpg' are pair 'a'.

    Returns:
        The pairs in the order of their names, and a sentence for each file without partner.
        The pairs may be none.

    Raises:
        ValueError: One is a folder, say, and the other a file.
    """
    kinds = _kind(ir), _kind(vis)
    if kinds[0] != kinds[1]:
        raise ValueError(
            f'{ir} is a {kinds[0]} and {vis} a {kinds[1]}; '
            'give two images, two folders or two globs'
        )
    if kinds[0] == 'file':
        return [ImagePair(Path(vis).stem, Path(ir), Path(vis))], []
    if kinds[0] == 'glob':
        return _match_globs(ir, vis)
    pairs, faults = find_pairs(dict(ir=ir, vis=vis))
    return [
        ImagePair(Path(p['name']).stem, Path(p['ir_path']), Path(p['vis_path'])) for p in pairs
    ], faults


def _kind(argument: str) -> str:
    if Path(argument).is_dir():
        return 'folder'
    # a file may have brackets in its name
    return 'glob' if not Path(argument).exists() and glob.has_magic(argument) else 'file'


def _match_globs(ir: str, vis: str) -> tuple[list[ImagePair], list[str]]:
    files = {pattern: _expand(pattern) for pattern in (ir, vis)}
    faults = [f'{pattern}: matches no image' for pattern, paths in files.items() if not paths]
    if faults:
        return [], faults
    by_stem = {path.stem for path in files[ir]} & {path.stem for path in files[vis]}
    named: dict[str, dict[str, Path]] = {}
    for pattern, paths in files.items():
        named[pattern] = {}
        for path in paths:
            name = path.stem if by_stem else _behind_wildcards(pattern, path)
            other = named[pattern].setdefault(name, path)
            if other != path:
                faults.append(f'{path}: {other} has the same name; fuse one folder at a time')
    for pattern, partner in ((ir, vis), (vis, ir)):
        faults += [
            f'{path}: no partner named {name} among {partner}'
            for name, path in named[pattern].items()
            if name not in named[partner]
        ]
    common = sorted(named[ir].keys() & named[vis].keys())
    return [ImagePair(name, named[ir][name], named[vis][name]) for name in common], faults


def _expand(pattern: str) -> list[Path]:
    paths: Sequence[Path] = [Path(match) for match in glob.glob(pattern, recursive=True)]
    return sorted(
        path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )


def _behind_wildcards(pattern: str, path: Path) -> str:
    """What a glob's wildcards stand for in one of its matches, as a name for a file."""
    translated = ''
    for part in _WILDCARD.split(Path(pattern).as_posix()):
        if part.startswith('**'):
            translated += '(.*/)?' if part.endswith('/') else '(.*)'
        elif part == '*':
            translated += '([^/]*)'
        elif part == '?':
            translated += '([^/])'
        elif part.startswith('['):
            translated += '(' + part.replace('[!', '[^') + ')'
        else:
            translated += re.escape(part)
    match = re.fullmatch(translated, path.as_posix())
    if match is None:  # a file system that ignores case finds more than the pattern says
        return path.stem
    return '_'.join(group.strip('/').replace('/', '_') for group in match.groups() if group)

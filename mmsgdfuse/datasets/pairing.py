"""Which files belong together, and whether they can be used.

Faults are collected as sentences that name the file and the remedy, so that a user with a
hundred bad files hears of all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmsgdfuse.datasets.layouts import NamePatterns
from mmsgdfuse.io.images import (
    IMAGE_SUFFIXES,
    ImageFileError,
    list_images,
    probe_image,
    read_infrared,
    read_labels,
    read_visible,
)
from mmsgdfuse.io.infrared import infrared_size

CHECKS = ('none', 'quick', 'full')

_READERS = dict(ir=read_infrared, vis=read_visible, labels=read_labels)


def find_pairs(
    folders: Mapping[str, str | Path],
    names: Sequence[str] | None = None,
    patterns: NamePatterns | None = None,
) -> tuple[list[dict[str, str]], list[str]]:
    """Match the files of several folders by name.

    Args:
        folders: Folder by key: ``ir`` and ``vis``, optionally ``labels``.
        names: Only these, in this order; with or without suffix. None: all, sorted.
        patterns: What partners have in common where it is not the name before the suffix,
            see :class:`mmsgdfuse.datasets.layouts.Layout`.

    Returns:
        The complete pairs, each a dict of ``name`` and ``<key>_path``, and the faults found.
        ``name`` is the visible image's file name (with ``patterns``: their groups' text).
    """
    found: dict[str, dict[str, Path]] = {}
    faults: list[str] = []
    for key, folder in folders.items():
        try:
            found[key] = _by_name(key, Path(folder), patterns, faults)
        except (FileNotFoundError, NotADirectoryError) as error:
            faults.append(f'{error} (folder of {key})')
    if len(found) < len(folders):
        return [], faults

    if names is not None:
        wanted = [_without_suffix(name) for name in names]
    elif patterns:
        wanted = sorted(set(found['ir']) & set(found['vis']))
    else:
        wanted = sorted(set(found['ir']) | set(found['vis']))
    if not wanted:
        faults.append(f'{", ".join(map(str, folders.values()))}: no pairs of images in there')

    pairs = []
    for name in wanted:
        absent = [key for key in folders if name not in found[key]]
        if absent:
            present = [str(found[key][name]) for key in folders if name in found[key]]
            what = ' and '.join(f'{key} image in {folders[key]}' for key in absent)
            faults.append(
                f'{", ".join(present) or name}: no {what}; '
                'add the missing file under the same name, or remove this one'
            )
            continue
        pair = {f'{key}_path': str(found[key][name]) for key in folders}
        suffix = found['vis'][name].suffix
        pairs.append(dict(name=name.replace('/', '_') + suffix, **pair))
    return pairs, faults


def check_pair(pair: Mapping[str, str], check: str = 'quick') -> list[str]:
    """Faults of one pair's files.

    Args:
        pair: As :func:`find_pairs` returns them.
        check: ``'quick'``: every file is there, complete by its own header and end marks, and of
            its partner's size; below a millisecond per pair. ``'full'``: every file is decoded
            as well. ``'none'``: nothing.

    Returns:
        One sentence per fault; empty if there is none.
    """
    if check == 'none':
        return []
    sizes, faults = {}, []
    for key, read in _READERS.items():
        path = pair.get(f'{key}_path')
        if path is None:
            continue
        try:
            probe = infrared_size if key == 'ir' else probe_image
            sizes[path] = probe(path) if check == 'quick' else read(path).shape[:2]
        except ImageFileError as error:
            faults.append(str(error))
    if len(set(sizes.values())) > 1:
        listed = ', '.join(f'{path} is {width}x{height}' for path, (height, width) in sizes.items())
        faults.append(f'{listed}: register the images of a pair to the same pixels')
    return faults


def read_names(path: str | Path) -> list[str]:
    """Names from a text file, one per line; empty lines and those that begin with # are skipped.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It holds no name.
    """
    lines = [line.strip() for line in Path(path).read_text(encoding='utf-8').splitlines()]
    names = [line for line in lines if line and not line.startswith('#')]
    if not names:
        raise ValueError(f'{path}: holds no names; write one image name per line')
    return names


def _without_suffix(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


def _by_name(
    key: str, folder: Path, patterns: NamePatterns | None, faults: list[str]
) -> dict[str, Path]:
    found: dict[str, Path] = {}
    use = patterns.get(key) if patterns else None
    for path in list_images(folder, recursive=use is not None):
        name = path.stem if use is None else _matched_name(path.relative_to(folder), use)
        if name is None:
            continue
        if name in found:
            faults.append(
                f'{path}: {found[name]} stands for the same {key} image; remove one of them'
            )
        else:
            found[name] = path
    return found


def _matched_name(path: Path, patterns: Sequence) -> str | None:
    for pattern in patterns:
        match = pattern.fullmatch(path.with_suffix('').as_posix())
        if match:
            return ''.join(match.groups()).strip('/')
    return None

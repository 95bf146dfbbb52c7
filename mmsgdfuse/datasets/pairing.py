"""Which files belong together, and whether they can be used.

Faults are collected as sentences that name the file and the remedy, so that a user with a
hundred bad files hears of all of them at once.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path, PurePosixPath

from mmsgdfuse.datasets.layouts import NamePatterns
from mmsgdfuse.io.images import (
    IMAGE_SUFFIXES,
    ImageFileError,
    probe_image,
    read_infrared,
    read_labels,
    read_visible,
)
from mmsgdfuse.io.infrared import infrared_size
from mmsgdfuse.pairing import (
    PairingRule,
    complete_pairs,
    parse_pairing,
    plan_pairs,
    refuse_same_source,
)
from mmsgdfuse.pairing.listing import Listed, list_folder
from mmsgdfuse.pairing.rules import SAME_NAME, KeyRule, ManifestRule, patterns_rule
from mmsgdfuse.utils.errors import InputError

CHECKS = ('none', 'quick', 'full')

_READERS = dict(ir=read_infrared, vis=read_visible, labels=read_labels)


def find_pairs(
    folders: Mapping[str, str | Path],
    names: Sequence[str] | None = None,
    patterns: NamePatterns | None = None,
    pairing: str | None = None,
) -> tuple[list[dict[str, str]], list[str]]:
    """Match the files of several folders by name.

    Args:
        folders: Folder by key: ``ir`` and ``vis``, optionally ``labels``.
        names: Only these, in this order; with or without suffix. None: all, sorted.
        patterns: What partners have in common where it is not the name before the suffix,
            see :class:`mmsgdfuse.datasets.layouts.Layout`.
        pairing: The same as a text of :mod:`mmsgdfuse.pairing.rules`. Only for a list of pairs
            may ``ir`` and ``vis`` be no folders with files of their own. Default: the name.

    Returns:
        The complete pairs, each a dict of ``name`` and ``<key>_path``, and the faults found.
        ``name`` is the visible image's file name (with ``patterns`` or ``pairing``: what
        partners have in common).

    Raises:
        InputError: ``pairing`` is not valid, or does not go with ``patterns`` or ``labels``.
    """
    rule = _rule(folders, patterns, pairing)
    if isinstance(rule, ManifestRule):
        return _listed_pairs(folders, names, rule)
    files: dict[str, list[Listed]] = {}
    faults: list[str] = []
    for key, folder in folders.items():
        try:
            files[key] = list_folder(Path(folder), rule.recursive, faults)
        except (FileNotFoundError, NotADirectoryError) as error:
            faults.append(f'{error} (folder of {key})')
    if len(files) < len(folders):
        return [], faults
    try:
        refuse_same_source(folders['ir'], folders['vis'], rule)
    except InputError as error:
        return [], [*faults, str(error)]
    found = rule.collect(files, faults)

    if names is not None:
        wanted = [_key_of(name, found['vis']) for name in names]
    elif patterns:
        wanted = sorted(set(found['ir']) & set(found['vis']))
    else:
        wanted = sorted(set(found['ir']) | set(found['vis']))
    if not wanted:
        faults.append(f'{", ".join(map(str, folders.values()))}: no pairs of images in there')

    pairs = []
    for name, members in complete_pairs(found, wanted, folders, faults):
        paths = {f'{key}_path': str(members[key]) for key in folders}
        pairs.append(dict(name=name + members['vis'].suffix, **paths))
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
        except OSError as error:  # such as missing permissions
            faults.append(f'{path}: cannot be read ({error.strerror or error})')
    if len(set(sizes.values())) > 1:
        listed = ', '.join(f'{path} is {width}x{height}' for path, (height, width) in sizes.items())
        faults.append(f'{listed}: register the images of a pair to the same pixels')
    return faults


def read_names(path: str | Path) -> list[str]:
    """Names from a text file, one per line; empty lines and those that begin with # are skipped.

    Raises:
        FileNotFoundError: The file does not exist.
        InputError: It holds no name.
    """
    lines = [line.strip() for line in Path(path).read_text(encoding='utf-8').splitlines()]
    names = [line for line in lines if line and not line.startswith('#')]
    if not names:
        raise InputError(f'{path}: holds no names; write one image name per line')
    return names


def _rule(
    folders: Mapping[str, str | Path], patterns: NamePatterns | None, pairing: str | None
) -> PairingRule:
    if pairing is None:
        return patterns_rule(patterns) if patterns else SAME_NAME
    rule = parse_pairing(pairing)
    if patterns:
        raise InputError(f'pairing={pairing!r}: this layout has patterns of its own; leave it out')
    if 'labels' in folders and not isinstance(rule, KeyRule):
        raise InputError(f'pairing={pairing!r}: labels are found by names; give names or patterns')
    return rule


def _listed_pairs(
    folders: Mapping[str, str | Path], names: Sequence[str] | None, rule: ManifestRule
) -> tuple[list[dict[str, str]], list[str]]:
    plan = plan_pairs(folders['ir'], folders['vis'], rule)
    known = {pair.name: pair for pair in plan.pairs}
    faults = list(plan.faults)
    wanted = list(known) if names is None else [_key_of(name, known) for name in names]
    faults += [f'{name}: is no pair of {rule.text}' for name in wanted if name not in known]
    pairs = [known[name] for name in wanted if name in known]
    return [
        dict(name=p.name + p.vis.suffix, ir_path=str(p.ir), vis_path=str(p.vis)) for p in pairs
    ], faults


def _key_of(name: str, known: Container[str]) -> str:
    """The key that a name from a list means; it may have a suffix, or folders in front."""
    path = PurePosixPath(name)
    plain = str(path.with_suffix('')) if path.suffix.lower() in IMAGE_SUFFIXES else name
    return next((key for key in (name, plain) if key in known), _without_suffix(name))


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name

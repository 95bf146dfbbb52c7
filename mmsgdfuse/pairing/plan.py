"""The plan of pairs: which files will be used together, and what is wrong before anything runs."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmsgdfuse.pairing.listing import (
    Listed,
    glob_root,
    list_folder,
    list_glob,
    wildcard_regex,
    wildcard_texts,
)
from mmsgdfuse.pairing.manifest import read_manifest
from mmsgdfuse.pairing.rules import (
    SAME_NAME,
    Found,
    KeyRule,
    ManifestRule,
    PairingRule,
    parse_pairing,
)
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.image_io import IMAGE_SUFFIXES

_APART = "give another folder, or patterns that tell the cameras apart, such as '*_T:*_V'"
_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


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


@dataclass(frozen=True)
class PairPlan:
    """Which files will be used together.

    Attributes:
        pairs: Complete pairs, sorted by name or in the order of their list. No two have the same
            name, and none has one file for both cameras.
        faults: A sentence for each file that cannot be used, with the remedy.
    """

    pairs: tuple[ImagePair, ...]
    faults: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f'{pair.name}: {pair.ir} + {pair.vis}' for pair in self.pairs]
        lines += [f'fault: {fault}' for fault in self.faults]
        return '\n'.join([*lines, f'{len(self.pairs)} pair(s), {len(self.faults)} fault(s)'])


def plan_pairs(
    ir: str | os.PathLike | None = None,
    vis: str | os.PathLike | None = None,
    pairing: str | PairingRule | None = None,
) -> PairPlan:
    """The pairs that two arguments of a command line mean.

    Args:
        ir: An image file, a folder of images, or a glob ('night/*_ir.png', '**' for any depth).
        vis: The same kind for the visible images.
        pairing: What partners have in common, a text of :mod:`mmsgdfuse.pairing.rules`. Default
            None: for two folders ``name``. For two globs without wildcards in their folders, the
            name up to the suffix, or, where no names agree, what the wildcards stand for:
            'a_ir.png' of '*_ir.png' and 'a_vis.jpg' of '*_vis.jpg' are pair 'a'. For globs over
            folders, what the wildcards stand for; the name, if one of them has one folder only.
            With a list, both arguments may be left out; else they are the folders that its
            paths start from.

    Returns:
        The plan; it may hold no pair.

    Raises:
        FileNotFoundError: A folder or the list does not exist.
        InputError: One argument is a folder, say, and the other a file; both are the same; or
            ``pairing`` is not valid.
    """
    rule = parse_pairing(pairing) if isinstance(pairing, str) else pairing
    if isinstance(rule, ManifestRule):
        return _from_manifest(rule, ir, vis)
    if ir is None or vis is None:
        raise InputError('give the infrared and the visible images, or a list of pairs')
    ir, vis = os.fspath(ir), os.fspath(vis)
    kinds = _kind(ir), _kind(vis)
    if kinds[0] != kinds[1]:
        raise InputError(
            f'{ir} is a {kinds[0]} and {vis} a {kinds[1]}; '
            'give two images, two folders or two globs'
        )
    if kinds[0] == 'file':
        if same_file(ir, vis):
            raise InputError(f'{ir}: was given for both cameras; give the other image too')
        return PairPlan((ImagePair(Path(vis).stem, Path(ir), Path(vis)),), ())
    refuse_same_source(ir, vis, rule)
    faults: list[str] = []
    if kinds[0] == 'folder':
        rule = rule or SAME_NAME
        files = {
            camera: list_folder(Path(source), rule.recursive, faults)
            for camera, source in dict(ir=ir, vis=vis).items()
        }
    else:
        files = {camera: list_glob(s, faults) for camera, s in dict(ir=ir, vis=vis).items()}
        empty = [s for camera, s in dict(ir=ir, vis=vis).items() if not files[camera]]
        if empty:
            return PairPlan((), (*faults, *(f'{s}: matches no image' for s in empty)))
        rule = rule or _glob_rule(ir, vis, files)
    found = rule.collect(files, faults)
    where = dict(ir=ir, vis=vis)
    if kinds[0] == 'folder' and not any(found.values()):
        faults.append(f'{ir}, {vis}: no pairs of images in there')
    keys = sorted(set(found['ir']) | set(found['vis']))
    complete = complete_pairs(found, keys, where, faults)
    pairs = tuple(ImagePair(name, files['ir'], files['vis']) for name, files in complete)
    return PairPlan(pairs, tuple(faults))


def complete_pairs(
    found: Found, keys: Iterable[str], where: Mapping[str, str | Path], faults: list[str]
) -> list[tuple[str, dict[str, Path]]]:
    """The files of each key, where they can be used together.

    Args:
        found: Files by camera ('ir', 'vis', 'labels') and key.
        keys: The keys to use, in this order. One that occurs twice gives two entries.
        where: What each camera's files were looked for in, for messages.
        faults: Gets a sentence for each key that cannot be used: a file is missing, one file
            stands for both cameras, or the result would have the name of another pair's.

    Returns:
        Name of the result, without suffix, and file by camera.
    """
    complete: list[tuple[str, dict[str, Path]]] = []
    taken: dict[str, Path] = {}
    for key in keys:
        files = {camera: named[key] for camera, named in found.items() if key in named}
        absent = [f'{camera} image in {where[camera]}' for camera in found if camera not in files]
        if absent:
            present = ', '.join(map(str, files.values())) or key
            faults.append(
                f'{present}: no {" and ".join(absent)}; add the missing file, or remove this one'
            )
            continue
        # The key is empty where all wildcards stand for nothing.
        name = key.replace('/', '_') or files['vis'].stem
        fault = _pair_fault(name, files['ir'], files['vis'], taken)
        if fault:
            faults.append(fault)
        else:
            complete.append((name, files))
    return complete


def _pair_fault(name: str, ir: Path, vis: Path, taken: dict[str, Path]) -> str:
    """Why two files are no pair of this name, '' if they are; ``taken`` remembers the names."""
    if same_file(ir, vis):
        return f'{vis}: is the infrared and the visible image of {name}; {_APART}'
    other = taken.setdefault(name, vis)
    if other != vis:
        return f'{vis}: its result would be called {name}, as that of {other}; rename one of them'
    return ''


def refuse_same_source(ir: str | Path, vis: str | Path, rule: PairingRule | None = None) -> None:
    """Refuse one folder or glob for both cameras, unless the rule tells their files apart.

    Raises:
        InputError: Both are the same, so that every file would be its own partner.
    """
    separates = isinstance(rule, KeyRule) and rule.separates
    if not separates and (str(ir) == str(vis) or same_file(ir, vis)):
        raise InputError(
            f'{ir}: was given for both cameras, so each file would be its own partner; {_APART}'
        )


def same_file(first: str | Path, second: str | Path) -> bool:
    """Whether two paths lead to one file or folder that exists."""
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return False


def _kind(argument: str) -> str:
    if Path(argument).is_dir():
        return 'folder'
    # a file may have brackets in its name
    return 'glob' if not os.path.lexists(argument) and glob.has_magic(argument) else 'file'


def _glob_rule(ir: str, vis: str, files: Mapping[str, list[Listed]]) -> KeyRule:
    """The rule of two globs for which none was given."""
    globs = dict(ir=ir, vis=vis)
    by_text = KeyRule('the wildcards', {c: _glob_key(pattern) for c, pattern in globs.items()})
    deep = [glob.has_magic(str(Path(pattern).parent)) for pattern in globs.values()]
    rules = [by_text, SAME_NAME] if any(deep) else [SAME_NAME, by_text]
    # The same name in two trees says nothing: it may be that of another scene.
    if not all(deep):
        for rule in rules:
            found: Found = rule.collect(files, [])
            if set(found['ir']) & set(found['vis']):
                return rule
    return by_text


def _glob_key(pattern: str) -> Callable[[str], str]:
    root = glob_root(pattern)
    relative = Path(pattern).relative_to(root).as_posix()
    suffix = PurePosixPath(relative).suffix
    # Suffixes do not tell partners; those of a pair may differ.
    if suffix.lower() in IMAGE_SUFFIXES or glob.has_magic(suffix):
        relative = relative[: -len(suffix)]
    regex = wildcard_regex(relative)

    def key(listed: str) -> str:
        found = wildcard_texts(regex, listed)
        # A file system that ignores case finds more than the pattern says.
        return PurePosixPath(listed).name if found is None else found

    return key


def _from_manifest(
    rule: ManifestRule, ir: str | os.PathLike | None, vis: str | os.PathLike | None
) -> PairPlan:
    manifest = Path(rule.text)
    roots = [manifest.parent if root is None else Path(root) for root in (ir, vis)]
    for root in roots:
        if not root.is_dir():
            raise InputError(f'{root}: is no folder; the paths in {manifest} start from folders')
    pairs: dict[str, ImagePair] = {}
    faults: list[str] = []
    taken: dict[str, Path] = {}
    for entry in read_manifest(manifest):
        fault = ''
        files = [root / written for root, written in zip(roots, (entry.ir, entry.vis))]
        name = _without_image_suffix(entry.name) or files[1].stem
        for path in files:
            if _CONTROL.search(str(path)) or not os.path.isfile(path):
                fault = f'{path!s}: no such file; mend the path'
        if not is_file_name(name):
            fault = (
                f'the name {name!r} must be that of a file in the output folder: without slashes, '
                'control characters and a point in front, 200 bytes at most'
            )
        if name in pairs and not fault:
            fault = f'the name {name} is that of an earlier line; give another'
        fault = fault or _pair_fault(name, files[0], files[1], taken)
        if fault:
            faults.append(f'{entry.place}: {fault}')
        else:
            pairs[name] = ImagePair(name, *files)
    return PairPlan(tuple(pairs.values()), tuple(faults))


def is_file_name(name: str) -> bool:
    """Whether a name from outside may become one of a file in a folder of ours, and no other."""
    return bool(
        name
        and not name.startswith('.')
        and not set(name) & set('/\\:')
        and not _CONTROL.search(name)
        and len(os.fsencode(name)) <= 200
    )


def _without_image_suffix(name: str) -> str:
    path = PurePosixPath(name)
    is_image = '/' not in name and path.suffix.lower() in IMAGE_SUFFIXES
    return path.stem if is_image else name

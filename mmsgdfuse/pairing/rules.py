"""What two files have in common that makes them a pair: one small language for all who ask.

=========================== ======================================================================
text                        partners are
=========================== ======================================================================
``name``                    files of the same name up to the suffix, in two folders (the default)
``path``                    files of the same path in two trees of folders
``*_T:*_V``                 files whose wildcards stand for the same text; infrared pattern first.
                            With ``/``, of paths in trees: ``**/lwir/*:**/visible/*``
``time:0.05``               files whose names tell the nearest times, at most so many seconds apart
``pairs.csv``, ``*.jsonl``  those that the file lists
=========================== ======================================================================
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmsgdfuse.pairing.listing import Listed, wildcard_regex, wildcard_texts
from mmsgdfuse.pairing.manifest import MANIFEST_SUFFIXES
from mmsgdfuse.pairing.timestamps import parse_timestamp
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.image_io import IMAGE_SUFFIXES

PAIRING_HELP = (
    "what partners have in common: 'name', 'path' (trees), two patterns such as '*_T:*_V' "
    "(infrared first), 'time:SECONDS' (nearest times in the names), or a list (*.csv, *.jsonl)"
)

Files = Mapping[str, Sequence[Listed]]
Found = dict[str, dict[str, Path]]


@dataclass(frozen=True)
class KeyRule:
    """Partners have the same key, which follows from where a file lies and what it is called.

    Attributes:
        text: The rule as it was written.
        keys: For each camera ('ir', 'vis'; others use 'vis'), the key of a path relative to the
            listed folder, without suffix; None for a file that is not meant.
        recursive: Whether files in subfolders count.
        separates: Whether it tells infrared from visible files in one folder.
    """

    text: str
    keys: Mapping[str, Callable[[str], str | None]]
    recursive: bool = False
    separates: bool = False

    def collect(self, files: Files, faults: list[str]) -> Found:
        """Files by camera and key; a key that occurs twice is a fault."""
        found: Found = {}
        for camera, listed in files.items():
            key_of = self.keys.get(camera, self.keys['vis'])
            found[camera] = {}
            for file in listed:
                key = key_of(file.relative)
                if key is None:
                    continue
                other = found[camera].setdefault(key, file.path)
                if other != file.path:
                    faults.append(
                        f'{file.path}: {other} stands for the same {camera} image; '
                        'remove one of them'
                    )
        return found


@dataclass(frozen=True)
class TimeRule:
    """Partners are those whose names tell the nearest times, each of them the other's nearest.

    Attributes:
        text: The rule as it was written.
        tolerance: Seconds that may lie between partners.
    """

    text: str
    tolerance: float
    recursive: bool = False
    separates: bool = False

    def collect(self, files: Files, faults: list[str]) -> Found:
        """Files by camera and key, the key being the path of the visible file."""
        if set(files) != {'ir', 'vis'}:
            raise InputError(f'{self.text}: times pair infrared and visible files, no labels')
        times = {camera: _by_time(listed, faults) for camera, listed in files.items()}
        limit = round(self.tolerance * 1e9)
        nearest = {
            camera: {time: _nearest(sorted(times[other]), time, limit) for time in times[camera]}
            for camera, other in (('ir', 'vis'), ('vis', 'ir'))
        }
        found: Found = dict(ir={}, vis={})
        for camera, listed in times.items():
            for time, file in listed.items():
                partners = nearest[camera][time]
                other = 'vis' if camera == 'ir' else 'ir'
                mutual = [p for p in partners if nearest[other][p] == [time]]
                if len(partners) > 1:
                    faults.append(
                        f'{file.path}: two files of the other camera are equally near in time; '
                        'pair them by a pattern or a list'
                    )
                key = file.relative
                if len(partners) == 1 and mutual:
                    key = (
                        listed[time].relative
                        if camera == 'vis'
                        else times['vis'][mutual[0]].relative
                    )
                found[camera][key] = file.path
        return found


@dataclass(frozen=True)
class ManifestRule:
    """Partners are those that a file lists.

    Attributes:
        text: Path of the file.
    """

    text: str


PairingRule = KeyRule | TimeRule | ManifestRule


def parse_pairing(text: str) -> PairingRule:
    """The rule that a text of the pairing language stands for.

    Args:
        text: See the table at the head of this module.

    Raises:
        InputError: It is no such text.
    """
    if Path(text).suffix.lower() in MANIFEST_SUFFIXES:
        return ManifestRule(text)
    if text == 'name':
        return SAME_NAME
    if text == 'path':
        return KeyRule(text, dict(ir=str, vis=str), recursive=True)
    first, separator, second = text.partition(':')
    if first == 'time':
        return TimeRule(text, _tolerance(text, second))
    if not separator or not first or not second:
        raise InputError(f'{text!r} is no way to pair files: give {PAIRING_HELP}')
    regexes = [wildcard_regex(_without_suffix(pattern)) for pattern in (first, second)]
    counts = [regex.groups for regex in regexes]
    if counts[0] != counts[1] or not counts[0]:
        raise InputError(
            f'{text!r}: the patterns have {counts[0]} and {counts[1]} wildcards; partners have '
            'the same text in their place, so give both the same number, one at least'
        )
    recursive = '/' in text
    keys = {camera: _wildcard_key(r, recursive) for camera, r in zip(('ir', 'vis'), regexes)}
    return KeyRule(text, keys, recursive, separates=first != second)


def partner_path(path: str | Path, own: str, other: str) -> Path:
    """Where the partner of one file lies, by the patterns of both cameras.

    Args:
        path: The file.
        own: Pattern of its camera without suffix, such as '*_RGB' or 'visible/*'. The last parts
            of the path must match it.
        other: Pattern of the other camera, with as many ``*``; they get the same text.

    Returns:
        The file that is there with any suffix of an image; where there is none, the path with
        the file's own suffix.

    Raises:
        InputError: The path does not match, or the patterns have other wildcards than ``*``, or
            not the same number of them.
    """
    path = Path(path)
    count = own.count('*')
    if (
        not count
        or count != other.count('*')
        or set(own + other) & set('?[')
        or '**' in own + other
    ):
        raise InputError(f'{own!r} and {other!r} must have the same number of *, one at least')
    depth = own.count('/') + 1
    tail = PurePosixPath(path.with_suffix('').as_posix()).parts[-depth:]
    match = wildcard_regex(own).fullmatch('/'.join(tail))
    if match is None:
        raise InputError(f'{path}: its last parts do not match {own!r}; mend the pattern')
    texts = iter(match.groups())
    filled = ''.join(next(texts) if part == '*' else part for part in re.split(r'(\*)', other))
    stem = path.parents[depth - 1] / filled
    suffixes = [path.suffix, *IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES)]
    candidates = [stem.with_name(stem.name + suffix) for suffix in suffixes]
    return next((file for file in candidates if file.is_file()), candidates[0])


def patterns_rule(patterns: Mapping[str, Sequence[re.Pattern[str]]]) -> KeyRule:
    """The rule of a layout's patterns, see :class:`mmsgdfuse.datasets.layouts.Layout`."""

    def key_of(camera: str) -> Callable[[str], str | None]:
        if camera not in patterns:
            return _file_name
        return lambda relative: _matched(relative, patterns[camera])

    keys = {camera: key_of(camera) for camera in ('ir', 'vis')}
    return KeyRule('the layout', keys, recursive=True, separates=True)


def _file_name(relative: str) -> str:
    return PurePosixPath(relative).name


def _matched(relative: str, patterns: Sequence[re.Pattern[str]]) -> str | None:
    for pattern in patterns:
        match = pattern.fullmatch(relative)
        if match:
            return ''.join(match.groups()).strip('/')
    return None


def _wildcard_key(regex: re.Pattern[str], recursive: bool) -> Callable[[str], str | None]:
    if recursive:
        return lambda relative: wildcard_texts(regex, relative)
    return lambda relative: wildcard_texts(regex, _file_name(relative))


def _without_suffix(pattern: str) -> str:
    path = PurePosixPath(pattern)
    return str(path.with_suffix('')) if path.suffix.lower() in IMAGE_SUFFIXES else pattern


def _tolerance(text: str, seconds: str) -> float:
    try:
        tolerance = float(seconds)
    except ValueError:
        tolerance = math.nan
    if not 0 <= tolerance < math.inf:
        raise InputError(f"{text!r}: give the seconds between partners, such as 'time:0.05'")
    return tolerance


def _by_time(listed: Sequence[Listed], faults: list[str]) -> dict[int, Listed]:
    times: dict[int, Listed] = {}
    for file in listed:
        time = parse_timestamp(_file_name(file.relative))
        if time is None:
            faults.append(f'{file.path}: its name tells no time; pair it by a pattern or a list')
        elif time in times:
            faults.append(
                f'{file.path}: its name tells the same time as {times[time].path}; '
                'pair them by a pattern or a list'
            )
        else:
            times[time] = file
    return times


def _nearest(times: Sequence[int], time: int, limit: int) -> list[int]:
    """Those of the sorted times that are nearest to one, and not further than the limit."""
    index = bisect_left(times, time)
    around = times[max(0, index - 1) : index + 1]
    distance = min((abs(other - time) for other in around), default=limit + 1)
    return [o for o in around if abs(o - time) == distance] if distance <= limit else []


SAME_NAME = KeyRule('name', dict(ir=_file_name, vis=_file_name))

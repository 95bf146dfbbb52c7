"""Lists of pairs: CSV files, and text files with a JSON object per line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmsgdfuse.utils.errors import InputError

MANIFEST_SUFFIXES = ('.csv', '.jsonl', '.ndjson')
_COLUMNS = ('ir', 'vis')


class Entry(NamedTuple):
    """One line of a manifest.

    Attributes:
        place: File and line, for messages.
        ir: Path of the infrared image as written.
        vis: Path of the visible image as written.
        name: Name of the result as written; '' if there is none.
    """

    place: str
    ir: str
    vis: str
    name: str


def read_manifest(path: str | Path) -> list[Entry]:
    """The pairs that a manifest lists.

    Args:
        path: ``*.csv`` with a head that names the columns ``ir``, ``vis`` and optionally
            ``name``; or ``*.jsonl`` with an object of these keys per line. UTF-8.

    Returns:
        One entry per line; paths and names are not checked.

    Raises:
        FileNotFoundError: The file does not exist.
        InputError: It is not of this form, or lists nothing. The message names the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: is not UTF-8 text ({error.reason}); save it as UTF-8') from error
    rows = _csv_rows(path, text) if path.suffix.lower() == '.csv' else _json_rows(path, text)
    entries = [_entry(path, number, row) for number, row in rows]
    if not entries:
        raise InputError(f'{path}: lists no pair; write one line with ir and vis per pair')
    return entries


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=''), strict=True)
    try:
        head = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = head
        missing = [name for name in _COLUMNS if name not in head]
        if missing:
            raise InputError(
                f'{path}: has no column {" and no column ".join(missing)}; its first line must be '
                "'ir,vis' or 'ir,vis,name'"
            )
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f'{path}:{reader.line_num}: is no CSV ({error})') from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split('\n'), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f'{path}:{number}: is no JSON ({error})') from error
        if not isinstance(row, dict):
            raise InputError(f'{path}:{number}: expected an object with ir and vis, found {row!r}')
        yield number, row


def _entry(path: Path, number: int, row: dict[str, Any]) -> Entry:
    values = {}
    for key in (*_COLUMNS, 'name'):
        value = row.get(key)
        if value is None and key == 'name':
            value = ''
        if not isinstance(value, str) or (not value.strip() and key != 'name'):
            raise InputError(f'{path}:{number}: {key} must be a path, found {value!r}')
        values[key] = value.strip()
    return Entry(f'{path}:{number}', **values)

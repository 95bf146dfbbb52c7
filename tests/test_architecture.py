"""Imports between the rooms of the package go one way, as docs/architecture.md says."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / 'mmsgdfuse'
# from the floor to the roof; rooms of one line know nothing of each other
FLOORS = [
    {'version', 'registry'},
    {'utils'},
    {'structures', 'io', 'pairing'},
    {'registration', 'masks', 'models'},
    {'datasets'},
    {'evaluation'},
    {'visualization', 'engine'},
    {'runtime'},
    {'apis'},
    {'cli'},
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
# Each entry is a debt with its reason; none may be added without one.
KNOWN = {
    ('utils', 'io'),  # the deprecated names of io, kept for one release
    ('runtime', 'apis'),  # export reads a Recipe
}


def imports() -> dict[tuple[str, str], str]:
    """Room and imported room, with a file that does it; imports for type checkers aside."""
    found = {}
    for path in PACKAGE.rglob('*.py'):
        parts = path.relative_to(PACKAGE).with_suffix('').parts
        if len(parts) == 1 and parts[0] in ('__init__', '__main__'):
            continue
        tree = ast.parse(path.read_text(encoding='utf-8'))
        typing_only = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if id(node) in typing_only:
                continue
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                if name.startswith('mmsgdfuse.'):
                    found[parts[0], name.split('.')[1]] = f'{path.relative_to(PACKAGE)}: {name}'
    return found


def test_each_room_has_a_floor():
    rooms = {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert rooms <= LEVEL.keys()


def test_nothing_imports_upwards():
    upwards = {
        pair: where
        for pair, where in imports().items()
        if pair[0] != pair[1] and pair not in KNOWN and LEVEL.get(pair[1], 0) >= LEVEL[pair[0]]
    }
    assert not upwards


def test_known_debts_are_there():
    assert imports().keys() >= KNOWN

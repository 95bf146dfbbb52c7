"""Configs that a run left behind, read as text: nothing in them is executed or imported."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmsgdfuse.utils.errors import InputError


def read_dumped_config(path: str | os.PathLike) -> Config:
    """A config as mmengine's Runner writes it beside its results.

    Such a file holds assignments of plain values. What is no plain value, as in a config written
    by hand, becomes the text that stands there.

    Args:
        path: Python file, UTF-8.

    Returns:
        The config; ``text`` and ``filename`` are the file's.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not UTF-8, not Python, or nested too deeply.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
        return Config(parse_config(text), cfg_text=text, filename=os.fspath(path))
    # the last for names that mmengine's Config keeps for itself
    except (SyntaxError, ValueError, RecursionError, MemoryError, KeyError) as error:
        raise InputError(f'{path}: is no configuration ({error}); remove the file') from error


def parse_config(text: str) -> dict[str, Any]:
    r"""The plain values that a config's top level assigns to names, by name.

    Args:
        text: Python source; ``dict(...)`` is a dict, other calls are not made.

    Raises:
        SyntaxError: It is not Python.

    Examples:
        >>> parse_config("a = dict(b=[1, -2.5], c={'d e': None})")
        {'a': {'b': [1, -2.5], 'c': {'d e': None}}}
        >>> parse_config("import os\nb = os.system('true')")
        {'b': "os.system('true')"}
    """
    values = {}
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name) and not target.id.startswith('__'):
                    values[target.id] = _value(statement.value)
    return values


def _value(node: ast.expr) -> Any:
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_value(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_key(key): _value(value) for key, value in zip(node.keys, node.values) if key}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        if not node.args and all(keyword.arg for keyword in node.keywords):
            return {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}
        # what mmengine writes for keys that are no identifiers: dict({'a.b': ...})
        if len(node.args) == 1 and isinstance(node.args[0], ast.Dict) and not node.keywords:
            return _value(node.args[0])
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return float(node.id)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return ast.unparse(node)


def _key(node: ast.expr) -> Any:
    key = _value(node)
    return key if isinstance(key, (str, int, float, bool)) else ast.unparse(node)

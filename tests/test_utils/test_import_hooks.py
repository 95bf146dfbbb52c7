"""Actions that run when another module is imported."""

from __future__ import annotations

import importlib
import sys

import pytest

from mmsgdfuse.utils.import_hooks import after_import


@pytest.fixture
def module(tmp_path, monkeypatch) -> str:
    """The name of a module that can be imported and is not yet."""
    name = 'imported_later'
    (tmp_path / f'{name}.py').write_text('value = 1')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    importlib.invalidate_caches()
    yield name
    sys.modules.pop(name, None)


def test_runs_after_the_module_is_executed(module):
    seen = []
    after_import(module, lambda found: seen.append(found.value))
    assert seen == []
    importlib.import_module(module)
    assert seen == [1]


def test_runs_at_once_on_an_imported_module(module):
    found = importlib.import_module(module)
    seen = []
    after_import(module, seen.append)
    assert seen == [found]


def test_runs_every_action_once(module):
    first, second = [], []
    append = first.append
    after_import(module, append)
    after_import(module, append)
    after_import(module, second.append)
    importlib.import_module(module)
    assert len(first) == len(second) == 1


def test_leaves_a_missing_module_missing(module):
    after_import('imported_never', print)
    with pytest.raises(ModuleNotFoundError, match='imported_never'):
        importlib.import_module('imported_never')

"""A short slice of the fuzz of configs: every refusal names the key, and nothing crashes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope='module')
def tool():
    path = Path(__file__).with_name('fuzz_configs.py')
    spec = importlib.util.spec_from_file_location('fuzz_configs', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_slice(tool, tmp_path):
    results = tool.fuzz(20, seed=7, root=tmp_path)
    bad = [result for result in results if result[2] in ('unnamed', 'crash')]
    assert len(results) == 20
    assert bad == []
    assert sum(outcome == 'refused' for _, _, outcome, _ in results) >= 10


def test_the_table_counts_everything(tool):
    table = tool.table([('none', 'a', 'crash', ''), ('none', 'b', 'refused', '')])
    assert '| none | 1 | 0 | 0 | 1 |' in table
    assert '| all 2 | 1 | 0 | 0 | 1 |' in table

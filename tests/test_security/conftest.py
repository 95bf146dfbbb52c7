"""What hostile samples have in common: a marker that they would leave if they could."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def marker(tmp_path) -> Iterator[Path]:
    """What a sample that got its way leaves; looked for again when the test is over."""
    path = tmp_path / 'marker'
    yield path
    assert not path.exists(), 'the hostile sample ran'


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.fixture
def payload(marker) -> Payload:
    """An object that leaves the marker when it is unpickled."""
    return Payload(marker)


@pytest.fixture
def trap(tmp_path, marker, monkeypatch) -> str:
    """Name of an importable module that leaves the marker when it is imported."""
    folder = tmp_path / 'importable'
    folder.mkdir()
    name = f'trap_{uuid.uuid4().hex}'  # a module is executed once in a process
    (folder / f'{name}.py').write_text(
        f'import os\nos.mkdir({str(marker)!r})\nclass Sprung:\n    pass\n'
    )
    monkeypatch.syspath_prepend(folder)
    return name


@pytest.fixture
def with_header(tmp_path, tiny_weights) -> Callable[..., Path]:
    """Tiny weights whose metadata was changed in place by a function, or replaced by a text."""

    def with_header(change: Callable[[dict], object] | str) -> Path:
        with safe_open(tiny_weights, framework='pt') as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = file.metadata()['mmsgdfuse']
        if isinstance(change, str):
            text = change
        else:
            metadata = json.loads(text)
            change(metadata)
            text = json.dumps(metadata)
        path = tmp_path / 'hostile.safetensors'
        save_file(state, path, {'mmsgdfuse': text})
        return path

    return with_header


@pytest.fixture
def tool(monkeypatch) -> Callable[[str], ModuleType]:
    """A file below tools/ as a module."""

    def tool(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(
            f'hostile_{Path(name).stem}', REPOSITORY / 'tools' / f'{name}.py'
        )
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look it up
        spec.loader.exec_module(module)
        return module

    return tool

"""Importing the package is cheap and pulls in nothing that only some users need."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

# transformers is not among them: mmengine itself imports it where it is installed
OPTIONAL = {'diffusers', 'mmagic', 'mmdet', 'mmseg', 'segment_anything', 'tensorboard'}


@cache
def imported(code: str) -> tuple[float, set[str]]:
    """CPU seconds that the code takes after torch is imported, and all top-level modules then."""
    program = (
        'import json, sys, time, torch\n'
        'start = time.process_time()\n'
        f'{code}\n'
        'seconds = time.process_time() - start\n'
        'print(json.dumps([seconds, sorted({name.split(".")[0] for name in sys.modules})]))'
    )
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', program],
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    seconds, modules = json.loads(result.stdout.splitlines()[-1])
    return seconds, set(modules)


def test_the_package_takes_less_than_three_seconds():
    assert imported('import mmsgdfuse')[0] < 3


def test_the_package_imports_registries_only():
    _, modules = imported('import mmsgdfuse')
    assert modules & {*OPTIONAL, 'cv2', 'matplotlib', 'mmcv', 'scipy'} == set()


def test_registering_everything_needs_no_optional_package():
    _, modules = imported(
        'from mmsgdfuse.utils.setup_env import register_all_modules; register_all_modules()'
    )
    assert modules & OPTIONAL == set()


def test_the_api_can_be_imported_from_the_package():
    import mmsgdfuse
    from mmsgdfuse import apis

    assert mmsgdfuse.FusionInferencer is apis.FusionInferencer
    assert mmsgdfuse.fuse is apis.fuse
    with pytest.raises(AttributeError, match='no attribute'):
        mmsgdfuse.wibble  # noqa: B018

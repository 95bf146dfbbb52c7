"""Importing the package is cheap and pulls in nothing that only some users need."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

# transformers is not among them: mmengine itself imports it where it is installed
OPTIONAL = {'diffusers', 'mmagic', 'mmdet', 'mmseg', 'segment_anything', 'tensorboard'}


# Put before a program, it runs where none of the stack is installed
WITHOUT_TORCH = """
import sys
class Missing:
    names = {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'diffusers'}
    def find_spec(self, fullname, path=None, target=None):
        if fullname.split('.')[0] in self.names:
            raise ModuleNotFoundError(f'No module named {fullname!r}', name=fullname)
sys.meta_path.insert(0, Missing())
"""


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
    _, modules = imported('import mmengine, mmsgdfuse')
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


def without_torch(code: str) -> str:
    """What a program prints, or the last line of its error, where the stack is missing."""
    result = subprocess.run(
        [sys.executable, '-W', 'error', '-c', WITHOUT_TORCH + code],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return (result.stdout or result.stderr).strip().splitlines()[-1]


LIGHT = (
    'mmsgdfuse.evaluation',
    'mmsgdfuse.evaluation.comparison',
    'mmsgdfuse.evaluation.functional',
    'mmsgdfuse.evaluation.outputs',
    'mmsgdfuse.evaluation.restoration',
    'mmsgdfuse.evaluation.scoring',
    'mmsgdfuse.apis',
    'mmsgdfuse.io',
    'mmsgdfuse.masks',
    'mmsgdfuse.pairing',
    'mmsgdfuse.registration',
)


@pytest.mark.parametrize('module', LIGHT)
def test_the_light_core_needs_no_torch(module):
    assert without_torch(f'import {module}; print("fine")') == 'fine'


def imports_of(path: str) -> set[str]:
    """Top-level names of the packages that a module imports whenever it is imported."""
    found = set()
    for node in ast.parse(Path(path).read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split('.')[0])
    return found


def test_the_light_core_requires_what_it_imports(repository):
    code = (
        f'import {", ".join(LIGHT)}\n'
        'print(*[m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "mmsgdfuse"])'
    )
    used = set().union(*map(imports_of, without_torch(code).split()))
    used -= {*sys.stdlib_module_names, 'mmsgdfuse'}
    lines = (repository / 'requirements' / 'runtime.txt').read_text().splitlines()
    named = {re.match(r'[\w.-]+', line)[0] for line in lines if line and line[0] != '#'}
    modules = {'opencv-python-headless': 'cv2', 'pillow': 'PIL', 'pyyaml': 'yaml'}
    # jinja2 requires markupsafe
    allowed = {modules.get(name, name) for name in named} | {'markupsafe'}
    assert {'numpy', 'cv2', 'yaml'} <= used <= allowed


def test_the_evaluation_gives_its_functions_without_torch():
    from mmsgdfuse import evaluation

    names = [name for name in evaluation.__all__ if not name.endswith('Metric')]
    code = f'from mmsgdfuse.evaluation import {", ".join(names)}; print("fine")'
    assert without_torch(code) == 'fine'


def test_the_light_core_imports_no_torch_where_it_is_installed():
    code = f'import {", ".join(LIGHT)}; print(sorted({{"torch", "mmengine"}} & sys.modules.keys()))'
    program = [sys.executable, '-c', f'import sys; {code}']
    result = subprocess.run(program, capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout == '[]\n'


def test_the_evaluation_is_imported_in_half_a_second():
    code = 'import time; start = time.process_time(); import mmsgdfuse.evaluation.functional;'
    code += 'print(time.process_time() - start)'
    # the best of three: the file cache is cold at first, and other processes may disturb
    assert min(float(without_torch(code)) for _ in range(3)) < 0.5


@pytest.mark.parametrize(
    'code',
    [
        'from mmsgdfuse.apis import Recipe',
        'from mmsgdfuse.apis import FusionInferencer; FusionInferencer(backend="torch")',
        'import mmsgdfuse.models',
        'import mmsgdfuse.engine',
        'import mmsgdfuse.datasets',
        'from mmsgdfuse.masks import SAMMaskGenerator',
        'import mmsgdfuse.visualization',
        'from mmsgdfuse.evaluation import FusionMetric',
    ],
)
def test_the_rest_says_what_to_install(code):
    message = without_torch(code)
    assert message.startswith('mmsgdfuse.utils.errors.MissingPackageError: ')
    for words in ('needs torch, mmengine', "'mmsgdfuse[openmmlab]'", "'mmsgdfuse[onedl]'"):
        assert words in message


def test_configs_join_in_whatever_is_imported_first():
    for order in (
        'import mmsgdfuse\nfrom mmengine.registry import MODELS',
        'from mmengine.registry import MODELS\nimport mmsgdfuse',
        (
            'from mmengine.registry import MODELS; '
            'from mmengine.utils import import_modules_from_strings; '
            'import_modules_from_strings(["mmsgdfuse"])'
        ),
    ):
        code = (
            f'{order}\nimport mmengine.runner.checkpoint as checkpoint\n'
            'assert checkpoint.CheckpointLoader.load_checkpoint.guarded\n'
            'print(MODELS.get("mmsgdfuse.SGDFuse").__module__)'
        )
        program = [sys.executable, '-W', 'ignore', '-c', code]
        result = subprocess.run(program, capture_output=True, text=True, timeout=120)
        assert result.stdout == 'mmsgdfuse.models.fusers.sgdfuse\n', result.stderr

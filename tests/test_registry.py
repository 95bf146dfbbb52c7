"""The plugin path: configs of other OpenMMLab packages build every class of this one."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from importlib.util import find_spec

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmsgdfuse import registry
from mmsgdfuse.utils.setup_env import register_all_modules

SCOPES = ('mmengine', 'mmdet', 'mmseg')

# What a class cannot be built without; every other class builds from its defaults. Values that
# depend on the test's folder are functions of it.
OPTIMIZER = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
MINIMAL = dict(
    MMDetMaskGenerator=dict(config=dict(type='RetinaNet')),
    MMSegMaskGenerator=dict(config=dict(type='EncoderDecoder')),
    TransformersSAMMaskGenerator=dict(model='facebook/sam-vit-base'),
    RegisterPair=dict(rig='auto'),
    BFloat16OptimWrapper=dict(optimizer=OPTIMIZER),
    FusedDetector=dict(
        model=dict(
            type='YOLOX',
            backbone=dict(type='CSPDarknet', deepen_factor=0.33, widen_factor=0.125),
            neck=dict(type='YOLOXPAFPN', in_channels=[32, 64, 128], out_channels=32),
            bbox_head=dict(type='YOLOXHead', num_classes=1, in_channels=32),
        )
    ),
    FusedSegmentor=dict(
        model=dict(
            type='EncoderDecoder',
            backbone=dict(type='ResNet', depth=18),
            decode_head=dict(type='FCNHead', in_channels=512, channels=8, num_classes=2),
        )
    ),
    FusionVisualizer=dict(name='registry test'),
    HFAH=dict(in_channels=(8, 16)),
    IVIFDataset=lambda folder: dict(data_root=str(folder)),
    LastLevelHead=dict(in_channels=(8, 16)),
    LoadMasks=lambda folder: dict(ir=str(folder / 'ir')),
    NoiseSchedule=dict(betas=(0.1, 0.2)),
    ShardedOptimWrapper=dict(optimizer=OPTIMIZER),
    ShardedStrategy=lambda folder: dict(work_dir=str(folder)),
)

# Classes that build only where another package is installed
NEEDS = dict(FusedDetector='mmdet', FusedSegmentor='mmseg', MMagicMetric='mmagic')


def own_registries() -> dict[str, Registry]:
    return {
        name: value
        for name, value in vars(registry).items()
        if isinstance(value, Registry) and value.scope == registry.SCOPE
    }


def registered() -> list[tuple[str, Registry, str]]:
    """Name and registry to build from (the root, as other packages do), and the type's name."""
    register_all_modules(init_default_scope=False)
    found = []
    for name, own in own_registries().items():
        for key in own.module_dict:
            if own.parent is None:  # a root of our own, reached from our classes alone
                found.append((name, own, key))
            else:
                found.append((name, own.parent, f'{registry.SCOPE}.{key}'))
    return found


@pytest.fixture
def pairs(tmp_path, scene):
    """A folder with one image pair."""
    for name, image in dict(ir=scene.ir, vi=cv2.cvtColor(scene.vis, cv2.COLOR_RGB2BGR)).items():
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / '0.png'), image)
    return tmp_path


@pytest.mark.parametrize('scope', SCOPES)
def test_another_package_builds_every_class(scope, pairs):
    pytest.importorskip(scope)
    text = f"default_scope = {scope!r}\ncustom_imports = dict(imports=['mmsgdfuse'])"
    (pairs / 'config.py').write_text(text)
    cfg = Config.fromfile(pairs / 'config.py')

    failures = []
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for name, root, type_name in registered():
            key = type_name.rsplit('.', 1)[-1]
            if key in NEEDS and find_spec(NEEDS[key]) is None:
                continue
            try:
                found = root.get(type_name)
                if inspect.isclass(found):
                    kwargs = MINIMAL.get(key, {})
                    kwargs = kwargs(pairs) if callable(kwargs) else kwargs
                    assert isinstance(root.build(dict(type=type_name, **kwargs)), found)
                else:
                    assert callable(found)
            except Exception as error:  # noqa: BLE001  (all failures are reported together)
                failures.append(f'{name} {key}: {type(error).__name__}: {error}')
    assert not failures, 'not built; MINIMAL says what has no default:\n' + '\n'.join(failures)


@pytest.mark.parametrize('scope', [*SCOPES, 'mmagic'])
def test_roots_of_our_own_build_in_silence_under_another_scope(scope, monkeypatch):
    """mmengine warns where it finds no part of the default scope's package in a registry."""
    pytest.importorskip(scope)
    warned = []
    monkeypatch.setattr('mmengine.logging.print_log', lambda text, *_, **kw: warned.append(kw))
    with DefaultScope.overwrite_default_scope(scope):
        for _, root, name in registered():
            if (
                root.parent is None
                and root.scope == registry.SCOPE
                and inspect.isclass(root.get(name))
            ):
                root.build(dict(type=name, **MINIMAL.get(name, {})))
        assert DefaultScope.get_current_instance().scope_name == scope
    assert not [kw for kw in warned if kw.get('level', 0) >= logging.WARNING]


def test_nothing_registered_is_missed():
    assert {name for name, _, _ in registered()} >= {
        'MODELS', 'DATASETS', 'TRANSFORMS', 'METRICS', 'HOOKS', 'VISUALIZERS',
        'NOISE_SCHEDULES', 'DIFFUSION_SCHEDULERS', 'MASK_GENERATORS', 'MASK_COMPOSERS',
    }  # fmt: skip


def test_minimal_arguments_are_of_registered_classes():
    names = {type_name.rsplit('.', 1)[-1] for _, _, type_name in registered()}
    assert MINIMAL.keys() <= names


def test_every_argument_is_documented():
    """Each argument of a registered class is described in its docstring or a base class's."""
    missing = []
    for _, root, type_name in registered():
        found = root.get(type_name)
        if not inspect.isclass(found):
            continue
        text = '\n'.join(base.__doc__ or '' for base in found.__mro__[:-1])
        for argument in list(inspect.signature(found.__init__).parameters.values())[1:]:
            if argument.kind in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL):
                continue
            if f'{argument.name}:' not in text and f'{argument.name} (' not in text:
                missing.append(f'{found.__name__}({argument.name})')
    assert not missing, f'arguments without a description: {missing}'


@pytest.mark.parametrize('name', list(own_registries()))
def test_scope_and_parent(name):
    own = own_registries()[name]
    if own.parent is not None:
        assert own.parent.scope == 'mmengine'
        assert own.parent.children[registry.SCOPE] is own


def test_unknown_type_names_the_registry():
    with pytest.raises(KeyError, match='NoSuchModel'):
        registry.MODELS.build(dict(type='mmsgdfuse.NoSuchModel'))


def test_custom_imports_is_all_that_a_config_needs(tmp_path):
    """In a fresh process, where nothing of this package has been imported before."""
    pytest.importorskip('mmdet')
    (tmp_path / 'config.py').write_text(
        "default_scope = 'mmdet'\n"
        "custom_imports = dict(imports=['mmsgdfuse'])\n"
        "ours = dict(type='mmsgdfuse.MaskedIntensityLoss')\n"
        "theirs = dict(type='L1Loss')\n"
    )
    program = (
        'import sys\n'
        'from mmengine.config import Config\n'
        'from mmengine.registry import MODELS, init_default_scope\n'
        'cfg = Config.fromfile(sys.argv[1])\n'
        'init_default_scope(cfg.default_scope)\n'
        'print(type(MODELS.build(cfg.ours)).__module__, type(MODELS.build(cfg.theirs)).__module__)'
    )
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', program, str(tmp_path / 'config.py')],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert result.returncode == 0, result.stderr
    ours, theirs = result.stdout.split()[-2:]
    assert ours.startswith('mmsgdfuse.models.losses')
    assert theirs.startswith('mmdet.models.losses')

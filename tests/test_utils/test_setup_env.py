"""Registration, and importing what a config asks for."""

from __future__ import annotations

import sys

import pytest
from mmengine.registry import DefaultScope

from mmsgdfuse import registry
from mmsgdfuse.utils.setup_env import import_packages_of, register_all_modules


def current_scope() -> str | None:
    scope = DefaultScope.get_current_instance()
    return scope and scope.scope_name


def test_registers_everything_and_sets_the_scope():
    register_all_modules()
    assert current_scope() == 'mmsgdfuse'
    for name in ('MODELS', 'DATASETS', 'TRANSFORMS', 'METRICS', 'MASK_GENERATORS'):
        assert len(getattr(registry, name).module_dict) > 0, name


def test_leaves_the_scope_if_asked():
    before = current_scope()
    register_all_modules(init_default_scope=False)
    assert current_scope() == before


def test_replaces_another_scope_and_keeps_its_own():
    DefaultScope.get_instance('somebody', scope_name='mmengine')
    register_all_modules()
    assert current_scope() == 'mmsgdfuse'
    mine = DefaultScope.get_current_instance()
    register_all_modules()
    assert DefaultScope.get_current_instance() is mine


@pytest.mark.parametrize(
    ('cfg', 'expected'),
    [
        (dict(default_scope='mmsgdfuse', model=dict(type='SGDFuse')), []),
        (dict(model=dict(type='mmsgdfuse.SGDFuse', title='mmdet.YOLOX')), []),
        (dict(default_scope='mmseg'), ['mmseg']),
        (dict(hooks=[dict(type='mmdet.NumClassCheckHook')]), ['mmdet']),
        (dict(model=(dict(_scope_='mmdet'), dict(head=dict(type='mmseg.FCNHead')))), None),
    ],
)
def test_imports_what_the_config_names(cfg, expected, monkeypatch):
    asked = []
    monkeypatch.setattr('mmsgdfuse.utils.setup_env.import_downstream', asked.append)
    expected = ['mmdet', 'mmseg'] if expected is None else expected
    assert import_packages_of(cfg) == expected
    assert asked == expected


def test_a_missing_package_is_named(monkeypatch):
    for name in list(sys.modules):
        if name.split('.')[0] == 'mmseg':
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'mmseg', None)
    with pytest.raises(ImportError, match=r'mmseg cannot be imported.*mmsegmentation 1\.2\.2'):
        import_packages_of(dict(default_scope='mmseg'))

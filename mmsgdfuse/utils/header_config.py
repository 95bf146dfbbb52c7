"""Configs from the header of a file: data of someone else, that may name our classes and no more.

mmengine's registries import whatever dotted name they do not know, so that
``dict(type='os.system', command=...)`` would run a command. What is checked here names only what
this package has registered; each name is looked up in the registries' tables, and nothing is
imported by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

from mmengine.registry import WEIGHT_INITIALIZERS, Registry

from mmsgdfuse.registry import (
    DIFFUSION_SCHEDULERS,
    MASK_COMPOSERS,
    MASK_GENERATORS,
    MODELS,
    NOISE_SCHEDULES,
    SCOPE,
    TRANSFORMS,
)
from mmsgdfuse.utils.errors import InputError

#: The registries that each entry of a header is built from.
ENTRIES: dict[str, tuple[Registry, ...]] = dict(
    model=(MODELS, NOISE_SCHEDULES, DIFFUSION_SCHEDULERS),
    masks=(TRANSFORMS, MASK_GENERATORS, MASK_COMPOSERS),
)
_MAX_DEPTH = 16
# a registry resolves their text
_TYPE_KEYS = ('type', 'composer')
# they name files that only training reads, or a folder to write to: no part of a trained model
_FORBIDDEN = ('cache_dir', 'fuser_weights', 'teacher')
_PRETRAINED = ('Pretrained', 'PretrainedInit')
# they execute a config, build models of other packages or download by name
_NOT_FROM_FILES = ('MMDetMaskGenerator', 'MMSegMaskGenerator', 'TransformersSAMMaskGenerator')


def registered_name(name: str, *registries: Registry) -> str | None:
    """The full name of a class of this package, by which a registry finds it and imports nothing.

    Args:
        name: With or without our scope.
        registries: Where to look.

    Returns:
        ``'mmsgdfuse.<class>'``, or None where no registry has it.
    """
    bare = name.removeprefix(f'{SCOPE}.')
    for registry in registries:
        registry.import_from_location()
        if bare in registry.module_dict:
            return f'{SCOPE}.{bare}'
    return None


def check_header_config(entry: str, config: object, source: object) -> Any:
    """Make sure that an entry of a file's header is safe to build.

    Args:
        entry: ``'model'`` or ``'masks'``.
        config: What the header holds as this entry.
        source: The file, for messages.

    Returns:
        A copy in which every ``type`` has our scope. ``init_cfg`` is left out: all weights come
        from the file.

    Raises:
        ValueError: The config names a class that this package has not registered, a file or
            folder outside the working folder, an address, a setting of mmengine's own
            (``_delete_``, ``custom_imports``, ...), or is no plain data. The message names the
            file, the key and the remedy.
    """
    expected = dict if entry == 'model' else list
    if not isinstance(config, expected):
        raise _refusal(source, entry, f'must be a {expected.__name__}, found {_shown(config)}')
    return _Check(source, ENTRIES[entry]).copy(config, entry, 0)


def _refusal(source: object, place: str, fault: str) -> ValueError:
    return InputError(
        f"{source}: the header's {place} {fault}; nothing was loaded. Get the file from where you "
        'trust it, or export it again with tools/model_converters/export_weights.py; a model that '
        'needs more is given as a config, which is code of your own'
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


class _Check:
    """Copies plain data and refuses what must not be in it."""

    def __init__(self, source: object, registries: tuple[Registry, ...]) -> None:
        self.source = source
        self.registries = registries

    def copy(self, node: object, place: str, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise self._refuse(place, f'is nested more than {_MAX_DEPTH} levels deep')
        if isinstance(node, Mapping):
            return self._copy_dict(node, place, depth)
        if isinstance(node, (list, tuple)):
            return [
                self.copy(value, f'{place}[{index}]', depth + 1) for index, value in enumerate(node)
            ]
        if isinstance(node, str):
            return self._check_text(node, place)
        if node is None or isinstance(node, (bool, int, float)):
            return node
        raise self._refuse(place, f'is no plain data, found {type(node).__name__}')

    def _copy_dict(self, node: Mapping, place: str, depth: int) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for key, value in node.items():
            inner = f'{place}.{key}'
            if key == '_scope_' and value == SCOPE:
                continue
            if not (isinstance(key, str) and key.isidentifier()) or key.startswith('_'):
                raise self._refuse(place, f'has the key {_shown(key)}, which is no argument')
            if key in _FORBIDDEN or key == 'custom_imports':
                if value is not None:
                    raise self._refuse(inner, f'may not be set, found {_shown(value)}')
            elif key == 'init_cfg':
                self._check_initializers(value, inner)
            elif key == 'type' or (key in _TYPE_KEYS and isinstance(value, str)):
                copied[key] = self._full_name(value, inner)
            else:
                copied[key] = self.copy(value, inner, depth + 1)
        return copied

    def _full_name(self, name: object, place: str) -> str:
        found = registered_name(name, *self.registries) if isinstance(name, str) else None
        if found is None:
            raise self._refuse(
                place, f'must be a class that {SCOPE} registers, found {_shown(name)}'
            )
        if found.rpartition('.')[2] in _NOT_FROM_FILES:
            raise self._refuse(place, f'may not be {found}; give these masks yourself')
        return found

    def _check_initializers(self, value: object, place: str) -> None:
        for cfg in value if isinstance(value, list) else [value]:
            name = cfg.get('type') if isinstance(cfg, Mapping) else cfg
            known = name is None or (
                isinstance(name, str)
                and name in WEIGHT_INITIALIZERS.module_dict
                and name not in _PRETRAINED
            )
            if not known:
                raise self._refuse(place, f'may not be set, found {_shown(name)}')

    def _check_text(self, text: str, place: str) -> str:
        path = PureWindowsPath(text)  # which takes both kinds of separators
        inside = not (path.anchor or '..' in path.parts or text.startswith('~') or ':' in text)
        if not (inside and text.isprintable()):
            raise self._refuse(
                place, f'leads out of the working folder or to another machine: {_shown(text)}'
            )
        return text

    def _refuse(self, place: str, fault: str) -> ValueError:
        return _refusal(self.source, place, fault)

"""Preparing a process: registration, and the packages that a config asks for."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmsgdfuse import registry
from mmsgdfuse.utils.compat import DOWNSTREAM, import_downstream
from mmsgdfuse.utils.config import walk


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import every module of the package that registers something.

    Args:
        init_default_scope: Whether names without a scope mean ours from now on: the current
            default scope becomes ``'mmsgdfuse'``, whatever it was. Default True.
    """
    for value in vars(registry).values():
        if isinstance(value, Registry) and value.scope == registry.SCOPE:
            value.import_from_location()
    if init_default_scope:
        current = DefaultScope.get_current_instance()
        if current is None or current.scope_name != registry.SCOPE:
            # the name of an instance is free, and only the newest instance counts
            DefaultScope.get_instance(f'{registry.SCOPE}-{uuid4()}', scope_name=registry.SCOPE)


def import_packages_of(cfg: Config | dict) -> list[str]:
    """Import those of mmdet, mmseg and mmagic that a config names, and no others.

    A config names a package in ``default_scope``, in ``_scope_`` or before the dot of a
    ``type``. Importing it here, before anything is built, ends in one clear message where it
    is not installed or does not work with the installed versions.

    Args:
        cfg: A config, or a part of one.

    Returns:
        The names of the packages, sorted.

    Raises:
        ImportError: A package cannot be imported; the message names versions that work.
    """
    named = sorted(DOWNSTREAM.keys() & set(_scopes(cfg)))
    for name in named:
        import_downstream(name)
    return named


def _scopes(cfg: Config | dict) -> Iterator[str]:
    for path, value in walk(cfg):
        key = path.rpartition('.')[2]
        if not isinstance(value, str):
            continue
        if key in ('default_scope', '_scope_'):
            yield value
        elif key == 'type' and '.' in value:
            yield value.split('.', 1)[0]

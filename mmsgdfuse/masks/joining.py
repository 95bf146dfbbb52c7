"""Registration of what works without mmengine, as soon as mmengine is there."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from mmsgdfuse.utils.import_hooks import after_import

Registered = TypeVar('Registered', bound=Callable)


def register_in(name: str) -> Callable[[Registered], Registered]:
    """Decorator: register in the registry ``name`` of :mod:`mmsgdfuse.registry`.

    At once where mmengine is imported already, otherwise when it is.
    """

    def decorate(item: Registered) -> Registered:
        def join(_: ModuleType) -> None:
            from mmsgdfuse import registry

            target = getattr(registry, name)
            if item.__name__ not in target.module_dict:
                target.register_module(module=item)

        after_import('mmengine', join)
        return item

    return decorate

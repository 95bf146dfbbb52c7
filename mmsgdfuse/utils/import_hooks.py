"""Actions at the moment when another module is imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType


def after_import(name: str, action: Callable[[ModuleType], None]) -> None:
    """Run an action on a module once it is imported, at once where it already is.

    Calling it again with the same name and action changes nothing.

    Args:
        name: Full name of the module.
        action: Takes the executed module. It must bear to be called twice.
    """
    if sys.modules.get(name) is not None:
        action(sys.modules[name])
    elif not any(isinstance(f, _Finder) and f.watches(name, action) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder(name, action))


class _Finder(MetaPathFinder):
    """Finds one module where it is, and has the action run after it."""

    def __init__(self, name: str, action: Callable[[ModuleType], None]) -> None:
        self.name, self.action = name, action

    def watches(self, name: str, action: Callable[[ModuleType], None]) -> bool:
        return (self.name, self.action) == (name, action)

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        # the finders after this one, so that a module of an editable install is found as well
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self.action)
                return spec
        return None


class _Loader(Loader):
    """Executes a module as its own loader does and runs the action."""

    def __init__(self, loader: Loader, action: Callable[[ModuleType], None]) -> None:
        self.loader, self.action = loader, action

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        self.action(module)

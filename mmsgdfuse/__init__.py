"""mmsgdfuse: semantic-guided diffusion fusion of infrared and visible images.

Importing the package makes its registries known to mmengine, so that any OpenMMLab
config with ``custom_imports = dict(imports=['mmsgdfuse'])`` can build
``type='mmsgdfuse.SGDFuse'`` and every other registered class. The classes themselves
are imported when a registry first looks for one. From then on mmengine takes checkpoints as
data only (SECURITY.md).
"""

from typing import Any

from mmsgdfuse import registry  # noqa: F401  (creates the child registries)
from mmsgdfuse.utils import compat, torch_files
from mmsgdfuse.version import __version__

__all__ = ['FusionInferencer', '__version__', 'fuse']

compat.prepare()
torch_files.guard_runner()


def __getattr__(name: str) -> Any:
    """Import ``FusionInferencer`` and ``fuse`` on first use: the plugin does without them."""
    if name in ('FusionInferencer', 'fuse'):
        from mmsgdfuse import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

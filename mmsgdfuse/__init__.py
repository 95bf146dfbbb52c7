"""mmsgdfuse: semantic-guided diffusion fusion of infrared and visible images.

Importing the package makes its registries known to mmengine as soon as mmengine is imported too,
so that any OpenMMLab config with ``custom_imports = dict(imports=['mmsgdfuse'])`` can build
``type='mmsgdfuse.SGDFuse'`` and every other registered class. The classes themselves
are imported when a registry first looks for one. From then on mmengine takes checkpoints as
data only (SECURITY.md).

The package itself imports neither torch nor mmengine: :mod:`mmsgdfuse.evaluation`,
:mod:`mmsgdfuse.io`, :mod:`mmsgdfuse.masks`, :mod:`mmsgdfuse.pairing`,
:mod:`mmsgdfuse.registration` and, with ONNX Runtime, :mod:`mmsgdfuse.apis` work without them.
"""

from types import ModuleType
from typing import Any

from mmsgdfuse.utils.compat import require_on_import
from mmsgdfuse.utils.import_hooks import after_import
from mmsgdfuse.version import __version__

__all__ = ['FusionInferencer', '__version__', 'fuse']

_TORCH_AND_STACK = ('torch', 'mmengine', 'mmcv')
require_on_import(
    {
        'mmsgdfuse.apis.recipe': _TORCH_AND_STACK,
        'mmsgdfuse.apis.torch_model': _TORCH_AND_STACK,
        'mmsgdfuse.datasets.ivif_dataset': _TORCH_AND_STACK,
        'mmsgdfuse.datasets.transforms': _TORCH_AND_STACK,
        'mmsgdfuse.engine': _TORCH_AND_STACK,
        'mmsgdfuse.evaluation.cross_validation': _TORCH_AND_STACK,
        'mmsgdfuse.evaluation.downstream': _TORCH_AND_STACK,
        'mmsgdfuse.evaluation.metrics': ('torch', 'mmengine'),
        'mmsgdfuse.masks.sam': _TORCH_AND_STACK,
        'mmsgdfuse.models': ('torch', 'mmengine'),
        'mmsgdfuse.registry': ('torch', 'mmengine'),
        'mmsgdfuse.runtime.export': _TORCH_AND_STACK,
        'mmsgdfuse.runtime.torch_runner': ('torch', 'mmengine'),
        'mmsgdfuse.structures': ('torch', 'mmengine'),
        'mmsgdfuse.visualization': _TORCH_AND_STACK,
    }
)


def _join_mmengine(mmengine: ModuleType) -> None:
    from mmsgdfuse import registry  # noqa: F401  (creates the child registries)
    from mmsgdfuse.utils import compat, torch_files

    compat.prepare()
    torch_files.guard_runner()


after_import('mmengine', _join_mmengine)


def __getattr__(name: str) -> Any:
    """Import ``FusionInferencer`` and ``fuse`` on first use: the plugin does without them."""
    if name in ('FusionInferencer', 'fuse'):
        from mmsgdfuse import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

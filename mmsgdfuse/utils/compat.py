"""What newer torch and numpy broke in the OpenMMLab packages, mended in one place.

Each section names the versions that it is for and stands alone: when an upstream release
makes it needless, delete the section and its callers.

- :func:`allow_safe_resume`: mmengine 0.10 on torch 2.6 and later.
- :func:`ensure_mmcv_ops`: mmdet 3.3, mmsegmentation 1.2 and mmagic 1.2 on mmcv-lite.
- :func:`ensure_mmagic_imports`: mmagic 1.2 on numpy 2.
- :func:`distribute_on_cpu`: mmengine 0.10 with several processes on a machine without GPU.
- :func:`require`, :func:`require_on_import`, :func:`import_downstream`: messages for what cannot
  be mended.

mmsgdfuse calls :func:`prepare` as soon as mmengine is imported beside it, which costs nothing until
something needs it: a config of another package needs no more than ``custom_imports``. This module
itself imports neither torch nor mmengine.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsgdfuse.utils.errors import MissingPackageError

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import Tensor


def prepare() -> None:
    """Make ready what the sections below mend; mmengine must be imported."""
    allow_safe_resume()
    ensure_mmcv_ops()
    ensure_mmagic_imports()


# --------------------------------------------------------------------------------------
# Resuming: mmengine 0.10 on torch >= 2.6, where torch.load takes weights_only=True.
# A checkpoint of mmengine's Runner holds HistoryBuffers, which torch does not know.
# Delete once mmengine's own checkpoints load with weights_only=True.
# --------------------------------------------------------------------------------------

_STATISTICS = ('min', 'max', 'current', 'mean')
_DTYPES = ('bool', 'int8', 'uint8', 'int16', 'int32', 'int64', 'float16', 'float32', 'float64')


def allow_safe_resume() -> None:
    """Let ``torch.load(weights_only=True)`` read the checkpoints of mmengine's Runner.

    Adds mmengine's ``HistoryBuffer`` and the numpy arrays and scalars that it holds to
    torch's list of safe globals, under their names in numpy 1 and numpy 2. Loading stays
    safe: the ``getattr`` that a pickled ``HistoryBuffer`` asks for is replaced by one that
    hands out this class's four statistics and refuses everything else. Calling it again
    changes nothing.
    """
    import torch
    from mmengine.logging import HistoryBuffer

    allowed: list = [HistoryBuffer, np.ndarray, np.dtype, (_statistic_of, 'builtins.getattr')]
    allowed += {type(np.dtype(name)) for name in _DTYPES}
    constructors: list[Any] = [np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]]
    for constructor in constructors:
        allowed += [
            (constructor, f'{package}.multiarray.{constructor.__name__}')
            for package in ('numpy.core', 'numpy._core')
        ]
    torch.serialization.add_safe_globals(allowed)


def _statistic_of(owner: object, name: str) -> Callable:
    from mmengine.logging import HistoryBuffer

    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(HistoryBuffer, name)
    raise ValueError(
        f'a checkpoint asks for attribute {name!r} of {owner!r}; only the statistics '
        f'{_STATISTICS} of HistoryBuffer are safe to load'
    )


# --------------------------------------------------------------------------------------
# Operators: mmcv-lite 2.0 and 2.1, on which mmdet, mmseg and mmagic do not import.
# Needless with a compiled mmcv; delete once those packages import without `mmcv._ext`.
# --------------------------------------------------------------------------------------

_EXTENSION = 'mmcv._ext'
_COMPILED_REMEDY = (
    'uninstall mmcv-lite and install mmcv>=2.0.0,<2.2.0 with its operators (docs/install.md)'
)


def ensure_mmcv_ops() -> None:
    """Let mmdet, mmseg and mmagic be imported without mmcv's compiled operators.

    From then on, where one of them asks for ``mmcv._ext`` and no compiled module is
    installed, a stand-in answers: ``nms`` is torchvision's, the sigmoid focal loss is written
    in torch, and any other operator raises ``NotImplementedError`` with the remedy when it is
    called. That serves YOLOX, RetinaNet, DeepLabV3+ and SegFormer. Compiled operators are
    used wherever they are installed. Nothing is imported by this call.
    """
    if not any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        # last, so that it is asked only when no installed package has the module
        sys.meta_path.append(_StandInFinder())


class _StandInFinder(MetaPathFinder, Loader):
    """Finds ``mmcv._ext`` for the downstream packages, and nothing else."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == _EXTENSION and not sys.modules.keys().isdisjoint(DOWNSTREAM):
            return ModuleSpec(fullname, self)
        return None

    def create_module(self, spec):
        return _StandIn(spec.name)

    def exec_module(self, module):
        """Nothing to run: the class has it all."""


class _StandIn(ModuleType):
    """Answers to every operator's name; see :func:`ensure_mmcv_ops`."""

    @staticmethod
    def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
        """Indices of the boxes that are kept, the highest score first.

        Args:
            bboxes: (N, 4), x0, y0, x1, y1.
            scores: (N,).
            iou_threshold: A box that overlaps a better one by more than this is dropped.
            offset: 1 where a box is x1 - x0 + 1 pixels wide, else 0. Default 0.
        """
        from torchvision.ops import nms

        return nms(bboxes + bboxes.new_tensor([0, 0, offset, offset]), scores, iou_threshold)

    @staticmethod
    def sigmoid_focal_loss_forward(
        logits: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
    ) -> None:
        """Write the loss of (N, C) logits against (N,) class ids, C for background."""
        output.copy_(_sigmoid_focal_loss(logits, target, weight, gamma, alpha))

    @staticmethod
    def sigmoid_focal_loss_backward(
        logits: Tensor, target: Tensor, weight: Tensor, grad: Tensor, gamma: float, alpha: float
    ) -> None:
        """Write the derivative of the summed loss by the logits."""
        import torch

        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            loss = _sigmoid_focal_loss(leaf, target, weight, gamma, alpha).sum()
        grad.copy_(torch.autograd.grad(loss, leaf)[0])

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise NotImplementedError(
                f'the model needs the compiled operator {name!r}, which mmcv-lite lacks; '
                f'{_COMPILED_REMEDY}, or take a model that needs nms alone, e.g. YOLOX'
            )

        return missing


def _sigmoid_focal_loss(
    logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float
) -> Tensor:
    import torch

    if weight.numel():
        raise NotImplementedError(
            f'class weights in the focal loss need compiled operators; {_COMPILED_REMEDY}'
        )
    positive = torch.arange(logits.size(1), device=logits.device) == target[:, None]
    signed = torch.where(positive, logits, -logits)
    balance = alpha * positive + (1 - alpha) * ~positive
    return -balance * (-signed).sigmoid() ** gamma * torch.nn.functional.logsigmoid(signed)


# --------------------------------------------------------------------------------------
# mmagic 1.2.0 on numpy 2, which has no `bool8`. Delete with mmagic's support.
# --------------------------------------------------------------------------------------


def ensure_mmagic_imports() -> None:
    """Let mmagic be imported on numpy 2.

    ``numpy.bool8`` exists only while the one module that names it is executed. Nothing is
    imported by this call.
    """
    if np.lib.NumpyVersion(np.__version__) < '2.0.0':
        return
    if not any(isinstance(finder, _Bool8Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Bool8Finder())


class _Bool8Finder(MetaPathFinder):
    """Finds ``mmagic.utils.trans_utils`` where it is and has it executed with ``numpy.bool8``."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != 'mmagic.utils.trans_utils':
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Bool8Loader(spec.loader)
        return spec


class _Bool8Loader(Loader):
    """Executes a module as its own loader does, while ``numpy.bool8`` exists."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        names = vars(np)
        names['bool8'] = np.bool_
        try:
            self.loader.exec_module(module)
        finally:
            del names['bool8']


# --------------------------------------------------------------------------------------
# Several processes on the CPU: mmengine 0.10 selects a CUDA device for every process, whatever
# the backend. Delete once its `init_dist(backend='gloo')` works without one.
# --------------------------------------------------------------------------------------


def distribute_on_cpu(cfg: Config) -> None:
    """Let a config's Runner work in several processes on a machine without GPU.

    Joins the processes by gloo, from the environment that torchrun sets, and keeps mmengine
    from placing the model on a GPU. Changes nothing where there is a GPU, or one process.

    Args:
        cfg: Config of a Runner; its ``model_wrapper_cfg`` is changed in place.
    """
    import torch

    if cfg.get('launcher', 'none') != 'pytorch' or torch.cuda.is_available():
        return
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False)
    cfg.model_wrapper_cfg = {**wrapper, **(cfg.get('model_wrapper_cfg') or {}), 'device_ids': None}


# --------------------------------------------------------------------------------------
# What no mending can provide: messages.
# --------------------------------------------------------------------------------------

DOWNSTREAM = {
    'mmdet': 'mmdet 3.3.0',
    'mmseg': 'mmsegmentation 1.2.2 with ftfy and regex',
    'mmagic': (
        'mmagic 1.2.0 with diffusers 0.28.2, huggingface-hub 0.25.2, transformers 4.44.2, '
        'tokenizers 0.19.1, albumentations 1.3.1, qudida 0.0.4, resize-right 0.0.2, pandas, '
        'einops, lpips and click'
    ),
}


_EXTRAS = {
    'onnxruntime': "pip install 'mmsgdfuse[onnx]'",
    'onnx': "pip install 'mmsgdfuse[export]'",
    'mmcv': (
        'pip install mmcv-lite==2.1.0, which serves all but downstream models with operators '
        'besides nms (those need mmcv==2.1.0 instead), or onedl-mmcv beside onedl-mmengine'
    ),
}
_STACK = (
    "pip install 'mmsgdfuse[openmmlab]' (torch, mmengine and mmcv-lite) or 'mmsgdfuse[onedl]' "
    '(torch and the maintained forks of mmengine and mmcv). The metrics, the reading of thermal '
    'images and the pairing of files do without'
)


def require(user: str, *packages: str) -> None:
    """Make sure that packages are installed; nothing is imported.

    Args:
        user: What needs them, for the message.
        packages: Names under which they are imported. mmcv and mmcv-lite are both ``mmcv``.

    Raises:
        MissingPackageError: One is not; the message says what to install.
    """
    missing = [name for name in packages if not _installed(name)]
    if missing:
        raise MissingPackageError(
            f'{user} needs {", ".join(missing)}: '
            + (_EXTRAS.get(missing[0], _STACK) if len(missing) == 1 else _STACK),
            name=missing[0],
        )


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # a finder refuses it; it is there as a bare stand-in
        return False


class _Requirements(MetaPathFinder):
    """Finds nothing; raises where a part of this package lacks what it needs."""

    def __init__(self, needs: dict[str, tuple[str, ...]]) -> None:
        self.needs = needs

    def find_spec(self, fullname, path=None, target=None):
        if fullname in self.needs:
            require(fullname, *self.needs[fullname])
        return None


def require_on_import(needs: dict[str, tuple[str, ...]]) -> None:
    """Let the import of a module end in the message of :func:`require` where a package is missing.

    Args:
        needs: Packages by the full name of the module that needs them.
    """
    if not any(isinstance(finder, _Requirements) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Requirements(needs))


def import_downstream(name: str) -> ModuleType:
    """Import mmdet, mmseg or mmagic with all their registered classes.

    Args:
        name: ``'mmdet'``, ``'mmseg'`` or ``'mmagic'``.

    Returns:
        The package.

    Raises:
        ValueError: Another name.
        ImportError: The package, or something that it needs, is missing or of a version with
            which it does not work; the message names versions that work.
    """
    if name not in DOWNSTREAM:
        raise ValueError(f'name must be one of {sorted(DOWNSTREAM)}, got {name!r}')
    ensure_mmcv_ops()
    ensure_mmagic_imports()
    try:
        for part in ('datasets.transforms', 'evaluation', 'models', 'engine', 'visualization'):
            importlib.import_module(f'{name}.{part}')
    # mmagic fails with AttributeError, and the version checks of all three with AssertionError
    except (ImportError, AttributeError, AssertionError, RuntimeError) as error:
        raise ImportError(
            f'{name} cannot be imported: {error}. These versions work together: '
            f'{DOWNSTREAM[name]}, with mmengine 0.10.7 and mmcv or mmcv-lite 2.1.0. '
            'requirements/lock.txt pins all of them (pip install --no-deps -r)',
            name=name,
        ) from error
    return sys.modules[name]

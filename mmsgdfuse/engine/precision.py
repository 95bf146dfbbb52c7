"""Training in half precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmsgdfuse.registry import OPTIM_WRAPPERS


def mixed_precision() -> dict:
    """What ``--amp`` changes in a config's ``optim_wrapper``, by the device that trains."""
    if torch.cuda.is_available():
        return dict(type='AmpOptimWrapper', loss_scale='dynamic')
    return dict(type='mmsgdfuse.BFloat16OptimWrapper')


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the model under bfloat16 autocast, on a CPU as on a GPU.

    bfloat16 has the exponent of single precision, so that no loss scaling is needed; weights,
    gradients and optimizer states stay in single precision. Worth it on a CPU whose
    instructions include AMX or AVX512-BF16, elsewhere slower. mmengine's ``AmpOptimWrapper``
    serves float16 and refuses a CPU.

    Args:
        **kwargs: Arguments of mmengine's ``OptimWrapper``: ``optimizer``,
            ``accumulative_counts``, ``clip_grad``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward pass of ``model``; its backward pass follows suit."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield

"""Training with weights, gradients and optimizer states spread over the processes (FSDP)."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine._strategy import FSDPStrategy
from mmengine.dist import all_reduce, get_rank
from mmengine.optim import OptimWrapper
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from mmsgdfuse.engine.checkpoints import durable_path
from mmsgdfuse.models.diffusion import ResidualBlock
from mmsgdfuse.registry import FUNCTIONS, OPTIM_WRAPPERS, STRATEGIES


@STRATEGIES.register_module()
class ShardedStrategy(FSDPStrategy):
    """mmengine's ``FSDPStrategy`` with ordinary checkpoints, on the CPU, too.

    A checkpoint is one file with all weights under their own names, as without sharding, and
    is written whole or not at all. Without a GPU the shards stay on the CPU, where mmengine's
    own strategy asks for a CUDA device.

    Args:
        model_wrapper: Arguments of mmengine's ``MMFullyShardedDataParallel``, such as
            ``auto_wrap_policy``. Default: none.
        **kwargs: Arguments of ``FSDPStrategy`` but ``state_dict_cfg``.
    """

    def __init__(self, *, model_wrapper: dict | None = None, **kwargs) -> None:
        wrapper = dict(model_wrapper or {})
        if not torch.cuda.is_available():
            wrapper['device_id'] = torch.device('cpu')
        super().__init__(model_wrapper=wrapper, state_dict_cfg='full', **kwargs)

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        # torch (2.14) hands out a loaded optimizer state in the order of contiguous weights, so
        # that with weights in channels_last memory a resumed run would go wrong unnoticed
        return super()._wrap_model(model.to(memory_format=torch.contiguous_format))

    def save_checkpoint(self, filename: str | Path, **kwargs) -> None:
        """Gather the shards, on every process, and write the file, on the first.

        Args:
            filename: File to write.
            **kwargs: As in ``FSDPStrategy``.
        """
        if get_rank():
            super().save_checkpoint(str(filename), **kwargs)
        else:
            with durable_path(filename) as temporary:
                super().save_checkpoint(str(temporary), **kwargs)

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Hand each process its share; mmengine knows torch 2.0's order of the arguments."""
        self.optim_wrapper.load_state_dict(
            FullyShardedDataParallel.optim_state_dict_to_load(
                self.model, self.optim_wrapper.optimizer, state_dict
            )
        )


@OPTIM_WRAPPERS.register_module()
class ShardedOptimWrapper(OptimWrapper):
    """Clips gradients by the norm over all processes.

    mmengine's ``OptimWrapper`` would clip each process's shard by that shard's own norm, and
    so by another factor on each process.

    Args:
        optimizer: Optimizer over sharded parameters.
        clip_grad: ``dict(max_norm=...)``; None does not clip. Default None.
        **kwargs: Arguments of mmengine's ``OptimWrapper``, such as ``accumulative_counts``.

    Raises:
        ValueError: ``clip_grad`` has anything but ``max_norm``.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, clip_grad: dict | None = None, **kwargs
    ) -> None:
        if clip_grad and set(clip_grad) != {'max_norm'}:
            raise ValueError(
                'clip_grad of sharded gradients must be dict(max_norm=...), the Euclidean norm, '
                f'found {dict(clip_grad)}'
            )
        super().__init__(optimizer, clip_grad=clip_grad, **kwargs)

    def _clip_grad(self) -> None:
        parameters = [
            parameter
            for group in self.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        # a process whose share has no gradient must take part in the sum all the same
        squares = get_total_norm([parameter.grad for parameter in parameters]).square()
        all_reduce(squares)
        norm = squares.sqrt()
        clip_grads_with_norm_(parameters, self.clip_grad_kwargs['max_norm'], norm)
        self.message_hub.update_scalar(f'train/{self.grad_name}', float(norm))


@FUNCTIONS.register_module()
def wrap_residual_blocks(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """An ``auto_wrap_policy`` by which each residual block of the U-Net is gathered on its own.

    Larger parts must not be: the fusion phase asks the U-Net for its features and so passes
    by its ``forward``, where a part's weights are gathered.

    Args:
        module: Part of the model that torch asks about.
        recurse: Whether torch asks if it should look into the module.
        nonwrapped_numel: Number of its weights; not used.
    """
    return recurse or isinstance(module, ResidualBlock)

"""Hooks of mmengine's Runner that training relies on."""

from __future__ import annotations

import math
import random
import time

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsgdfuse.registry import FUNCTIONS, HOOKS


def _seed_everything(entropy: list[int]) -> None:
    torch_seed, numpy_seed, python_seed = np.random.SeedSequence(entropy).generate_state(3)
    torch.manual_seed(int(torch_seed))
    np.random.seed(int(numpy_seed))
    random.seed(int(python_seed))


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds every random generator anew at the start of each training epoch.

    The randomness of an epoch is then a function of the run's seed, the epoch and the rank
    alone, so that a run that was killed and resumed goes on exactly as an unbroken one: no
    generator state has to be stored, and validation in between changes nothing.

    Data loader workers get their share through :func:`seed_worker`.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed torch, numpy and random from (seed, epoch, rank)."""
        _seed_everything([runner.seed, runner.epoch, get_rank()])


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """Ends a training run after a given time, the learning rate lowered on half a cosine over it.

    It suits an accelerator that is available for some minutes. The number of iterations, and so the
    weights, then depend on the machine's speed. The run ends with the first epoch that is complete
    after the time is over. No other parameter scheduler may be in use.

    Args:
        seconds: Time from the first iteration on.
        final_share: Share of the first learning rate that is left at the end. Default 0.01.

    Raises:
        ValueError: ``seconds`` is not positive.
    """

    priority = 'LOW'

    def __init__(self, seconds: float = 600.0, final_share: float = 0.01) -> None:
        if seconds <= 0:
            raise ValueError(f'seconds must be positive, found {seconds}')
        self.seconds = seconds
        self.final_share = final_share
        self._start: float | None = None
        self._rates: list[float] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Set the learning rate of the coming iteration."""
        groups = runner.optim_wrapper.param_groups
        if self._start is None:
            self._start = time.monotonic()
            self._rates = [group['lr'] for group in groups]
        passed = min((time.monotonic() - self._start) / self.seconds, 1.0)
        share = self.final_share + (1 - self.final_share) * (1 + math.cos(math.pi * passed)) / 2
        for group, rate in zip(groups, self._rates):
            group['lr'] = rate * share

    def after_train_epoch(self, runner: Runner) -> None:
        """End the run if the time is over."""
        if self._start is not None and time.monotonic() - self._start >= self.seconds:
            runner.train_loop.stop_training = True


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seed a data loader worker from the main process's generator.

    mmengine's own function gives a worker the same seed in every epoch, so that each epoch
    would repeat the same crops; here torch's base seed, new in each epoch, is used.

    Args:
        worker_id: Index of the worker; torch has added it to the seed already.
    """
    seed = torch.initial_seed()
    _seed_everything([seed % 2**32, seed >> 32])

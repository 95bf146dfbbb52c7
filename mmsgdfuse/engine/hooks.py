"""Hooks of mmengine's Runner that training relies on."""

from __future__ import annotations

import random

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

"""Reproducible randomness: per epoch in the main process, per worker in the data loader."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmsgdfuse.engine import EpochSeedHook, TimeBudgetHook, seed_worker
from mmsgdfuse.registry import FUNCTIONS, HOOKS


def draw() -> tuple[float, float, float]:
    """One number of each generator that transforms and models may use."""
    return torch.rand(1).item(), np.random.rand(), random.random()


def seed_epoch(seed: int, epoch: int) -> None:
    EpochSeedHook().before_train_epoch(SimpleNamespace(seed=seed, epoch=epoch))


class RandomDataset(Dataset):
    """Every entry is what the generators give where it is loaded."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(draw(), dtype=torch.float64)


def load_epoch(loader: DataLoader, epoch: int, seed: int = 0) -> torch.Tensor:
    seed_epoch(seed, epoch)
    return torch.cat(list(loader))


class TestEpochSeedHook:
    def test_an_epoch_draws_the_same_whatever_came_before(self):
        seed_epoch(3, 7)
        expected = [draw() for _ in range(3)]
        draw()
        seed_epoch(3, 7)
        assert [draw() for _ in range(3)] == expected

    def test_epochs_and_seeds_differ_in_all_three_generators(self):
        drawn = []
        for seed, epoch in [(0, 0), (0, 1), (1, 0), (1, 1)]:
            seed_epoch(seed, epoch)
            drawn.append(draw())
        for numbers in zip(*drawn):
            assert len(set(numbers)) == 4

    def test_ranks_differ(self, monkeypatch):
        seed_epoch(0, 0)
        first = draw()
        monkeypatch.setattr('mmsgdfuse.engine.hooks.get_rank', lambda: 1)
        seed_epoch(0, 0)
        assert draw() != first

    def test_runs_before_the_hooks_that_may_draw(self):
        hook = HOOKS.build(dict(type='EpochSeedHook'))
        assert hook.priority == 'VERY_HIGH'


class TestSeedWorker:
    def test_mmengine_finds_it_by_its_scoped_name(self):
        from mmengine.registry import FUNCTIONS as ROOT

        assert FUNCTIONS.get('seed_worker') is seed_worker
        assert ROOT.get('mmsgdfuse.seed_worker') is seed_worker

    @pytest.mark.parametrize('num_workers', [0, 2])
    def test_an_epoch_repeats_and_epochs_differ(self, num_workers):
        loader = DataLoader(RandomDataset(), num_workers=num_workers, worker_init_fn=seed_worker)
        first = load_epoch(loader, 0)
        second = load_epoch(loader, 1)
        assert torch.equal(load_epoch(loader, 0), first)
        # no number of either epoch, worker or generator comes twice
        assert len(torch.cat([first, second]).unique()) == 2 * 4 * 3


class TestTimeBudget:
    @pytest.fixture
    def runner(self) -> SimpleNamespace:
        groups = [dict(lr=1.0), dict(lr=0.1)]
        return SimpleNamespace(
            optim_wrapper=SimpleNamespace(param_groups=groups),
            train_loop=SimpleNamespace(stop_training=False),
        )

    def test_rate_follows_half_a_cosine_and_the_run_ends(self, runner, monkeypatch):
        now = [0.0]
        monkeypatch.setattr('mmsgdfuse.engine.hooks.time.monotonic', lambda: now[0])
        hook = TimeBudgetHook(seconds=10, final_share=0.0)
        for moment, share in ((0.0, 1.0), (5.0, 0.5), (10.0, 0.0), (12.0, 0.0)):
            now[0] = moment
            hook.before_train_iter(runner, 0)
            rates = [group['lr'] for group in runner.optim_wrapper.param_groups]
            assert rates == pytest.approx([share, 0.1 * share])
            hook.after_train_epoch(runner)
            assert runner.train_loop.stop_training == (moment >= 10)

    def test_a_time_that_is_not_positive_is_refused(self):
        with pytest.raises(ValueError, match='seconds must be positive'):
            TimeBudgetHook(seconds=0)

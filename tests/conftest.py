"""Fixtures shared by all tests: a scene, the real pairs where they are, and a clean slate."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

# pytest-xdist runs a process per core; more threads in each only wait for one another
torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[1]
REAL_DATA = Path(os.environ.get('MMSGDFUSE_DATA', REPOSITORY.parent / 'shared' / 'data'))


def pytest_collection_modifyitems(items):
    """Skip the tests marked ``gpu`` where there is no CUDA device."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker('gpu'):
            item.add_marker(pytest.mark.skip(reason='needs a CUDA device'))


@pytest.fixture(autouse=True)
def clean_slate(monkeypatch):
    """Each test starts from the same seeds and leaves mmengine's default scope as it was."""
    random.seed(0)
    np.random.seed(0)  # the legacy generator is what mmengine seeds
    torch.manual_seed(0)
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())


@pytest.fixture
def repository() -> Path:
    """The checkout that the tests run in."""
    return REPOSITORY


@pytest.fixture
def scene():
    """A small synthetic scene (96, 128) that the test may change."""
    from mmsgdfuse.datasets.synthetic import synthetic_scene

    return synthetic_scene(seed=0, size=(96, 128))


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder of real image pairs; the test is skipped where they are absent.

    The environment variable ``MMSGDFUSE_DATA`` says where they are. They are not part of the
    repository, since not all of them may be passed on.
    """
    if not (REAL_DATA / 'MSRS').is_dir():
        pytest.skip(f'no image pairs in {REAL_DATA}; set MMSGDFUSE_DATA to their folder')
    return REAL_DATA


@pytest.fixture(scope='session')
def tiny_weights(tmp_path_factory) -> Path:
    """Weights of a very small SGDFuse that nobody has trained, with its recipe in the header."""
    from mmsgdfuse.apis import Recipe
    from mmsgdfuse.utils.weights import save_weights

    recipe = Recipe(
        model=dict(
            type='SGDFuse',
            preliminary=dict(type='PreliminaryNet', channels=8, depth=1, num_heads=2, patch_size=2),
            denoiser=dict(
                type='NoiseUNet',
                base_channels=8,
                channel_mults=[1, 2],
                num_res_blocks=1,
                patch_size=2,
            ),
            head=dict(type='HFAH', level_channels=4, hidden_channels=8),
            feature_timesteps=[5, 50],
        ),
        masks=[dict(type='GenerateMasks')],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = recipe.build_model()
    path = tmp_path_factory.mktemp('weights') / 'tiny.safetensors'
    save_weights(model, path, recipe.to_metadata())
    return path

"""Faults that only building shows are named by key, and real runs start from exported weights."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.engine import check_config, plan_phases, run_phases, select_phase
from mmsgdfuse.engine.building import build_runner, naming_keys, prepare_training
from mmsgdfuse.engine.checkpoints import read_checkpoint
from mmsgdfuse.engine.phases import load_exported
from mmsgdfuse.models.fusers import load_fuser
from mmsgdfuse.utils.config import ConfigError
from mmsgdfuse.utils.image_io import write_image
from mmsgdfuse.utils.setup_env import register_all_modules
from mmsgdfuse.utils.weights import read_metadata, read_weights

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.fixture
def phases(tmp_path, tiny_weights, monkeypatch) -> list:
    """The three phases of a recipe with two pairs and the networks of ``tiny_weights``."""
    # mmengine formats it by yapf for the log, which takes longer than the training
    monkeypatch.setattr(Config, 'pretty_text', property(lambda cfg: repr(cfg.to_dict())))
    register_all_modules()
    for split, count in dict(train=2, test=1).items():
        for seed in range(count):
            scene = synthetic_scene(seed=seed, size=(48, 64))
            write_image(tmp_path / 'MSRS' / split / 'ir' / f'{seed}.png', scene.ir)
            write_image(tmp_path / 'MSRS' / split / 'vi' / f'{seed}.png', scene.vis)
    cfg = Config.fromfile(CONFIGS / 'sgdfuse_msrs.py')
    tiny = read_metadata(tiny_weights)['model']
    for part in ('preliminary', 'denoiser', 'head', 'feature_timesteps'):
        cfg.model[part] = tiny[part]
    options = dict(data_root=str(tmp_path), cache_dir=str(tmp_path / 'masks'), crop_size=48,
                   batch_size=2, num_workers=0, max_epochs=1)  # fmt: skip
    planned = plan_phases(cfg, tmp_path / 'work', options)
    for index, phase in enumerate(planned):
        phase.cfg.experiment_name = f'{tmp_path.name}_{index}'
        phase.cfg.custom_hooks = [dict(type='EpochSeedHook')]  # no average: plain weights
        phase.cfg.optim_wrapper.optimizer.lr = 1e-9
    return planned


def test_fewer_pairs_than_a_batch(phases):
    cfg = phases[0].cfg
    cfg.train_dataloader.batch_size = 24
    with pytest.raises(
        ConfigError, match=r'train_dataloader\.batch_size: .* 2 pair\(s\), fewer than batch_size=24'
    ):
        prepare_training(build_runner(cfg), cfg)


def test_no_pairs_at_all(phases):
    cfg = phases[0].cfg
    cfg.train_dataloader.dataset.indices = 0
    with pytest.raises(ConfigError, match=r'^train_dataloader\.dataset\.indices: is empty'):
        check_config(cfg)
    with pytest.raises(ConfigError, match=r'^train_dataloader\.dataset: '):
        prepare_training(build_runner(cfg), cfg)


@pytest.mark.parametrize(
    ('change', 'key'),
    [
        (lambda cfg: cfg.model.losses.intensity.update(target='colour'), 'model.losses.intensity'),
        (lambda cfg: cfg.model.preliminary.update(channels=7), 'model.preliminary'),
        (lambda cfg: cfg.model.update(feature_timesteps=(5000,)), 'model'),
        (
            lambda cfg: cfg.train_dataloader.dataset.update(layout='heap'),
            'train_dataloader.dataset',
        ),
        (
            lambda cfg: cfg.train_dataloader.dataset.pipeline[0].update(scaling='no'),
            'train_dataloader.dataset.pipeline.0',
        ),
    ],
)
def test_what_a_constructor_refuses_has_its_key(phases, change, key):
    cfg = phases[-1].cfg
    change(cfg)
    with pytest.raises(ConfigError, match=f'^{key}: '):
        prepare_training(build_runner(cfg), cfg)


def test_a_pipeline_without_masks(phases):
    cfg = phases[-1].cfg
    cfg.train_dataloader.dataset.pipeline.pop(1)
    with pytest.raises(ConfigError, match=r'train_dataloader\.dataset: .* no mask_ir, which SGD'):
        prepare_training(build_runner(cfg), cfg)


def test_a_missing_folder_is_reported_with_its_data_set(phases):
    cfg = phases[0].cfg
    cfg.train_dataloader.dataset.data_prefix.pop('vis')
    with pytest.raises(ConfigError, match=r'^train_dataloader\.dataset: [\s\S]*no such folder'):
        prepare_training(build_runner(cfg), cfg)


def test_of_several_data_sets_the_incomplete_one_is_named(phases):
    cfg = phases[0].cfg
    single = cfg.train_dataloader.dataset
    incomplete = copy.deepcopy(single)
    incomplete.pipeline = single.pipeline[:-1]
    repeated = dict(type='RepeatDataset', times=2, dataset=incomplete)
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[single, repeated])
    with pytest.raises(
        ConfigError, match=r'^train_dataloader\.dataset\.datasets\.1\.dataset: its pipeline'
    ):
        prepare_training(build_runner(cfg), cfg)


def test_what_is_no_fault_of_a_part_passes_unchanged():
    with pytest.raises(ZeroDivisionError), naming_keys(dict(model=dict(type='SGDFuse'))):
        1 / 0  # noqa: B018


def test_preparing_draws_nothing(phases):
    cfg = phases[-1].cfg
    runner = build_runner(cfg)
    runner.train_dataloader  # noqa: B018  (a sampler may draw when it is built)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    prepare_training(runner, cfg)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()


def close(one: dict, other: dict, names: list[str]) -> bool:
    return all(torch.allclose(one[n].float(), other[n].float(), atol=1e-3) for n in names)


def test_all_phases_start_from_exported_weights(phases, tiny_weights):
    exported = read_weights(tiny_weights)[0]
    run_phases(phases, load_from=str(tiny_weights))
    for phase in phases:
        state = read_checkpoint(phase.work_dir / 'epoch_1.pth')['state_dict']
        own = [name for name in exported if name in state]
        assert {name.split('.')[0] for name in own} == {
            'preliminary': {'preliminary'},
            'diffusion': {'preliminary', 'denoiser'},
            'fusion': {'preliminary', 'denoiser', 'head'},
        }[phase.name]
        # at a rate of 1e-9 they are still where they began
        assert close(state, exported, own)


@pytest.mark.parametrize('name', ['preliminary', 'diffusion', 'fusion'])
def test_one_phase_starts_from_exported_weights(phases, tiny_weights, name):
    chosen, load_from = select_phase(phases, name, str(tiny_weights))
    checkpoint = run_phases(chosen, load_from=load_from)
    state, exported = read_checkpoint(checkpoint)['state_dict'], read_weights(tiny_weights)[0]
    assert close(state, exported, [key for key in exported if key in state])


def test_weights_that_do_not_fit(phases, tiny_weights, repository):
    cfg = copy.deepcopy(phases[-1].cfg)
    cfg.model.preliminary.channels = 16
    with pytest.raises(ConfigError, match='has the shape'):
        load_exported(tiny_weights, build_runner(cfg).model)
    student = repository / 'mmsgdfuse' / 'assets' / 'sgdfuse-student.safetensors'
    with pytest.raises(ConfigError, match='has no weights of SGDFuse'):
        load_exported(student, load_fuser(weights=tiny_weights))

"""Configs that are wrong are refused with the key, and none that ships is."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsgdfuse.engine import check_config, plan_phases
from mmsgdfuse.engine.config_check import find_faults
from mmsgdfuse.utils.config import ConfigError
from mmsgdfuse.utils.setup_env import import_packages_of, register_all_modules

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SHIPPED = sorted(p for p in CONFIGS.rglob('*.py') if '_base_' not in p.relative_to(CONFIGS).parts)


@pytest.fixture(scope='module')
def recipe() -> Config:
    register_all_modules()
    return plan_phases(Config.fromfile(CONFIGS / 'sgdfuse-compact_ivif.py'), 'work')[-1].cfg


@pytest.fixture
def cfg(recipe) -> Config:
    register_all_modules()
    return copy.deepcopy(recipe)


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.relative_to(CONFIGS).as_posix())
def test_what_ships_has_no_fault(path):
    register_all_modules()
    cfg = Config.fromfile(path)
    package = cfg.get('default_scope')
    if package in ('mmdet', 'mmseg'):
        if importlib.util.find_spec('mmdet' if package == 'mmdet' else 'mmseg') is None:
            pytest.skip(f'{package} is not installed')
        import_packages_of(cfg)
    for phase in plan_phases(cfg, 'work'):
        for task in ('train', 'test'):
            assert find_faults(phase.cfg, task) == []


PIPELINE = 'train_dataloader.dataset.datasets.0.dataset.pipeline'


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('model.losses.ssim.loss_weight', -8, 'must be at least 0'),
        ('model.losses.ssim.loss_weight', float('nan'), 'is NaN'),
        ('model.losses.ssim.loss_weight', None, 'must be a number, found None'),
        ('model.losses.ssim.type', 'SSIMLos', 'did you mean SSIMLoss?'),
        ('model.losses.ssim.type', None, 'must be a class, found None'),
        ('model.losses.ssim', None, 'must be a dict with `type`'),
        ('model.losses', {}, 'is empty'),
        ('model.sampler.wibble', 1, 'is unknown'),
        ('model.head.level_chanels', 16, 'did you mean level_channels?'),
        ('model.head.level_channels', '16', 'must be a whole number'),
        ('model.denoiser.base_channels', 10**9, 'at most 4096'),
        ('model.schedule.beta_start', 0.5, 'must not exceed beta_end'),
        ('model.feature_timesteps', 5, 'must be a list'),
        ('model.noise_share', 1.5, 'at most 1'),
        ('train_dataloader.batch_size', 0, 'must be at least 1'),
        ('train_dataloader.num_workers', -1, 'must be at least 0'),
        ('train_dataloader.shufle', True, 'is unknown'),
        ('train_dataloader.worker_init_fn', {'type': None}, 'must be a class'),
        ('train_dataloader.sampler.shuffle', 'yes', 'must be True or False'),
        ('train_dataloader.dataset.datasets', [], 'is empty'),
        ('train_dataloader.dataset.datasets.0.times', -1, 'must be at least 1'),
        (f'{PIPELINE}.2.crop_size', 0, 'must be at least 32'),
        (f'{PIPELINE}.2.crop_size', 40, 'must be at least 41 for model.losses.vif'),
        (f'{PIPELINE}.0.percentiles', (99, 1), 'must rise'),
        (f'{PIPELINE}.0.percentiles', (0, 400), 'at most 100'),
        (f'{PIPELINE}.1.ir.polarity', None, 'must be text'),
        (f'{PIPELINE}.1.ir.type', 'Thermal', 'is no registered mask generator'),
        ('optim_wrapper.clip_grad.max_norm', -1e9, 'must be above 0'),
        ('optim_wrapper.optimizer.lr', 0, 'must be above 0'),
        ('optim_wrapper.optimizer.betas', (0.9, 2), 'at most 1'),
        ('optim_wrapper.optimizer.momentun', 0.9, 'is unknown'),
        ('optim_wrapper.paramwise_cfg.custom_keys.denoiser.lr_mult', -1, 'at least 0'),
        ('param_scheduler.0.eta_minimum', 0, 'did you mean eta_min?'),
        ('train_cfg.max_epochs', 0, 'must be at least 1'),
        ('train_cfg.max_epochs', 'ten', 'must be a whole number'),
        ('train_cfg.val_interval', 0, 'must be at least 1'),
        ('custom_hooks.1.gama', 10, 'did you mean gamma?'),
        ('custom_hooks.1.momentum', 7.0, 'at most 1'),
        ('default_hooks.logger.interval', 0, 'must be at least 1'),
        ('default_hooks.checkpoint.type', 'CheckpointHok', 'did you mean CheckpointHook?'),
        ('val_evaluator.names', 'EN', 'must be a list'),
        ('randomness.seed', -1, 'must be at least 0'),
        ('log_level', 'LOUD', 'must be one of'),
        ('env_cfg.mp_cfg.mp_start_method', 'spoon', 'must be fork'),
    ],
)  # fmt: skip
def test_the_key_is_named(cfg, key, value, message):
    owner = cfg
    *parents, name = key.split('.')
    for parent in parents:
        if isinstance(owner, (list, tuple)):
            owner = owner[int(parent)]
        else:
            owner = owner.setdefault(parent, dict(type=_DEFAULTS[parent])) if (
                parent in _DEFAULTS and parent not in owner
            ) else owner[parent]  # fmt: skip
    owner[name] = value
    faults = find_faults(cfg)
    assert any(fault.startswith(f'{key}') and message in fault for fault in faults), faults
    with pytest.raises(ConfigError, match=key.replace('.', r'\.')):
        check_config(cfg)


_DEFAULTS = dict(sampler='DPMSolverSampler', schedule='LinearNoiseSchedule')


@pytest.mark.parametrize('key', ['model', 'train_cfg', 'optim_wrapper', 'train_dataloader'])
def test_what_is_missing_is_named(cfg, key):
    cfg[f'{key}x'] = cfg.pop(key)
    with pytest.raises(ConfigError, match=rf'{key}: is missing \({key}x is there\)'):
        check_config(cfg)


def test_the_default_class_of_an_average_is_named(cfg):
    del cfg.custom_hooks[1].ema_type
    message = r'gamma: is unknown.*ExponentialMovingAverage, custom_hooks\.1\.ema_type'
    with pytest.raises(ConfigError, match=message):
        check_config(cfg)


def test_several_faults_are_counted(cfg):
    cfg.train_cfg.max_epochs = 0
    cfg.model.losses.ssim.loss_weight = -1
    with pytest.raises(ConfigError, match=r'ssim.*\(and 1 more fault\(s\): train_cfg\.max_epochs'):
        check_config(cfg)


def test_classes_of_others_are_taken_as_they_are(cfg):
    cfg.default_hooks.logger = dict(type=_Foreign, anything=1)
    check_config(cfg)


class _Foreign:
    def __init__(self, something: str) -> None:
        self.something = something

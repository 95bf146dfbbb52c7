"""Whether a config can be right, before anything is built from it."""

from __future__ import annotations

import collections.abc
import difflib
import inspect
import math
import os
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.registry import Registry
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    LogProcessor,
    Runner,
    TestLoop,
    ValLoop,
    set_random_seed,
)
from torch import nn
from torch.utils.data import DataLoader

from mmsgdfuse import registry
from mmsgdfuse.utils.config import ConfigError, runner_keys, walk

_SHOWN = 3
_CHECKED_PACKAGES = ('mmsgdfuse', 'mmengine', 'torch')
# keys that mmengine takes out of a component's config before it builds it
_BUILDER_KEYS = {'type', '_scope_', '_delete_', 'priority', 'convert_to_iter_based'}
# arguments that the builder of a component fills in
_FILLED = {
    'optimizer', 'model', 'param_name', 'T_max', 'runner', 'dataloader', 'evaluator', 'in_channels',
    'save_dir', 'params',
}  # fmt: skip


class Range(typing.NamedTuple):
    """Bounds of a number; ``above`` says that ``low`` itself is outside."""

    low: float
    high: float = math.inf
    above: bool = False

    def holds(self, value: float) -> bool:
        return (value > self.low if self.above else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        bound = f'above {self.low:g}' if self.above else f'at least {self.low:g}'
        return bound if math.isinf(self.high) else f'{bound} and at most {self.high:g}'


_SHARE = Range(0, 1)
_WEIGHT = Range(0, 1e6)
_COUNT = Range(1, 1e6)
_WIDTH = Range(1, 4096)
# What an argument may be wherever one of our classes, mmengine's or torch's takes it under this
# name; upper bounds are far beyond sense, and catch a slip of the exponent.
RANGES: dict[str, Range] = {
    'loss_weight': _WEIGHT, 'gradient_weight': _WEIGHT, 'mask_floor': _SHARE,
    'background': _SHARE, 'gain': Range(0, 1e3, True), 'window': Range(1, 4096),
    'noise_variance': Range(0, 1e6, True), 'floor': Range(0, 1e6), 'threshold': Range(0, 255),
    'limit': _SHARE, 'noise_share': Range(0, 1, True), 'prob': _SHARE, 'horizontal': _SHARE,
    'vertical': _SHARE, 'drop_prob': _SHARE, 'flatten_prob': _SHARE, 'morph_prob': _SHARE,
    'max_gamma': Range(1, 100), 'max_radius': Range(0, 1024), 'max_shift': Range(0, 1024),
    'dropout': _SHARE, 'channels': _WIDTH, 'depth': Range(1, 64), 'num_heads': Range(1, 256),
    'expansion': Range(0, 64, True), 'patch_size': Range(1, 64), 'base_channels': _WIDTH,
    'in_channels': _WIDTH, 'channel_mults': Range(1, 64), 'num_res_blocks': Range(1, 64),
    'level_channels': _WIDTH, 'hidden_channels': _WIDTH, 'source_channels': _WIDTH,
    'num_convs': Range(1, 64), 'residual_scale': Range(0, 1e3, True), 'widths': _WIDTH,
    'contrast': Range(0, 1e6, True), 'share_window': Range(1, 1023), 'depths': Range(0, 64),
    'num_train_timesteps': Range(1, 1e5), 'beta_start': Range(0, 1, True),
    'beta_end': Range(0, 1, True), 'max_beta': Range(0, 1, True), 'offset': Range(0, 1),
    'solver_order': Range(1, 3), 'eta': Range(0, 1), 'feature_timesteps': Range(0, 1e5),
    'start_timestep': Range(0, 1e5), 'num_steps': _COUNT, 'pad_size_divisor': Range(1, 4096),
    'crop_size': Range(32, 1e5), 'percentiles': Range(0, 100), 'scale': Range(0, 1, True),
    'ir_classes': Range(0, 255), 'vis_classes': Range(0, 255), 'min_area': Range(0, 1e9),
    'max_images': Range(0, 1e6), 'interval': Range(-1, 1e9), 'max_keep_ckpts': Range(-1, 1e9),
    'times': _COUNT, 'max_refetch': Range(0, 1e6), 'seed': Range(0, 2**32 - 1),
    'lr': Range(0, 1e3, True), 'eta_min': Range(0, 1e3), 'weight_decay': Range(0, 1e3),
    'betas': _SHARE, 'eps': Range(0, 1), 'accumulative_counts': _COUNT, 'loss_scale': Range(0),
    'momentum': Range(0, 1), 'gamma': Range(0, 1e9), 'begin': Range(0), 'end': Range(0),
    'warmup_iters': Range(0), 'max_epochs': _COUNT, 'max_iters': Range(1, 1e12),
    'val_interval': Range(1, 1e9), 'val_begin': Range(0, 1e9), 'batch_size': Range(1, 1e6),
    'num_workers': Range(0, 512), 'prefetch_factor': Range(1, 1e4), 'timeout': Range(0),
    'window_size': Range(1, 1e9), 'max_norm': Range(0, 1e9, True),
    'clip_value': Range(0, 1e9, True), 'norm_type': Range(0, math.inf, True),
    'lr_mult': Range(0, 1e6), 'decay_mult': Range(0, 1e6), 'bias_lr_mult': Range(0, 1e6),
    'num_batch_per_epoch': Range(1, 1e9), 'columns': Range(1, 1e3), 'tile_width': Range(1, 1e5),
    'scales': Range(0, 1e3, True), 'levels': Range(0, 1e3, True), 'max_area': Range(0, 1, True),
    'max_segments': Range(1, 1e6), 'points_per_side': Range(1, 1024),
    'points_per_batch': Range(1, 1e5), 'crop_n_layers': Range(0, 16),
    'crop_overlap_ratio': _SHARE, 'mask_value': _SHARE,
}  # fmt: skip
# bounds that hold in one class alone
_OWN_RANGES = {
    # nothing is kept after a train interval below 1
    ('FusionVisualizationHook', 'interval'): Range(1, 1e9),
    ('LoggerHook', 'interval'): Range(1, 1e9),
    ('salience', 'floor'): _SHARE,
    ('ThermalVisualSaliency', 'min_area'): _SHARE,
    ('MomentumAnnealingEMA', 'gamma'): Range(1, 1e9),
}
# pairs of arguments of which the first must be the smaller one
_RISING = [('beta_start', 'beta_end'), ('min_area', 'max_area'), ('begin', 'end')]
_RISING_SEQUENCES = ('percentiles', 'scale', 'levels')

_M = registry.MODELS
# Which registry the parts of a component are built from, by the argument's name: `losses` and
# the like hold several by name or in a list.
_PARTS: dict[str, dict[str, Registry]] = {
    'model': dict.fromkeys(
        ('preliminary', 'denoiser', 'head', 'network', 'distillation', 'noise_loss', 'fuser',
         'data_preprocessor', 'losses'), _M,
    ) | {'schedule': registry.NOISE_SCHEDULES, 'sampler': registry.DIFFUSION_SCHEDULERS},
    'dataset': {
        'dataset': registry.DATASETS, 'datasets': registry.DATASETS,
        'pipeline': registry.TRANSFORMS,
    },
    'transform': {
        'ir': registry.MASK_GENERATORS, 'vis': registry.MASK_GENERATORS,
        'composer': registry.MASK_COMPOSERS, 'transforms': registry.TRANSFORMS,
    },
    'mask generator': {
        'prompter': registry.MASK_GENERATORS, 'composer': registry.MASK_COMPOSERS,
    },
    'optim_wrapper': {'optimizer': registry.OPTIMIZERS},
    'visualizer': {'vis_backends': registry.VISBACKENDS},
}  # fmt: skip
_SEVERAL = {'losses', 'datasets', 'pipeline', 'transforms', 'vis_backends'}
_NOT_EMPTY = {'losses', 'datasets', 'pipeline', 'feature_timesteps', 'names', 'indices'}
_MASK_MAKERS = {'LoadMasks', 'LoadSemanticMasks', 'RandomCropMasks', 'DropMask'}
_LOADER_PARTS = {
    'dataset': registry.DATASETS,
    'sampler': registry.DATA_SAMPLERS,
    'batch_sampler': registry.DATA_SAMPLERS,
    'worker_init_fn': registry.FUNCTIONS,
    'collate_fn': registry.FUNCTIONS,
}
_TRAINED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
_TESTED = ('model', 'test_dataloader', 'test_cfg', 'test_evaluator')
_LEVELS = ('NOTSET', 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')


def check_config(cfg: Config, task: str = 'train') -> None:
    """Refuse a config that cannot be right.

    Looked at are the names of classes; the names, types and ranges of the arguments of this
    package's classes, mmengine's and torch's optimizers; and the settings of loaders and loops.
    Classes of other packages are taken as they are.

    Args:
        cfg: Config of one Runner, such as one phase's.
        task: ``'train'`` or ``'test'``: which parts must be there. Default ``'train'``.

    Raises:
        ConfigError: Something is wrong; the message names the key and the remedy, and the keys
            of up to two further faults.
    """
    faults = find_faults(cfg, task)
    if not faults:
        return
    first, *others = faults
    if others:
        keys = ', '.join(fault.split(': ', 1)[0] for fault in others[: _SHOWN - 1])
        rest = ', ...' if len(others) >= _SHOWN else ''
        first += f' (and {len(others)} more fault(s): {keys}{rest})'
    raise ConfigError(first)


def find_faults(cfg: Config, task: str = 'train') -> list[str]:
    """What is wrong with a config, as ``key: what is expected and found``; see above."""
    return list(_Checker(cfg, task).faults())


class _Checker:
    """The parts of one config, and what is wrong with each."""

    def __init__(self, cfg: Config, task: str) -> None:
        self.cfg = cfg.to_dict() if isinstance(cfg, Config) else dict(cfg)
        self.task = task
        self.scope = self.cfg.get('default_scope') or registry.SCOPE

    def faults(self) -> Iterator[str]:
        yield from self._top_level()
        yield from _not_a_number(self.cfg)
        cfg = self.cfg
        yield from self._part('model', cfg.get('model'), _M)
        for task in ('train', 'val', 'test'):
            yield from self._loader(f'{task}_dataloader', cfg.get(f'{task}_dataloader'))
            yield from self._evaluator(f'{task}_evaluator', cfg.get(f'{task}_evaluator'))
            yield from self._loop(task, cfg.get(f'{task}_cfg'))
        yield from self._optim_wrapper(cfg.get('optim_wrapper'))
        for path, child in _each('param_scheduler', cfg.get('param_scheduler')):
            yield from self._part(path, child, registry.PARAM_SCHEDULERS)
        for key in ('default_hooks', 'custom_hooks'):
            yield from self._hooks(key, cfg.get(key))
        if cfg.get('visualizer') is not None:
            yield from self._part('visualizer', cfg['visualizer'], registry.VISUALIZERS)
        yield from _call('log_processor', cfg.get('log_processor'), LogProcessor)
        yield from _call('randomness', cfg.get('randomness'), set_random_seed)
        yield from self._relations()

    def _top_level(self) -> Iterator[str]:
        wanted = _TRAINED if self.task == 'train' else _TESTED
        for key in wanted:
            if self.cfg.get(key) is None:
                yield f'{key}: is missing{_instead(key, self.cfg)}; the config needs it'
        for key in sorted(set(self.cfg) - runner_keys()):
            known = inspect.signature(Runner.__init__).parameters.keys() - set(self.cfg)
            close = difflib.get_close_matches(key, known, 1, 0.85)
            if close and close[0] not in wanted:
                yield f'{key}: is unknown; did you mean {close[0]}?'
        expected: dict[str, Any] = dict(
            default_scope=str | None, work_dir=str | None, load_from=str | None,
            resume=bool, env_cfg=dict, launcher=str, runner_type=str, experiment_name=str | None,
            custom_imports=dict | None, strategy=dict | None,
        )  # fmt: skip
        for key, hint in expected.items():
            if key in self.cfg and not _fits(self.cfg[key], hint):
                yield _mismatch(key, hint, self.cfg[key])
        level = self.cfg.get('log_level', 'INFO')
        if level not in _LEVELS and type(level) is not int:
            yield f'log_level: must be one of {", ".join(_LEVELS)}, found {level!r}'
        yield from self._environment()

    def _environment(self) -> Iterator[str]:
        node = self.cfg.get('env_cfg') or {}
        if not isinstance(node, Mapping):
            return
        known = ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit', 'opencv_num_threads')
        yield from _unknown('env_cfg', node, known)
        for key in ('mp_cfg', 'dist_cfg'):
            part = node.get(key)
            if key in node and not isinstance(part, Mapping):
                yield _mismatch(f'env_cfg.{key}', dict, part)
        parts: Any = node.get('mp_cfg') if isinstance(node.get('mp_cfg'), Mapping) else {}
        yield from _unknown('env_cfg.mp_cfg', parts, ('mp_start_method', 'opencv_num_threads'))
        method = parts.get('mp_start_method', 'fork')
        if method not in ('fork', 'spawn', 'forkserver'):
            yield (
                'env_cfg.mp_cfg.mp_start_method: must be fork, spawn or forkserver, found '
                f'{method!r}'
            )
        backend = (node.get('dist_cfg') or {}) if isinstance(node.get('dist_cfg'), Mapping) else {}
        if not isinstance(backend.get('backend', 'nccl'), str):
            yield _mismatch('env_cfg.dist_cfg.backend', str, backend['backend'])

    def _part(self, path: str, node: Any, found_in: Registry) -> Iterator[str]:
        """A component: a dict with ``type`` and the class's arguments."""
        if callable(node) or isinstance(node, nn.Module):
            return
        if not isinstance(node, Mapping):
            if node is not None or path != 'model':  # a missing model was said already
                yield f'{path}: must be a dict with `type`, found {_shown(node)}'
            return
        kind = node.get('type')
        if not isinstance(kind, str) and not callable(kind):
            names = ', '.join(sorted(found_in.module_dict)[:4])
            found = 'is missing' if 'type' not in node else f'must be a class, found {_shown(kind)}'
            yield f'{path}.type: {found}; give the name of a {found_in.name}, such as {names}'
            return
        cls = kind if callable(kind) else self._resolve(kind, found_in, node.get('_scope_'))
        if cls is None:
            close = difflib.get_close_matches(kind, _names(found_in), 1)
            hint = f'did you mean {close[0]}?' if close else 'import the module that registers it'
            yield f'{path}.type: {kind!r} is no registered {found_in.name}; {hint}'
            return
        if getattr(cls, '__module__', '').split('.')[0] not in _CHECKED_PACKAGES:
            return
        yield from _call(path, node, cls)
        if cls is EMAHook:  # the rest is for the class of the average
            rest = {k: v for k, v in node.items() if k not in _parameters(EMAHook)[0]}
            average = dict(rest, type=node.get('ema_type', 'ExponentialMovingAverage'))
            for fault in self._part(path, average, _M):
                yield f'{fault} (the class of the average is {average["type"]}, {path}.ema_type)'
        if inspect.isclass(cls) and issubclass(cls, nn.Module):
            parts = _PARTS['model']
        else:
            parts = _PARTS.get(found_in.name, {})
        for key, inner in parts.items():
            child = node.get(key)
            if child is None or isinstance(child, str):
                continue
            if key in ('ir', 'vis') and cls.__name__ != 'GenerateMasks':
                continue
            if key in _SEVERAL:
                children = _each(f'{path}.{key}', child)
            else:
                children = iter([(f'{path}.{key}', child)])
            for inner_path, inner_node in children:
                yield from self._part(inner_path, inner_node, inner)

    def _resolve(self, kind: str, found_in: Registry, scope: str | None) -> Callable | None:
        own = found_in.get(kind)
        if own is not None or found_in.root is found_in:
            return own
        with found_in.root.switch_scope_and_registry(scope or self.scope) as searched:
            return searched.get(kind)

    def _loader(self, path: str, node: Any) -> Iterator[str]:
        if node is None:
            return
        if not isinstance(node, Mapping):
            yield _mismatch(path, dict, node)
            return
        known = inspect.signature(DataLoader.__init__).parameters.keys() - {'self'}
        yield from _unknown(path, node, sorted({*known, 'num_batch_per_epoch'}))
        hints = dict(
            batch_size=int, num_workers=int, drop_last=bool, pin_memory=bool,
            persistent_workers=bool, prefetch_factor=int | None, num_batch_per_epoch=int | None,
            timeout=float,
        )  # fmt: skip
        for key, hint in hints.items():
            if key in node:
                yield from _value(f'{path}.{key}', node[key], hint, key)
        if 'batch_size' not in node and 'batch_sampler' not in node:
            yield f'{path}.batch_size: is missing; give a number of pairs'
        for key in ('dataset', 'sampler'):
            if node.get(key) is None:
                yield f'{path}.{key}: is missing{_instead(key, node)}; give a dict with `type`'
        for key, found_in in _LOADER_PARTS.items():
            if node.get(key) is not None:
                yield from self._part(f'{path}.{key}', node[key], found_in)

    def _evaluator(self, path: str, node: Any) -> Iterator[str]:
        if isinstance(node, Mapping) and 'metrics' in node:
            path, node = f'{path}.metrics', node['metrics']
        for inner, metric in _each(path, node):
            yield from self._part(inner, metric, registry.METRICS)

    def _loop(self, task: str, node: Any) -> Iterator[str]:
        path = f'{task}_cfg'
        if node is None:
            return
        if not isinstance(node, Mapping):
            yield _mismatch(path, dict, node)
            return
        if 'type' in node:
            yield from self._part(path, node, registry.LOOPS)
            return
        by_epoch = node.get('by_epoch', True)
        if not isinstance(by_epoch, bool):
            yield _mismatch(f'{path}.by_epoch', bool, by_epoch)
        loops = {'val': ValLoop, 'test': TestLoop}
        trains = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
        rest = {key: value for key, value in node.items() if key != 'by_epoch'}
        yield from _call(path, rest if task == 'train' else node, loops.get(task, trains))

    def _optim_wrapper(self, node: Any) -> Iterator[str]:
        path = 'optim_wrapper'
        if node is None:
            return
        if not isinstance(node, Mapping):
            yield _mismatch(path, dict, node)
            return
        rest = {'type': 'OptimWrapper', **node}
        rest.pop('constructor', None)
        groups = rest.pop('paramwise_cfg', None)
        yield from self._part(path, rest, registry.OPTIM_WRAPPERS)
        if node.get('optimizer') is None:
            hint = _instead('optimizer', node)
            yield f'{path}.optimizer: is missing{hint}; give a dict with `type`'
        elif _has_name(node['optimizer']) and 'lr' not in node['optimizer']:
            yield f'{path}.optimizer.lr: is missing; give the learning rate, such as 1e-4'
        clip = node.get('clip_grad')
        if isinstance(clip, Mapping):
            norm = clip.get('type', 'norm') == 'norm'
            wanted = 'max_norm' if norm else 'clip_value'
            known = ('type', wanted, 'error_if_nonfinite', 'foreach', *(['norm_type'] * norm))
            yield from _unknown(f'{path}.clip_grad', clip, known)
            if wanted not in clip:
                yield f'{path}.clip_grad.{wanted}: is missing; give a number above 0'
            for key in {wanted, 'norm_type'} & set(clip):
                yield from _value(f'{path}.clip_grad.{key}', clip[key], float, key)
        if 'constructor' in node:
            return
        if groups is not None and not isinstance(groups, Mapping):
            yield _mismatch(f'{path}.paramwise_cfg', dict, groups)
        elif groups:
            yield from _groups(f'{path}.paramwise_cfg', groups)

    def _hooks(self, path: str, node: Any) -> Iterator[str]:
        by_name = path == 'default_hooks'
        if node is not None and not isinstance(node, Mapping if by_name else (list, tuple)):
            yield _mismatch(path, dict if by_name else list, node)
            return
        for inner, hook in _each(path, node):
            if hook is not None or not by_name:  # None takes a default hook out
                yield from self._part(inner, hook, registry.HOOKS)
            if isinstance(hook, Mapping) and not _fits(hook.get('priority'), int | str | None):
                yield _mismatch(f'{inner}.priority', int | str | None, hook['priority'])

    def _masks(self) -> Iterator[str]:
        """Masks that a pipeline is told not to make although something needs them."""
        model = self.cfg.get('model')
        cls = None
        if isinstance(model, Mapping) and _has_name(model):
            cls = self._resolve(model['type'], _M, None)
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            for path, pipeline in walk(self.cfg.get(loader), loader):
                if not path.endswith('.pipeline') or not isinstance(pipeline, (list, tuple)):
                    continue
                types_ = _types(pipeline)
                needed = getattr(cls, 'needs_masks', False) or 'AugmentMasks' in types_
                if not needed or set(types_) & _MASK_MAKERS or types_.count('GenerateMasks') != 1:
                    continue
                for index, each in enumerate(pipeline):
                    if _has_name(each) and each['type'].endswith('GenerateMasks'):
                        for key in ('ir', 'vis'):
                            if key in each and each[key] is None:
                                yield (
                                    f'{path}.{index}.{key}: is None, so nothing makes the '
                                    f'mask_{key} that the model needs; give a mask generator'
                                )

    def _relations(self) -> Iterator[str]:
        """What two parts of a config must have in common."""
        val = [self.cfg.get(f'val_{part}') is None for part in ('dataloader', 'cfg', 'evaluator')]
        if self.task == 'train' and any(val) and not all(val):
            missing = ('dataloader', 'cfg', 'evaluator')[val.index(True)]
            yield (
                f'val_{missing}: is missing; a validation needs val_dataloader, val_cfg and '
                'val_evaluator, or none of them'
            )
        yield from self._masks()
        sizes = [
            (path, node)
            for path, node in walk(self.cfg.get('train_dataloader'), 'train_dataloader')
            if path.endswith('.crop_size')
        ]
        losses = (self.cfg.get('model') or {}) if isinstance(self.cfg.get('model'), Mapping) else {}
        for key, loss in _each('model.losses', losses.get('losses')):
            cls = self._resolve(loss['type'], _M, None) if _has_name(loss) else None
            smallest = getattr(cls, 'MIN_SIDE', 0)
            for path, size in sizes:
                sides = size if isinstance(size, (list, tuple)) else [size]
                if all(_is_number(side) for side in sides) and min(sides, default=0) < smallest:
                    yield f'{path}: must be at least {smallest} for {key}, found {size}'


def _types(pipeline: Sequence[Any]) -> list[str]:
    return [each['type'].rpartition('.')[2] for each in pipeline if _has_name(each)]


def _has_name(node: Any) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get('type'), str)


def _each(path: str, node: Any) -> Iterator[tuple[str, Any]]:
    """The components of a list, of a dict by name, or the one that stands alone."""
    if node is None:
        return
    if isinstance(node, Mapping) and 'type' not in node:
        yield from ((f'{path}.{key}', child) for key, child in node.items())
    elif isinstance(node, (list, tuple)):
        yield from ((f'{path}.{index}', child) for index, child in enumerate(node))
    else:
        yield path, node


def _groups(path: str, node: Mapping[str, Any]) -> Iterator[str]:
    """Learning rates by parameter, as mmengine's default constructor takes them."""
    known = ('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult',
             'flat_decay_mult', 'dwconv_decay_mult', 'dcn_offset_lr_mult',
             'bypass_duplicate')  # fmt: skip
    yield from _unknown(path, node, known)
    custom = node.get('custom_keys', {})
    if not isinstance(custom, Mapping):
        yield _mismatch(f'{path}.custom_keys', dict, custom)
        return
    for name, values in custom.items():
        if not isinstance(values, Mapping):
            yield _mismatch(f'{path}.custom_keys.{name}', dict, values)
            continue
        for key in {'lr_mult', 'decay_mult'} & set(values):
            yield from _value(f'{path}.custom_keys.{name}.{key}', values[key], float, key)


def _call(path: str, node: Any, function: Callable) -> Iterator[str]:
    """Faults in the arguments that a config gives to a class or function."""
    if node is None:
        return
    if not isinstance(node, Mapping):
        yield _mismatch(path, dict, node)
        return
    arguments = {key: value for key, value in node.items() if key not in _BUILDER_KEYS}
    parameters, open_ended = _parameters(function)
    if not open_ended:
        yield from _unknown(path, arguments, sorted(parameters))
    for name, (hint, required) in parameters.items():
        if name in arguments:
            if name not in ('optimizer', 'dataset'):  # built by others from a dict
                yield from _value(f'{path}.{name}', arguments[name], hint, name, function)
        elif required and name not in _FILLED and not (name == 'dataset' and _samples(function)):
            yield f'{path}.{name}: is missing; {_name_of(function)} needs it'
    for low, high in _RISING:
        pair: Any = arguments.get(low), arguments.get(high)
        if all(_is_number(value) for value in pair) and pair[0] > pair[1]:
            yield f'{path}.{low}: must not exceed {high}={pair[1]}, found {pair[0]}'
    for name in _RISING_SEQUENCES:
        values: Any = arguments.get(name)
        numbers = isinstance(values, (list, tuple)) and all(map(_is_number, values))
        if numbers and list(values) != sorted(values):
            yield f'{path}.{name}: must rise, found {list(values)}'


def _samples(function: Callable) -> bool:
    return getattr(function, '__name__', '').endswith('Sampler')


@cache
def _parameters(function: Callable) -> tuple[dict[str, tuple[Any, bool]], bool]:
    """Arguments by name with their type and whether they are needed; whether any other passes.

    What a class takes as ``**kwargs`` is looked up in the class that it inherits from.
    """
    found: dict[str, tuple[Any, bool]] = {}
    calls: Sequence[Any] = [function]
    if inspect.isclass(function):
        calls = [vars(base)['__init__'] for base in function.__mro__ if '__init__' in vars(base)]
    for call in calls:
        if call is nn.Module.__init__ or call is object.__init__:
            return found, False
        try:
            parameters = inspect.signature(call).parameters
        except ValueError:
            return found, True
        try:
            hints = typing.get_type_hints(call)
        except (NameError, TypeError):  # a name that only type checkers import
            hints = {}
        more = False
        for index, (name, parameter) in enumerate(parameters.items()):
            if parameter.kind is parameter.VAR_KEYWORD:
                more = True
            elif parameter.kind is not parameter.VAR_POSITIONAL and (index or call is function):
                # what is no class is called later, with more arguments
                required = parameter.default is parameter.empty and inspect.isclass(function)
                found.setdefault(name, (hints.get(name, Any), required))
        if not more:
            return found, False
        if not _hands_on(call):
            return found, True
    return found, True


def _hands_on(call: Callable) -> bool:
    """Whether a constructor gives its ``**kwargs`` to the class that it inherits from."""
    try:
        source = inspect.getsource(call)
    except OSError:
        return False
    return re.search(r'super\([^)]*\)\s*\.__init__\([^)]*\*\*', source) is not None


def _value(
    path: str, value: Any, hint: Any, name: str, function: Callable | None = None
) -> Iterator[str]:
    # many a package's signature says `str = None`
    foreign = not getattr(function, '__module__', 'mmsgdfuse').startswith('mmsgdfuse')
    left_out = foreign and value is None and _default_is_none(function, name)
    if not left_out and not _fits(value, hint):
        yield _mismatch(path, hint, value)
        return
    nothing = isinstance(value, (list, tuple, Mapping)) or (name == 'indices' and value == 0)
    if name in _NOT_EMPTY and nothing and not value:
        yield f'{path}: is empty; give at least one'
    allowed = _OWN_RANGES.get((_name_of(function), name), RANGES.get(name))
    if allowed is None:
        return
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if _is_number(item) and not math.isnan(item) and not allowed.holds(item):
            yield f'{path}: must be {allowed}, found {value!r}'
            return


def _default_is_none(function: Callable | None, name: str) -> bool:
    for base in getattr(function, '__mro__', [function]):
        call = vars(base).get('__init__') if inspect.isclass(base) else base
        if call is not None:
            parameter = inspect.signature(call).parameters.get(name)
            if parameter is not None:
                return parameter.default is None
    return False


def _not_a_number(cfg: Mapping[str, Any]) -> Iterator[str]:
    for path, value in walk(cfg):
        if isinstance(value, float) and math.isnan(value):
            yield f'{path}: is NaN; give a number'


def _unknown(path: str, node: Mapping[str, Any], known: Sequence[str]) -> Iterator[str]:
    for key in node:
        if key not in known and key not in _BUILDER_KEYS:
            close = difflib.get_close_matches(str(key), known, 1)
            names = ', '.join(sorted(set(known) - {'self'})) or 'nothing'
            hint = f'did you mean {close[0]}?' if close else f'known are {names}'
            yield f'{path}.{key}: is unknown; {hint}'


def _instead(key: str, node: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, [str(name) for name in node], 1, 0.8)
    return f' ({close[0]} is there)' if close and close[0] != key else ''


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _names(found_in: Registry) -> list[str]:
    names = list(found_in.module_dict)
    if found_in.root is not found_in:
        names += list(found_in.root.module_dict)
    return names


def _name_of(function: Callable | None) -> str:
    return getattr(function, '__name__', str(function))


_SEQUENCES = (collections.abc.Sequence, collections.abc.Collection, collections.abc.Iterable)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of a config is one of a type, or the config of one."""
    if hint is Any or hint is inspect.Parameter.empty or isinstance(hint, (str, typing.TypeVar)):
        return True
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in arguments)
    if origin is typing.Literal:
        return value in arguments
    if hint is None or hint is type(None):
        return value is None
    kind = origin or hint
    if kind is collections.abc.Callable:
        return callable(value) or isinstance(value, Mapping)
    if not inspect.isclass(kind):
        return True
    if kind is bool:
        return isinstance(value, bool)
    if kind is float:
        return _is_number(value)
    if kind is int:
        return _is_number(value) and isinstance(value, int)
    if kind is str:
        return isinstance(value, str)
    if issubclass(kind, os.PathLike):
        return isinstance(value, (str, os.PathLike))
    if issubclass(kind, Mapping):
        inner = arguments[1] if len(arguments) == 2 else Any
        return isinstance(value, Mapping) and all(_fits(item, inner) for item in value.values())
    if kind in (list, tuple) or kind in _SEQUENCES:
        return _fits_sequence(value, kind, arguments)
    return isinstance(value, (kind, Mapping)) or callable(value)


def _fits_sequence(value: Any, kind: type, arguments: tuple[Any, ...]) -> bool:
    if not isinstance(value, (list, tuple, set, frozenset)):
        return False
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    return not arguments or all(_fits(item, arguments[0]) for item in value)


def _mismatch(path: str, hint: Any, value: Any) -> str:
    return f'{path}: must be {_described(hint)}, found {_shown(value)}'


def _described(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return ' or '.join(dict.fromkeys(_described(each) for each in arguments))
    if hint is None or hint is type(None):
        return 'None'
    names = {
        int: 'a whole number', float: 'a number', str: 'text', bool: 'True or False',
        dict: 'a dict', list: 'a list', tuple: 'a list',
    }  # fmt: skip
    kind = origin or hint
    if kind in names and not arguments:
        return names[kind]
    if inspect.isclass(kind) and issubclass(kind, Mapping):
        inner = len(arguments) == 2 and arguments[1] is not Any
        return f'a dict, each value {_described(arguments[1])}' if inner else 'a dict'
    if inspect.isclass(kind) and issubclass(kind, os.PathLike):
        return 'a path'
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        return f'a list of {len(arguments)}, each {_described(arguments[0])}'
    if kind is collections.abc.Callable:
        return 'a function'
    if inspect.isclass(kind) and issubclass(kind, collections.abc.Collection):
        return f'a list, each {_described(arguments[0])}' if arguments else 'a list'
    return f'a {getattr(kind, "__name__", kind)} or its config'


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'

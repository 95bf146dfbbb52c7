"""Building what a config describes, with the key in every complaint."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from types import TracebackType
from typing import Any, cast

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.registry import MODELS, RUNNERS
from mmengine.runner import FlexibleRunner, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmsgdfuse.datasets.ivif_dataset import DatasetError
from mmsgdfuse.registry import SCOPE
from mmsgdfuse.utils.config import ConfigError, runner_keys, walk
from mmsgdfuse.utils.errors import InputError, InputTypeError, MMSGDFuseError


@contextmanager
def naming_keys(cfg: Mapping[str, Any] | Config, key: str | None = None) -> Iterator[None]:
    """Context in which a failure of a part of a config is reported with the part's key.

    Args:
        cfg: The config that is built from.
        key: Key to report where the traceback does not tell which part failed. Default None:
            such a failure passes unchanged.

    Raises:
        ConfigError: In place of the error raised inside, which is its cause. Errors of single files
            name the file and pass unchanged.
    """
    try:
        yield
    except Exception as error:  # a constructor may raise anything
        of_a_file = isinstance(error, (OSError, MMSGDFuseError))
        if of_a_file and not isinstance(error, (DatasetError, InputError, InputTypeError)):
            raise
        place = _failing_key(cfg, error.__traceback__) or key
        if place is None:
            raise
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise ConfigError(f'{place}: {text or repr(error)}') from error


def _failing_key(cfg: Mapping[str, Any] | Config, traceback: TracebackType | None) -> str | None:
    """Path of the part whose construction or work the traceback ends in."""
    frames = []
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    parts = [
        (path, node)
        for path, node in walk(cfg)
        if path.split('.', 1)[0] in runner_keys() and isinstance(node, Mapping) and 'type' in node
    ]
    # the builder's own frames hold the very config; those of a part at work only its values
    built = [
        frame.f_locals['cfg']
        for frame in reversed(frames)
        if 'obj_type' in frame.f_locals and isinstance(frame.f_locals.get('cfg'), Mapping)
    ]
    working = [
        {**frame.f_locals, 'type': type(frame.f_locals['self'])}
        for frame in reversed(frames)
        if frame.f_code.co_name in ('__init__', 'transform', '__call__')
        and 'self' in frame.f_locals
    ]
    for found in built + working:
        matches = [
            (sum(_same(found.get(key), value) for key, value in node.items()), -index, path)
            for index, (path, node) in enumerate(parts)
            if _class_name(node['type']) == _class_name(found.get('type'))
        ]
        if matches:
            return max(matches)[2]
    return None


def _class_name(kind: Any) -> str:
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', repr(kind))
    return name.rpartition('.')[2]


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except (ValueError, RuntimeError):  # arrays and tensors
        return False


def build_runner(cfg: Config) -> Runner | FlexibleRunner:
    """The Runner of a config, with its model built.

    Args:
        cfg: Config whose ``runner_type`` names the class, mmengine's ``Runner`` by default;
            ``FlexibleRunner`` is the one that takes a ``strategy``.

    Raises:
        ConfigError: A part cannot be built; the message names its key.
    """
    with naming_keys(cfg):
        runner = RUNNERS.build(cfg)
        if not isinstance(runner.model, nn.Module):  # a FlexibleRunner would wait until it trains
            runner.model = MODELS.build(runner.model)
    return runner


def check_model(cfg: Config) -> None:
    """Build a config's model and drop it, so that a later phase cannot fail after the earlier.

    Raises:
        ConfigError: It cannot be built; the message names the key.
    """
    with torch.random.fork_rng(devices=[]), naming_keys(cfg, 'model'):
        MODELS.build(cfg.model)


def prepare_training(runner: Runner | FlexibleRunner, cfg: Config) -> None:
    """Build what a Runner would build when it trains, and read the first pair.

    The random generators stay as they were, and the Runner finds its parts ready.

    Raises:
        ConfigError: A part cannot be built, there are fewer pairs than one batch takes, or
            the pipeline fails on the first pair or makes no masks for a model that needs them.
    """
    if not isinstance(runner, Runner):
        return
    with naming_keys(cfg, 'train_dataloader'):
        runner._train_loop = runner.build_train_loop(runner._train_loop)
    _check_loader(runner, cfg, 'train_dataloader', runner.train_dataloader)
    with naming_keys(cfg, 'optim_wrapper'):
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    if runner.param_schedulers is not None:
        with naming_keys(cfg, 'param_scheduler'):
            runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    if runner._val_loop is not None:
        with naming_keys(cfg, 'val_dataloader'):
            runner._val_loop = runner.build_val_loop(runner._val_loop)
        _check_loader(runner, cfg, 'val_dataloader', runner.val_dataloader)


def prepare_testing(runner: Runner, cfg: Config) -> None:
    """Build what a Runner would build when it tests, and read the first pair.

    Raises:
        ConfigError: As for :func:`prepare_training`.
    """
    with naming_keys(cfg, 'test_dataloader'):
        runner._test_loop = runner.build_test_loop(runner._test_loop)
    _check_loader(runner, cfg, 'test_dataloader', runner.test_dataloader)


def _check_loader(runner: Runner, cfg: Config, key: str, loader: DataLoader) -> None:
    pairs = len(cast(Sized, loader.dataset))
    if len(loader) == 0:
        where = '' if runner.world_size == 1 else f', shared by {runner.world_size} processes'
        if pairs:
            raise ConfigError(
                f'{key}.batch_size: the data set has {pairs} pair(s){where}, fewer than '
                f'batch_size={loader.batch_size}, and drop_last drops what fills no batch; give a '
                'smaller batch_size, or more pairs (RepeatDataset counts pairs several times)'
            )
        raise ConfigError(f'{key}.dataset: has 0 pairs; check data_root, data_prefix and indices')
    if cfg.get('default_scope', SCOPE) != SCOPE:
        return
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    for path, dataset in _single_datasets(f'{key}.dataset', loader.dataset):
        with _same_randomness(), naming_keys(cfg, path):
            sample = dataset[0]
        _check_sample(sample, model, path)


def _single_datasets(path: str, dataset: Any) -> Iterator[tuple[str, Any]]:
    """The data sets that have a pipeline, with the path of each in the config."""
    if hasattr(dataset, 'datasets'):
        for index, part in enumerate(dataset.datasets):
            yield from _single_datasets(f'{path}.datasets.{index}', part)
    elif hasattr(dataset, 'dataset'):
        yield from _single_datasets(f'{path}.dataset', dataset.dataset)
    else:
        yield path, dataset


def _check_sample(sample: Any, model: nn.Module, path: str) -> None:
    inputs = sample.get('inputs') if isinstance(sample, Mapping) else None
    if not isinstance(inputs, Mapping):
        raise ConfigError(f'{path}: its pipeline gives no inputs; end it with PackFusionInputs')
    wanted = ['ir', 'vis', *(['mask_ir', 'mask_vis'] * bool(getattr(model, 'needs_masks', False)))]
    for name in wanted:
        if name not in inputs:
            raise ConfigError(
                f'{path}: its pipeline makes no {name}, which {type(model).__name__} '
                'needs; LoadPair reads images, GenerateMasks or LoadMasks adds the masks'
            )


@contextmanager
def _same_randomness() -> Iterator[None]:
    """Context after which torch, numpy and random go on as if nothing was drawn."""
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])

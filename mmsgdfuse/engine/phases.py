"""The training phases, one Runner after the other."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dist import barrier
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from mmsgdfuse.engine.building import build_runner, prepare_training
from mmsgdfuse.engine.checkpoints import epoch_checkpoints, latest_checkpoint
from mmsgdfuse.utils.compat import allow_safe_resume
from mmsgdfuse.utils.config import ConfigError, load_config, merge_checked, runner_keys, walk
from mmsgdfuse.utils.weights import read_weights


@dataclass
class Phase:
    """One training phase: a Runner's config, and what it needs from the phase before.

    Attributes:
        name: Name of the phase and of its folder.
        cfg: Complete config of the phase's Runner.
        inherits: Submodules whose weights come from the phase before.
    """

    name: str
    cfg: Config
    inherits: tuple[str, ...] = ()

    @property
    def work_dir(self) -> Path:
        return Path(self.cfg.work_dir)

    @property
    def max_epochs(self) -> int:
        return self.cfg.train_cfg.max_epochs


def plan_phases(cfg: Config, work_dir: str | Path, options: dict | None = None) -> list[Phase]:
    """Read the phases of an entry config.

    Args:
        cfg: Config with ``phases``, a list of ``dict(name, config, inherits, takes)``.
            ``config`` is a path relative to the entry's folder; without it the phase is the
            entry itself, which suits the last one. ``takes`` names, by dotted keys, what such
            a file gets from the entry in place of its own, so that a config that inherits the
            entry and changes a network or the data changes it in every phase; as a dict, from
            where in the entry each key's value comes. A config without ``phases`` is one phase
            of its own.
        work_dir: Folder under which each phase gets its own.
        options: ``--cfg-options``, merged into the config of every phase that they concern,
            see :func:`mmsgdfuse.utils.config.merge_checked`.

    Raises:
        ConfigError: A phase lacks a name, two have the same, one takes what the entry does not
            have, or an option would change nothing.
    """
    work_dir = Path(work_dir)
    if 'phases' not in cfg:
        alone = copy.deepcopy(cfg)
        merge_checked([alone], options)
        alone.work_dir = str(work_dir)
        return [Phase(work_dir.name, alone)]
    _check_entries(cfg)
    phases = []
    phase_cfgs = [_phase_config(cfg, entry) for entry in cfg.phases]
    merge_checked(phase_cfgs, options)
    for entry, phase_cfg in zip(cfg.phases, phase_cfgs):
        phase_cfg.work_dir = str(work_dir / entry.name)
        phase_cfg.experiment_name = f'{Path(cfg.filename).stem}_{entry.name}'
        phases.append(Phase(entry.name, phase_cfg, tuple(entry.get('inherits', ()))))
    names = [phase.name for phase in phases]
    if len(set(names)) < len(names):
        raise ConfigError(f'{cfg.filename}: phases need names of their own, found {names}')
    return phases


def _check_entries(cfg: Config) -> None:
    if not isinstance(cfg.phases, (list, tuple)) or not cfg.phases:
        raise ConfigError(f'phases: must be a list of dict(name=...), found {cfg.phases!r}')
    for index, entry in enumerate(cfg.phases):
        if not isinstance(entry, dict) or not isinstance(entry.get('name'), str):
            raise ConfigError(f'phases.{index}: must be a dict with a name, found {entry!r}')
        unknown = set(entry) - {'name', 'config', 'inherits', 'takes'}
        if unknown:
            raise ConfigError(
                f'phases.{index}.{min(unknown)}: is unknown; a phase has name, config, inherits '
                'and takes'
            )
        inherits = entry.get('inherits', ())
        if isinstance(inherits, str) or not isinstance(inherits, (list, tuple)):
            raise ConfigError(f'phases.{index}.inherits: must be a list, found {inherits!r}')


def _phase_config(cfg: Config, entry: ConfigDict) -> Config:
    """The config of one entry of ``cfg.phases``."""
    if 'config' not in entry:
        phase_cfg = copy.deepcopy(cfg)
        phase_cfg.pop('phases')
        return phase_cfg
    phase_cfg = load_config(str(Path(cfg.filename).parent / entry.config))
    takes = entry.get('takes', ())
    for key, source in takes.items() if isinstance(takes, dict) else zip(takes, takes):
        try:
            taken = attrgetter(source)(cfg)
        except AttributeError as error:
            raise ConfigError(
                f'{cfg.filename}: phase {entry.name} takes {source}, which the config does not '
                'have; set it there, or leave it out of `takes`'
            ) from error
        owner, _, name = key.rpartition('.')
        setattr(attrgetter(owner)(phase_cfg) if owner else phase_cfg, name, copy.deepcopy(taken))
        _take_variables(phase_cfg, cfg, taken)
    return phase_cfg


def _take_variables(phase_cfg: Config, cfg: Config, taken: Any) -> None:
    """Give a phase the entry's variables that what it takes was written with.

    An option that changes such a variable then finds its value in what was taken.
    """
    parts = list(walk(taken))
    for name in set(cfg.keys()) - runner_keys():
        value = cfg[name]
        whole = isinstance(value, (dict, list, tuple))
        if any(
            node == value and (whole or path.rpartition('.')[2] == name) for path, node in parts
        ):
            phase_cfg[name] = copy.deepcopy(value)


def select_phase(
    phases: list[Phase], name: str, load_from: str | None = None
) -> tuple[list[Phase], str | None]:
    """One phase alone, and the checkpoint that it starts from.

    Args:
        phases: From :func:`plan_phases`.
        name: Name of the phase.
        load_from: Checkpoint to start from; by default that of the phase before.

    Returns:
        A list of the one phase, and the checkpoint (``None`` for a first phase).

    Raises:
        ValueError: There is no such phase.
        FileNotFoundError: The phase before has no checkpoint yet.
    """
    names = [phase.name for phase in phases]
    if name not in names:
        raise ConfigError(f'there is no phase {name!r}; the config has {names}')
    index = names.index(name)
    if load_from is None and index:
        found = latest_checkpoint(phases[index - 1].work_dir)
        if found is None:
            raise FileNotFoundError(
                f'phase {name} starts from the weights of {names[index - 1]}, and '
                f'{phases[index - 1].work_dir} has none; train that phase first or give '
                '--load-from'
            )
        load_from = str(found[0])
    return [phases[index]], load_from


def run_phases(phases: list[Phase], resume: bool = False, load_from: str | None = None) -> Path:
    """Train the phases one after the other.

    A finished phase is passed over and an unfinished one goes on from its last readable
    checkpoint, if ``resume`` is set.

    Args:
        phases: From :func:`plan_phases`.
        resume: Whether to go on where an earlier run stopped. Default False.
        load_from: Checkpoint that the first phase starts from, or exported weights
            (``*.safetensors``), from which each phase takes what its model has of them, except
            what it inherits from the phase before. Default: the first phase's own ``load_from``.

    Returns:
        The last phase's last checkpoint.

    Raises:
        FileExistsError: A phase's folder holds checkpoints and ``resume`` is not set.
        ConfigError: A phase cannot be built, or starts from weights that do not fit its model.
    """
    allow_safe_resume()
    if not resume:
        _refuse_to_overwrite(phases)
    if load_from is None and phases:
        load_from = phases[0].cfg.get('load_from')
    # exported weights have no state of training: they are what every phase's model begins with
    exported = load_from if str(load_from).endswith('.safetensors') else None
    checkpoint = None if exported else load_from
    for index, phase in enumerate(phases):
        title = f'phase {index + 1} of {len(phases)}, {phase.name}'
        found = latest_checkpoint(phase.work_dir) if resume else None
        if found and found[1] >= phase.max_epochs:
            print_log(f'{title}: finished already, {found[0]}', 'current')
            checkpoint = str(found[0])
            continue
        if found:
            phase.cfg.update(resume=True, load_from=str(found[0]))
            print_log(f'{title}: goes on after epoch {found[1]} of {phase.max_epochs}', 'current')
        elif checkpoint:
            phase.cfg.update(resume=False, load_from=str(checkpoint))
            print_log(f'{title}: starts from {checkpoint}', 'current')
        else:
            phase.cfg.update(resume=False, load_from=None)
            print_log(f'{title}: starts' + (f' from {exported}' if exported else ''), 'current')
        runner = build_runner(phase.cfg)
        if exported and not found:
            load_exported(exported, runner.model, () if checkpoint else phase.inherits)
        if checkpoint and not found:
            check_inherited(checkpoint, runner.model, phase.inherits)
        prepare_training(runner, phase.cfg)
        runner.train()
        barrier()  # the other processes wait until the first has written the checkpoint
        checkpoint = str(epoch_checkpoints(phase.work_dir)[0])
    return epoch_checkpoints(phases[-1].work_dir)[0]


def check_inherited(checkpoint: str | Path, model: nn.Module, submodules: tuple[str, ...]) -> None:
    """Make sure that a checkpoint holds all weights of some submodules in the model's shapes.

    mmengine loads what fits and logs the rest, so that a phase could go on from random weights.

    Raises:
        ConfigError: Weights are missing or have another shape; the message names the first few.
    """
    if not submodules:
        return
    found = _weights(checkpoint)
    expected = _unwrapped(model).state_dict()
    faults = [
        f'{name} has the shape {tuple(found[name].shape)} instead of {tuple(weight.shape)}'
        if name in found
        else f'{name} is missing'
        for name, weight in expected.items()
        if name.split('.', 1)[0] in submodules
        and (name not in found or found[name].shape != weight.shape)
    ]
    if faults:
        raise ConfigError(
            f'{checkpoint} does not fit this phase, which takes over {list(submodules)}: '
            f'{"; ".join(faults[:3])} ({len(faults)} in all). Give the checkpoint of the phase '
            'before, trained with the same networks'
        )


def load_exported(path: str | Path, model: nn.Module, needed: tuple[str, ...] = ()) -> None:
    """Begin with exported weights: each submodule that the file has, whole.

    Args:
        path: ``*.safetensors``, such as those in the package.
        model: Model to load into; submodules that the file lacks, such as losses, stay.
        needed: Submodules that the file must have.

    Raises:
        ConfigError: The file has no submodule of the model, lacks a needed one, or has one in
            other shapes.
    """
    model, found = _unwrapped(model), _weights(path)
    submodules = {name.split('.', 1)[0] for name in model.state_dict()}
    held = submodules & {name.split('.', 1)[0] for name in found}
    if not held:
        raise ConfigError(
            f'{path}: has no weights of {type(model).__name__}, which has '
            f'{", ".join(sorted(submodules))}; give weights of a model of this kind'
        )
    check_inherited(path, model, tuple(sorted(held.union(needed))))
    wanted = {name: tensor for name, tensor in found.items() if name.split('.', 1)[0] in held}
    model.load_state_dict(wanted, strict=False)


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.get_submodule('module') if is_model_wrapper(model) else model


def _weights(path: str | Path) -> dict[str, Tensor]:
    try:
        return read_weights(path)[0]
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _refuse_to_overwrite(phases: list[Phase]) -> None:
    for phase in phases:
        present = epoch_checkpoints(phase.work_dir)
        if present:
            raise FileExistsError(
                f'{present[0]} is there from an earlier run; pass --resume to go on from it, '
                'or another --work-dir'
            )

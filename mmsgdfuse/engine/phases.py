"""The training phases, one Runner after the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmsgdfuse.engine.checkpoints import epoch_checkpoints, latest_checkpoint
from mmsgdfuse.utils.compat import allow_safe_resume
from mmsgdfuse.utils.config import merge_options


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
        cfg: Config with ``phases``, a list of ``dict(name, config, inherits)`` whose
            ``config`` is a path relative to the entry's folder. A config without ``phases``
            is one phase of its own.
        work_dir: Folder under which each phase gets its own.
        options: ``--cfg-options``, merged into the config of every phase.

    Raises:
        ValueError: Two phases have the same name.
    """
    work_dir = Path(work_dir)
    if 'phases' not in cfg:
        alone = cfg.copy()
        alone.work_dir = str(work_dir)
        return [Phase(work_dir.name, merge_options(alone, options))]
    folder = Path(cfg.filename).parent
    phases = []
    for entry in cfg.phases:
        phase_cfg = merge_options(Config.fromfile(folder / entry.config), options)
        phase_cfg.work_dir = str(work_dir / entry.name)
        phase_cfg.experiment_name = f'{Path(cfg.filename).stem}_{entry.name}'
        phases.append(Phase(entry.name, phase_cfg, tuple(entry.get('inherits', ()))))
    names = [phase.name for phase in phases]
    if len(set(names)) < len(names):
        raise ValueError(f'{cfg.filename}: phases need names of their own, found {names}')
    return phases


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
        raise ValueError(f'there is no phase {name!r}; the config has {names}')
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
        load_from: Checkpoint that the first phase starts from. Default None.

    Returns:
        The last phase's last checkpoint.

    Raises:
        FileExistsError: A phase's folder holds checkpoints and ``resume`` is not set.
        KeyError: A phase starts from a checkpoint that lacks a submodule it inherits.
    """
    allow_safe_resume()
    if not resume:
        _refuse_to_overwrite(phases)
    checkpoint = load_from
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
            check_inherited(checkpoint, phase.inherits)
            phase.cfg.update(resume=False, load_from=str(checkpoint))
            print_log(f'{title}: starts from {checkpoint}', 'current')
        else:
            print_log(f'{title}: starts', 'current')
        Runner.from_cfg(phase.cfg).train()
        checkpoint = str(epoch_checkpoints(phase.work_dir)[0])
    return Path(checkpoint)


def check_inherited(checkpoint: str | Path, submodules: tuple[str, ...]) -> None:
    """Make sure that a checkpoint holds weights of each of the submodules.

    Raises:
        KeyError: It lacks one; the message names what it does hold.
    """
    state = torch.load(checkpoint, map_location='cpu', weights_only=True)['state_dict']
    held = {key.split('.', 1)[0] for key in state}
    missing = [name for name in submodules if name not in held]
    if missing:
        raise KeyError(
            f'{checkpoint} holds weights of {sorted(held)} and lacks {missing}; give the '
            'checkpoint of the phase before'
        )


def _refuse_to_overwrite(phases: list[Phase]) -> None:
    for phase in phases:
        present = epoch_checkpoints(phase.work_dir)
        if present:
            raise FileExistsError(
                f'{present[0]} is there from an earlier run; pass --resume to go on from it, '
                'or another --work-dir'
            )

"""What a training phase left in its folder: its log and its configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmsgdfuse.utils.config_text import read_dumped_config
from mmsgdfuse.visualization.report.errors import ReportError

LOG = Path('vis_data', 'scalars.json')
CONFIG = Path('vis_data', 'config.py')
#: What the log of a validation holds beside its metrics.
TIMES = frozenset(('data_time', 'time', 'step'))

Entry = dict[str, Any]


@dataclass(frozen=True)
class PhaseLog:
    """One training phase, with all of its runs where it was resumed.

    Attributes:
        name: What the page calls it.
        training: Entries of the training log by increasing ``step`` (iterations).
        validation: Entries of each validation by increasing ``step`` (epochs).
        config: Configuration of the last run; ``None`` if it left none.
        config_text: The same as the text of its file.
    """

    name: str
    training: list[Entry]
    validation: list[Entry]
    config: Config | None = None
    config_text: str = ''

    @property
    def losses(self) -> list[str]:
        """Names of what was minimised, the sum first."""
        names = {name for entry in self.training for name in entry if 'loss' in name}
        return sorted(names, key=lambda name: (name != 'loss', name))

    def facts(self) -> dict[str, str]:
        """The settings that a reader asks for first, as far as the configuration has them."""
        cfg = self.config or Config()
        facts = {
            'model': value_at(cfg, 'model', 'type'),
            'trained': self._trained(cfg),
            'batch size': value_at(cfg, 'train_dataloader', 'batch_size'),
            'optimizer': _describe_optimizer(cfg),
            'losses': _describe_losses(cfg),
            'seed': value_at(cfg, 'randomness', 'seed'),
        }
        return {name: str(value) for name, value in facts.items() if value not in (None, '')}

    def _trained(self, cfg: Config) -> str:
        if not self.training:
            return ''
        last = self.training[-1]
        planned = value_at(cfg, 'train_cfg', 'max_epochs')
        epochs = f'epoch {last["epoch"]}' if 'epoch' in last else ''
        of = f' of {planned}' if epochs and planned else ''
        return f'{epochs}{of}, iteration {last["step"]}'.lstrip(', ')


def read_phase(name: str, runs: list[Path]) -> PhaseLog:
    """Read a phase.

    Args:
        name: What to call it.
        runs: Folders of its runs, oldest first; each was started anew or resumed. What a later
            run did again replaces what an earlier one had done.

    Raises:
        ReportError: A log is damaged.
    """
    training: list[Entry] = []
    validation: list[Entry] = []
    for run in runs:
        entries = read_log(run / LOG)
        training = _continue(training, [entry for entry in entries if _is_training(entry)])
        validation = _continue(validation, [entry for entry in entries if _is_validation(entry)])
    configs = [run / CONFIG for run in runs if (run / CONFIG).is_file()]
    config = read_config(configs[-1]) if configs else None
    return PhaseLog(name, training, validation, config, config.text if config else '')


def read_log(path: Path) -> list[Entry]:
    """The entries of mmengine's ``scalars.json``, one JSON object per line.

    A last line that breaks off is left out: the run was killed, or is still writing.

    Raises:
        ReportError: Another line is damaged.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f'{path}: cannot be read ({error}); remove the file') from error
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict) or not isinstance(entry.get('step'), int):
                raise ValueError('it is no object with a step')
            for name, value in entry.items():
                if 'loss' in name and not isinstance(value, (int, float)):
                    raise ValueError(f'its {name} is no number')
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise ReportError(
                f'{path}:{number}: is no entry of a log ({error}); remove that line'
            ) from error
        entries.append(entry)
    return entries


def read_config(path: Path) -> Config:
    """A configuration that a run left, without executing or importing anything.

    Raises:
        ReportError: It cannot be read.
    """
    try:
        return read_dumped_config(path)
    except OSError as error:
        raise ReportError(f'{path}: cannot be read ({error.strerror}); remove the file') from error
    except ValueError as error:
        raise ReportError(str(error)) from error


def value_at(node: Any, *keys: str) -> Any:
    """A value deep in a configuration that may be of any form; None where there is none."""
    for key in keys:
        node = node.get(key) if isinstance(node, (Config, dict)) else None
    return node


def _continue(earlier: list[Entry], later: list[Entry]) -> list[Entry]:
    if not later:
        return earlier
    return [entry for entry in earlier if entry['step'] < later[0]['step']] + later


def _is_training(entry: Entry) -> bool:
    return any('loss' in name for name in entry)


def _is_validation(entry: Entry) -> bool:
    return not _is_training(entry) and any('/' in name for name in entry)


def _describe_optimizer(cfg: Config) -> str:
    name = value_at(cfg, 'optim_wrapper', 'optimizer', 'type')
    rate = _number(value_at(cfg, 'optim_wrapper', 'optimizer', 'lr'))
    return f'{name or ""}{f", learning rate {rate}" if name and rate else ""}'


def _describe_losses(cfg: Config) -> str:
    losses = value_at(cfg, 'model', 'losses')
    return ', '.join(
        f'{_number(loss.get("loss_weight", 1))} {name} ({loss["type"]})'
        for name, loss in (losses.items() if isinstance(losses, dict) else ())
        if isinstance(loss, dict) and 'type' in loss
    )


def _number(value: Any) -> str:
    if value is None:
        return ''
    return f'{value:g}' if isinstance(value, (int, float)) else str(value)

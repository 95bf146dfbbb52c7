"""Finding what a page can be made of in the folders that a user names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmsgdfuse.visualization.report.errors import ReportError
from mmsgdfuse.visualization.report.metrics import is_evaluation, is_test, read_json
from mmsgdfuse.visualization.report.run import (
    CONFIG,
    LOG,
    PhaseLog,
    read_config,
    read_phase,
    value_at,
)

#: What tools/evaluate.py and tools/test.py call their results.
DOCUMENTS = ('evaluation.json', 'metrics.json')


@dataclass
class Findings:
    """What was found.

    Attributes:
        phases: Training phases in the order in which they were begun.
        evaluations: Documents of tools/evaluate.py by their path.
        tests: Documents of tools/test.py by their path.
        configs: Configurations that runs and tests left, oldest first.
    """

    phases: list[PhaseLog] = field(default_factory=list)
    evaluations: dict[Path, dict[str, Any]] = field(default_factory=dict)
    tests: dict[Path, dict[str, Any]] = field(default_factory=dict)
    configs: list[Config] = field(default_factory=list)


def search(sources: Iterable[Path]) -> Findings:
    """Search folders, at any depth, and files.

    Args:
        sources: Working folders of tools/train.py and tools/test.py, output folders of
            tools/evaluate.py, or a JSON file of either.

    Raises:
        ReportError: A source is missing, or there is nothing in it; or a file is damaged.
    """
    found = Findings()
    for source in sources:
        if not source.exists():
            raise ReportError(f'{source}: no such file or folder; check the path')
        before = len(found.phases) + len(found.evaluations) + len(found.tests)
        if source.is_dir():
            _search_folder(source, found)
        else:
            _add_document(source, found)
        if len(found.phases) + len(found.evaluations) + len(found.tests) == before:
            raise ReportError(
                f'{source}: holds neither a training log ({LOG}) nor the {DOCUMENTS[0]} or '
                f'{DOCUMENTS[1]} of an evaluation or a test; give a folder that tools/train.py, '
                'test.py or evaluate.py wrote'
            )
    return found


def find_folders(found: Findings) -> tuple[Path, Path, dict[str, Path]] | None:
    """Where the images of the last test are, as far as its configuration tells.

    Returns:
        The folders of infrared and of visible images, and by the name of the test's own folder
        those of the fused images: of the last test and of earlier ones with the same sources.
        ``None`` if no configuration names all three, or they are gone.
    """
    last: tuple[Path, Path] | None = None
    fused: dict[str, Path] = {}
    for cfg in reversed(found.configs):
        folders = _folders_of_test(cfg)
        if folders is None or last not in (None, folders[:2]):
            continue
        last = folders[:2]
        fused.setdefault(folders[2].resolve().parent.name, folders[2])
    return None if last is None else (*last, fused)


def _folders_of_test(cfg: Config) -> tuple[Path, Path, Path] | None:
    dataset = value_at(cfg, 'test_dataloader', 'dataset')
    ir, vis = (value_at(dataset, 'data_prefix', key) for key in ('ir', 'vis'))
    fused = value_at(cfg, 'default_hooks', 'visualization', 'out_dir')
    if not all(isinstance(part, str) for part in (ir, vis, fused)):
        return None
    root = Path(str(value_at(dataset, 'data_root') or ''))
    folders = root / ir, root / vis, Path(fused)
    return folders if all(folder.is_dir() for folder in folders) else None


def _search_folder(folder: Path, found: Findings) -> None:
    runs: dict[Path, list[Path]] = defaultdict(list)
    for log in folder.rglob(str(LOG)):
        run = log.parents[len(LOG.parts) - 1]
        runs[run.parent].append(run)
    # runs are called by the time at which they began
    in_order = sorted(runs.items(), key=lambda entry: min(run.name for run in entry[1]))
    for phase, folders in in_order:
        inside = phase.is_relative_to(folder) and phase != folder
        name = str(phase.relative_to(folder)) if inside else phase.resolve().name
        found.phases.append(read_phase(name, sorted(folders, key=lambda run: run.name)))
    configs = sorted(folder.rglob(str(CONFIG)), key=lambda path: path.parents[1].name)
    found.configs += [read_config(path) for path in configs]
    for name in DOCUMENTS:
        for path in sorted(folder.rglob(name)):
            _add_document(path, found)


def _add_document(path: Path, found: Findings) -> None:
    document = read_json(path)
    if is_evaluation(document):
        found.evaluations[path] = document
    elif is_test(document):
        found.tests[path] = document

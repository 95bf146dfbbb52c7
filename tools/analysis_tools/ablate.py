"""Train the ablations one after the other, fuse a folder with each, and write their table.

    python tools/analysis_tools/ablate.py data/MSRS/dev
    python tools/analysis_tools/ablate.py data/MSRS/dev --only wo-diffusion wo-hfah --amp
    python tools/analysis_tools/ablate.py data/MSRS/dev --epochs preliminary=4 diffusion=8 fusion=6

    python tools/analysis_tools/ablate.py data/MSRS/dev --mask-sources none embedded segmentation

All are trained with the recipe's seed, data and schedule, and the recipe itself beside them as
`full`. With `--mask-sources` nothing is trained: the shipped model fuses with masks of each source.
Ablations whose configs agree up to the end of a phase share what it trained. The same
command again goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, DictAction
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.apis.recipe import Recipe
from mmsgdfuse.apis.sources import ImagePair, find_sources
from mmsgdfuse.datasets.downstream.boxes import Box, read_yolo
from mmsgdfuse.engine import Phase, latest_checkpoint, mixed_precision, plan_phases, run_phases
from mmsgdfuse.evaluation.cache import default_cache_dir
from mmsgdfuse.evaluation.comparison import paired_differences
from mmsgdfuse.evaluation.exports import to_csv, to_json
from mmsgdfuse.evaluation.folders import EvaluationError, match_folders
from mmsgdfuse.evaluation.functional import fusion_metrics, region_contrast
from mmsgdfuse.evaluation.outputs import write_outputs
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.scoring import score_folders
from mmsgdfuse.evaluation.tables import Cell, Table, difference_table, metric_table, to_markdown
from mmsgdfuse.utils.cli import add_config_options
from mmsgdfuse.utils.config import merge_options
from mmsgdfuse.utils.errors import InputError, MMSGDFuseError
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.image_io import read_infrared, read_visible, write_image
from mmsgdfuse.utils.profiling import count_parameters
from mmsgdfuse.utils.setup_env import register_all_modules

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
ABLATIONS = sorted(path.stem for path in (CONFIGS / 'ablations').glob('*.py'))
FULL = 'full'
RECIPE_VARIABLE = 'MMSGDFUSE_RECIPE'
METRICS = ('SCD', 'VIF', 'Qabf')
SHOWN = ('person', 'car')
_SECONDS = 'seconds.json'


@dataclass(frozen=True)
class Ablation:
    """One row of the table.

    Attributes:
        name: Name of its config, or 'full'.
        phases: What is trained, in this order, each in a folder named by what it depends on.
        parameters: Parameters of the model that fuses.
    """

    name: str
    phases: list[Phase]
    parameters: int

    @property
    def folder(self) -> Path:
        """Of its last phase, which no other ablation has."""
        return self.phases[-1].work_dir

    @property
    def fused(self) -> Path:
        """Where its fused images go."""
        return self.folder / 'fused'

    @property
    def seconds(self) -> float:
        """What its phases took to train, shared ones included."""
        return sum(read_seconds(phase) for phase in self.phases)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='holds the folders ir and vi to fuse')
    parser.add_argument(
        '--only',
        nargs='+',
        choices=ABLATIONS,
        default=ABLATIONS,
        metavar='NAME',
        help=f'of {", ".join(ABLATIONS)} (default: all)',
    )
    parser.add_argument(
        '--recipe',
        type=Path,
        default=CONFIGS / 'sgdfuse-compact_ivif.py',
        help='entry config that they change one thing of (default: the compact one)',
    )
    parser.add_argument(
        '--step', type=int, default=1, help='fuse every STEPth pair (default: all of them)'
    )
    parser.add_argument(
        '--mask-sources',
        nargs='+',
        metavar='SOURCE',
        help='fuse with the shipped weights and masks of: none, embedded, a folder of class ids '
        '(a path, or a name in FOLDER such as masks_mfnet), or a config file with a mask '
        'generator as `generator`',
    )
    parser.add_argument('--device', help='that fuses (default: the GPU if there is one)')
    training = parser.add_argument_group('training')
    training.add_argument(
        '--epochs',
        nargs='+',
        action=DictAction,
        default={},
        metavar='PHASE=N',
        help="epochs of preliminary, diffusion or fusion instead of the recipe's",
    )
    training.add_argument('--amp', action='store_true', help='automatic mixed precision')
    add_config_options(training)
    training.add_argument(
        '--plan', action='store_true', help='say what would be trained, and stop there'
    )
    output = parser.add_argument_group('output')
    output.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/ablations'),
        help='folder for logs, checkpoints and fused images (default: %(default)s)',
    )
    output.add_argument(
        '--out',
        type=Path,
        default=Path('outputs/ablations'),
        help='folder for the tables (default: %(default)s)',
    )
    output.add_argument(
        '--resamples', type=int, default=10_000, help='of the bootstrap (default: %(default)s)'
    )
    args = parser.parse_args(argv)
    if args.step < 1:
        parser.error(f'--step must be at least 1, found {args.step}')
    return args


def pairs_in(folder: Path) -> list[ImagePair]:
    """The pairs of a folder's ir and vi.

    Raises:
        FileNotFoundError: One of the two is missing.
        ValueError: They hold no pair, or an image without partner.
    """
    for part in (folder / 'ir', folder / 'vi'):
        if not part.is_dir():
            raise FileNotFoundError(f'{part}: no such folder; give one that holds ir and vi')
    pairs, faults = find_sources(str(folder / 'ir'), str(folder / 'vi'))
    if faults or not pairs:
        raise InputError('\n'.join(faults) or f'{folder}: ir and vi hold no pair')
    return pairs


def plan(args: argparse.Namespace) -> list[Ablation]:
    """The full model and the ablations, with their phases' folders named by their content.

    Raises:
        ValueError: ``--epochs`` names a phase that none of them has.
    """
    os.environ[RECIPE_VARIABLE] = str(args.recipe.resolve())
    files = {FULL: args.recipe, **{n: CONFIGS / 'ablations' / f'{n}.py' for n in args.only}}
    planned = [plan_one(name, Config.fromfile(path), args) for name, path in files.items()]
    unknown = args.epochs.keys() - {phase.name for one in planned for phase in one.phases}
    if unknown:
        raise InputError(f'--epochs names {sorted(unknown)}, which no ablation has as a phase')
    return planned


def plan_one(name: str, cfg: Config, args: argparse.Namespace) -> Ablation:
    """One of them; its model is built to count parameters."""
    phases = plan_phases(cfg, args.work_dir, args.cfg_options)
    key = ''
    for phase in phases:
        if phase.name in args.epochs:
            merge_options(phase.cfg, dict(max_epochs=args.epochs[phase.name]))
        if args.amp:
            phase.cfg.optim_wrapper.update(mixed_precision())
        key = phase_key(phase, key)
        phase.cfg.work_dir = str(args.work_dir / f'{phase.name}-{key}')
        phase.cfg.experiment_name = phase.work_dir.name
    model = Recipe.from_config(phases[-1].cfg).build_model()
    return Ablation(name, phases, count_parameters(model))


def phase_key(phase: Phase, before: str) -> str:
    """What a phase depends on: its config but for its place, and the phase before."""
    content = {
        key: value
        for key, value in phase.cfg.to_dict().items()
        if key not in ('work_dir', 'experiment_name')
    }
    text = json.dumps([before, phase.inherits, content], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def describe(planned: list[Ablation]) -> Iterator[str]:
    """A line per ablation: its phases, and those that another one before has trained."""
    owners: dict[Path, str] = {}
    for one in planned:
        parts = []
        for phase in one.phases:
            owner = owners.setdefault(phase.work_dir, one.name)
            shared = '' if owner == one.name else f' of {owner}'
            parts.append(f'{phase.name}{shared} ({phase.max_epochs} epochs)')
        yield f'{one.name}: {", ".join(parts)}; {one.parameters:,} parameters'


def train(one: Ablation) -> Path:
    """Train what is not trained yet; the last checkpoint."""
    checkpoint = None
    for phase in one.phases:
        began = time.perf_counter()
        finished = latest_checkpoint(phase.work_dir)
        checkpoint = run_phases([phase], resume=True, load_from=checkpoint)
        if finished is None or finished[1] < phase.max_epochs:
            write_seconds(phase, read_seconds(phase) + time.perf_counter() - began)
    assert checkpoint is not None
    return checkpoint


def read_seconds(phase: Phase) -> float:
    """What a phase took to train; the runs that were killed do not count."""
    path = phase.work_dir / _SECONDS
    return json.loads(path.read_text()) if path.is_file() else 0.0


def write_seconds(phase: Phase, seconds: float) -> None:
    """Keep what a phase took."""
    write_text(phase.work_dir / _SECONDS, json.dumps(seconds))


def fuse(one: Ablation, checkpoint: Path, pairs: list[ImagePair], args: argparse.Namespace) -> None:
    """Fuse the pairs that are not fused yet."""
    todo = [pair for pair in pairs if not (one.fused / f'{pair.name}.png').exists()]
    if not todo:
        return
    inferencer = FusionInferencer(
        one.phases[-1].cfg,
        weights=checkpoint,
        device=args.device,
        mask_cache=args.work_dir / 'masks',
    )
    for pair in track(todo, escape(f'fusing with {one.name}'), transient=True):
        write_image(one.fused / f'{pair.name}.png', inferencer(pair.ir, pair.vis).fused)


def score(planned: list[Ablation], pairs: list[ImagePair]) -> Scores:
    """The values of all of them on the same pairs.

    Raises:
        EvaluationError: An image cannot be scored.
    """
    scores = score_folders(
        pairs[0].ir.parent,
        pairs[0].vis.parent,
        {one.name: one.fused for one in planned},
        cache_dir=default_cache_dir(),
        keep_going=True,
    )
    wanted = {pair.name for pair in pairs}
    faults = [problem for problem in scores.problems if problem.image in wanted]
    if faults:
        raise EvaluationError('\n'.join(problem.message for problem in faults))
    kept = [index for index, image in enumerate(scores.images) if image in wanted]
    return replace(
        scores,
        images=tuple(scores.images[index] for index in kept),
        values=scores.values[:, kept],
        problems=(),
    )


def ablation_table(planned: list[Ablation], scores: Scores) -> Table:
    """The means, with the parameters and the minutes of training of each."""
    table = metric_table(scores)
    costs = {one.name: (f'{one.parameters:,}', f'{one.seconds / 60:.0f}') for one in planned}
    cells = [
        (*entries, *(Cell(text) for text in costs.get(row, ('', ''))))
        for row, entries in zip(scores.rows, table.cells)
    ]
    return replace(table, head=(*table.head, 'parameters', 'minutes'), cells=tuple(cells))


def write_tables(args: argparse.Namespace, planned: list[Ablation], scores: Scores) -> str:
    """All files; returns the table in Markdown."""
    differences = paired_differences(scores, args.resamples)
    samples, _ = match_folders(
        args.folder / 'ir', args.folder / 'vi', {one.name: one.fused for one in planned}
    )
    write_outputs(args.out, scores, differences, samples, plots=False)
    table = ablation_table(planned, scores)
    command = f'Written by `{shlex.join(sys.argv)}`.'
    text = '\n'.join(
        [
            f'{command}\n',
            to_markdown(table),
            to_markdown(difference_table(FULL, scores, differences)),
        ]
    )
    rows = [
        [*table.head],
        *([label, *(c.text for c in cells)] for label, cells in zip(table.labels, table.cells)),
    ]
    document = dict(
        command=sys.argv,
        recipe=str(args.recipe),
        epochs={p.name: p.max_epochs for one in planned for p in one.phases},
        ablations={
            one.name: dict(
                parameters=one.parameters,
                seconds=one.seconds,
                phases=[str(phase.work_dir) for phase in one.phases],
            )
            for one in planned
        },
    )
    write_text(args.out / 'ablations.md', text)
    write_text(args.out / 'ablations.json', to_json(document))
    write_text(args.out / 'ablations.csv', to_csv(rows))
    return text


def mask_source(name: str, folder: Path) -> dict[str, Any] | None:
    """The masks of one of ``--mask-sources``; None are the shipped ones.

    Raises:
        InputError: There is no such source.
    """
    if name == 'embedded':
        return None
    if name == 'none':
        return dict(type='DropMask')
    if name.endswith('.py') and Path(name).is_file():
        return Config.fromfile(name).generator.to_dict()
    for labels in (folder / name, Path(name)):
        if labels.is_dir():
            return dict(type='LoadSemanticMasks', folder=str(labels))
    raise InputError(
        f'--mask-sources {name}: no such folder of class ids or config; give none, embedded, a '
        'folder, or a config with `generator`'
    )


def contrasts(pair: ImagePair, boxes: list[Box], fused: np.ndarray) -> list[tuple[float, ...]]:
    """Of each box its class, and its contrast in the infrared, visible and fused image."""
    places = [(box.x, box.y, box.width, box.height) for box in boxes]
    images = [read_infrared(pair.ir), read_visible(pair.vis), fused]
    values = np.array([region_contrast(image, places) for image in images])
    return [
        (box.label, *own) for box, own in zip(boxes, values.T.tolist()) if not np.isnan(own).any()
    ]


def compare_sources(args: argparse.Namespace, pairs: list[ImagePair]) -> str:
    """The table of ``--mask-sources``, in Markdown.

    Raises:
        InputError: A source or the labels cannot be read.
    """
    classes = ('person', 'bicycle', 'car')
    columns = (f'{c}: {x}' for c in SHOWN for x in ('contrast', 'kept'))
    head = ['image', *METRICS, *columns]
    rows = [head, ['---', *['---:'] * (len(head) - 1)]]
    plans = {name: mask_source(name, args.folder) for name in args.mask_sources}
    boxes: dict[str, list[Box]] = {}
    for name, masks in plans.items():
        inferencer = FusionInferencer(device=args.device, masks=masks)
        scores, found = [], []
        for pair in track(pairs, escape(f'fusing with {name}'), transient=True):
            result = inferencer(pair.ir, pair.vis)
            scores.append(fusion_metrics(result.ir, result.vis, result.fused, METRICS))
            labels = args.folder / 'labels' / f'{pair.name}.txt'
            if labels.is_file():
                boxes[pair.name], faults = read_yolo(labels, classes, result.fused.shape[:2])
                if faults:
                    raise InputError('\n'.join(str(fault) for fault in faults))
                found += contrasts(pair, boxes[pair.name], result.fused)
        values = np.array(found).reshape(-1, 4)
        if name == args.mask_sources[0]:
            blank = ['-'] * len(METRICS)
            rows.append(['infrared', *blank, *contrast_cells(values, classes, 1)])
            rows.append(['visible', *blank, *contrast_cells(values, classes, 2)])
        means = (f'{np.mean([s[metric] for s in scores]):.3f}' for metric in METRICS)
        rows.append([f'fused, masks: {name}', *means, *contrast_cells(values, classes, 3)])
    table = '\n'.join(f'| {" | ".join(row)} |' for row in rows)
    counts = (f'{sum(classes[b.label] == c for f in boxes.values() for b in f)} {c}' for c in SHOWN)
    text = (
        f'Written by `{shlex.join(sys.argv)}`, {len(pairs)} pairs, boxes: {", ".join(counts)}.'
        f'\n\n{table}\n'
    )
    write_text(args.out / 'mask_sources.md', text)
    return text


def contrast_cells(values: np.ndarray, classes: tuple[str, ...], column: int) -> Iterator[str]:
    """Mean contrast of each shown class, and the share of boxes that no source exceeds."""
    for shown in SHOWN:
        of_class = values[values[:, 0] == classes.index(shown)]
        if not len(of_class):
            yield from ('-', '-')
            continue
        own = of_class[:, column]
        yield f'{own.mean():.1f}'
        yield f'{np.mean(own >= of_class[:, 1:3].max(axis=1)):.0%}'


def main(argv: list[str] | None = None) -> int:
    """Train, fuse, score."""
    args = parse_args(argv)
    register_all_modules()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    try:
        pairs = pairs_in(args.folder)[:: args.step]
        if args.mask_sources:
            console.print(compare_sources(args, pairs))
            return 0
        planned = plan(args)
    except (MMSGDFuseError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    for line in describe(planned):
        console.print(line)
    if args.plan:
        return 0
    for one in planned:
        fuse(one, train(one), pairs, args)
    console.print(write_tables(args, planned, score(planned, pairs)))
    console.print(f'written to {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())

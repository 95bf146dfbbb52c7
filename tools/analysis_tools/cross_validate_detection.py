"""Compare infrared, visible and fused images by a small detector, cross-validated.

    python tools/analysis_tools/cross_validate_detection.py data/boxes/labels \
        --inputs infrared=data/boxes/ir visible=data/boxes/vi maximum SGDFuse=outputs/SGDFuse

Every input is a folder of images of the same frames; `average` and `maximum` alone are made of the
inputs `infrared` and `visible` by that rule. Neighbouring frames, told by the number in their
name, are never both trained on and tested (see --plan). Each detector begins at random weights;
seeds, schedule and frames are the same for all inputs. The same command again goes on where it
was stopped, and trains anew what has another config, other images or other labels.

Writes WORK_DIR/cross_validation.{csv,json,md,tex}.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from rich.console import Console

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.apis.sources import find_sources
from mmsgdfuse.datasets.downstream import LabelError, check_fused_folder
from mmsgdfuse.engine.cross_validation import (
    DetectionInput,
    DetectorRun,
    plan_runs,
    read_input,
    run_detectors,
)
from mmsgdfuse.evaluation.cross_validation import (
    CrossValidation,
    assign_folds,
    difference_table,
    gather,
    light_of,
    neighbourhoods,
    run_rows,
    score_table,
    summary_document,
)
from mmsgdfuse.evaluation.downstream import SINGLE_INPUTS, read_result
from mmsgdfuse.evaluation.exports import to_csv, to_json
from mmsgdfuse.evaluation.tables import to_latex, to_markdown, to_rich
from mmsgdfuse.models.downstream import RuleFuser
from mmsgdfuse.utils.cli import add_config_options
from mmsgdfuse.utils.config import merge_options
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.image_io import write_image

CONFIG = (
    Path(__file__).resolve().parents[2] / 'configs/downstream/cross_validation/yolox-small_msrs.py'
)
RULES = ('average', 'maximum')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('labels', type=Path, help='folder of boxes, YOLO text, named as the frames')
    parser.add_argument(
        '--inputs',
        nargs='+',
        required=True,
        metavar='NAME=FOLDER',
        help=f'images to compare; a rule ({", ".join(RULES)}) needs no folder',
    )
    parser.add_argument(
        '--config', type=Path, default=CONFIG, help='of the detector (default: a small YOLOX)'
    )
    add_config_options(parser)
    parser.add_argument('--folds', type=int, default=3, help='default: %(default)s')
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='trainings per fold (default: one, 0)'
    )
    parser.add_argument(
        '--span',
        type=int,
        default=100,
        help='numbers over which frames of one light stay together (default: %(default)s)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/cross_validation'),
        help='default: %(default)s',
    )
    parser.add_argument(
        '--jobs', type=int, default=1, help='trainings at a time, one thread each if several'
    )
    parser.add_argument('--digits', type=int, default=1, help='in tables (default: %(default)s)')
    parser.add_argument('--plan', action='store_true', help='only show the folds and the runs')
    return parser.parse_args(argv)


def find_folders(arguments: Sequence[str], work_dir: Path) -> dict[str, Path]:
    """The folder of each input; what a rule makes of the pairs is written first.

    Raises:
        LabelError: A name comes twice, one has no folder and is no rule, a rule lacks its
            sources, or a folder given as fused holds the images of a source.
    """
    folders: dict[str, Path] = {}
    for argument in arguments:
        name, _, folder = argument.partition('=')
        if name in folders or not (folder or name in RULES):
            raise LabelError(
                f'--inputs {argument}: expected NAME=FOLDER, each name once, or a rule '
                f'({", ".join(RULES)})'
            )
        folders[name] = Path(folder) if folder else work_dir / 'rules' / name
    sources = [folders.get(name) for name in SINGLE_INPUTS]
    ruled = [argument for argument in arguments if '=' not in argument]
    if ruled and None in sources:
        raise LabelError(
            f'--inputs {ruled[0]}: expected infrared=FOLDER and visible=FOLDER beside it, of '
            'which the rule makes its images'
        )
    for name in ruled:
        write_rule(name, *sources, folders[name])
    for name, folder in folders.items():
        if name not in (*SINGLE_INPUTS, *ruled) and None not in sources:
            check_fused_folder(folder, *sources)
    return folders


def write_rule(rule: str, ir: Path, vis: Path, out: Path) -> None:
    """Fuse two folders by a rule."""
    pairs, faults = find_sources(str(ir), str(vis))
    if faults:
        raise LabelError('\n'.join(faults))
    inferencer = FusionInferencer(RuleFuser(rule), device='cpu')
    for pair in pairs:
        write_image(out / pair.vis.name, inferencer(pair.ir, pair.vis).fused)


def share_out(item: DetectionInput, folds: int, span: int) -> list[list[str]]:
    """The frames of each fold."""
    boxes = {
        Path(name).stem: [box.label for box in found] for name, found in item.labels.boxes.items()
    }
    return assign_folds(neighbourhoods(item.frames, span), boxes, folds)


def describe(item: DetectionInput, folds: Sequence[Sequence[str]], span: int) -> Iterator[str]:
    """A line per fold: its frames by light, its boxes by class, its neighbourhoods."""
    groups = neighbourhoods(item.frames, span)
    labels = {Path(name).stem: found for name, found in item.labels.boxes.items()}
    for number, frames in enumerate(folds, 1):
        lights = [light_of(frame) for frame in frames]
        parts = [f'{lights.count(light)} {light}' for light in sorted(set(lights))]
        found = [box.label for frame in frames for box in labels[frame]]
        parts += [f'{found.count(i)} {name}' for i, name in enumerate(item.labels.classes)]
        ranges = [f'{g[0]}-{g[-1]}' for g in groups if g[0] in set(frames)]
        yield f'fold {number}: {len(frames)} frames ({", ".join(parts)}): {" ".join(ranges)}'


def write_tables(
    args: argparse.Namespace,
    scores: CrossValidation,
    folds: Mapping[str, Sequence[str]],
    runs: Sequence[DetectorRun],
) -> None:
    """All files."""
    table = score_table(scores, args.digits)
    paired = [difference_table(name, scores, args.digits) for name in scores.inputs]
    document = dict(
        command=shlex.join(sys.argv),
        frames=folds,
        runs=[dict(folder=str(run.folder), seconds=run.seconds) for run in runs],
        **summary_document(scores),
    )
    texts = dict(
        csv=to_csv(run_rows(scores)),
        json=to_json(document),
        md='\n'.join(to_markdown(each) for each in (table, *paired)),
        tex=to_latex(table),
    )
    for suffix, text in texts.items():
        write_text(args.work_dir / f'cross_validation.{suffix}', text)


def main(argv: list[str] | None = None) -> int:
    """Plan, train, test, compare."""
    args = parse_args(argv)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    try:
        cfg = merge_options(Config.fromfile(args.config), args.cfg_options)
        classes = cfg.test_dataloader.dataset.metainfo.classes
        folders = find_folders(args.inputs, args.work_dir)
        inputs = [read_input(*entry, args.labels, classes) for entry in folders.items()]
        folds = share_out(inputs[0], args.folds, args.span)
        runs = plan_runs(cfg, inputs, folds, args.seeds, args.work_dir)
    except (MMSGDFuseError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    for line in describe(inputs[0], folds, args.span):
        console.print(line)
    todo = [run for run in runs if not run.finished]
    console.print(f'{len(runs)} runs, {len(runs) - len(todo)} of them done')
    if args.plan:
        return 0
    for number, run in enumerate(run_detectors(todo, args.jobs), 1):
        console.print(f'{number}/{len(todo)} {run.folder}: {run.seconds:.0f} s')
    results = {(run.name, run.fold, run.seed): read_result(run.folder, run.name) for run in runs}
    scores = gather(results)
    write_tables(args, scores, {str(i): fold for i, fold in enumerate(folds, 1)}, runs)
    console.print(to_rich(score_table(scores, args.digits)))
    console.print(f'4 files in {args.work_dir}')
    return 0


if __name__ == '__main__':
    sys.exit(main())

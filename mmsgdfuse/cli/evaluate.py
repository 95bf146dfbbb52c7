"""Score folders of fused images: no model needed, the trivial baselines always beside them."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from mmsgdfuse.evaluation.cache import default_cache_dir
from mmsgdfuse.evaluation.comparison import paired_differences
from mmsgdfuse.evaluation.folders import match_folders, method_folders, name_methods
from mmsgdfuse.evaluation.functional import METRIC_INFOS, PAPER_METRICS
from mmsgdfuse.evaluation.outputs import default_contrast, write_outputs
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.scoring import score_folders
from mmsgdfuse.evaluation.tables import difference_table, metric_table, to_rich
from mmsgdfuse.pairing import PAIRING_HELP
from mmsgdfuse.utils.errors import InputError, MMSGDFuseError
from mmsgdfuse.utils.text import printable

_SHOWN_NOTES = 10


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse evaluate',
        description=__doc__,
        epilog='Files belong together if their names agree up to the suffix. docs/metrics.md '
        'defines the metrics and says what each of them rewards.',
    )
    parser.add_argument('ir', type=Path, help='folder of infrared images')
    parser.add_argument('vis', type=Path, help='folder of visible images')
    parser.add_argument(
        'fused',
        nargs='*',
        metavar='FUSED',
        help='folder of fused images, called by its own name, or NAME=FOLDER',
    )
    parser.add_argument(
        '--methods',
        type=Path,
        metavar='FOLDER',
        help='folder that holds a folder of fused images per method, called by its name',
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        metavar='NAME',
        help=f"'paper' for its seven, 'all', or any of {', '.join(METRIC_INFOS)} (default: all but "
        'the FMI, which take eight times as long as all others together, and TD, for which the '
        'images must be the frames of one video, in the order of their names)',
    )
    parser.add_argument(
        '--keep-going',
        action='store_true',
        help='leave out images with missing partners or unfit files, and list them',
    )
    parser.add_argument('--pairs', metavar='RULE', help=PAIRING_HELP)
    output = parser.add_argument_group('output')
    output.add_argument(
        '--out',
        type=Path,
        default=Path('outputs/evaluation'),
        help='folder for CSV, JSON, Markdown, LaTeX and plots (default: %(default)s)',
    )
    output.add_argument(
        '--digits', type=int, default=3, help='digits after the point (default: %(default)s)'
    )
    output.add_argument('--no-plots', action='store_true', help='write tables and values only')
    output.add_argument(
        '--contrast',
        nargs=3,
        metavar=('METHOD', 'OTHER', 'METRIC'),
        help='what the page of largest differences compares (default: the first two methods, or '
        'the only one and the maximum, in VIF)',
    )
    output.add_argument(
        '--title', default='Leaderboard', help='of the leaderboard (default: %(default)s)'
    )
    output.add_argument(
        '--scenes', type=int, default=12, help='images with pictures on it (default: %(default)s)'
    )
    output.add_argument(
        '--contrast-images', type=int, default=8, help='images on it (default: %(default)s)'
    )
    statistics = parser.add_argument_group('paired bootstrap')
    statistics.add_argument(
        '--resamples', type=int, default=10_000, help='number of draws (default: %(default)s)'
    )
    statistics.add_argument(
        '--confidence', type=float, default=0.95, help='of the interval (default: %(default)s)'
    )
    statistics.add_argument('--seed', type=int, default=0, help='of the draws (default: 0)')
    speed = parser.add_argument_group('speed')
    speed.add_argument('--workers', type=int, help='processes (default: one per core)')
    speed.add_argument(
        '--cache-dir',
        type=Path,
        default=default_cache_dir(),
        help='where values of unchanged images are kept (default: %(default)s)',
    )
    speed.add_argument('--no-cache', action='store_true', help='neither look up nor keep values')
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    return build_parser().parse_args(argv)


def methods_of(args: argparse.Namespace) -> dict[str, Path]:
    """Folder of results by method."""
    found = [str(folder) for folder in args.fused]
    if args.methods is not None:
        found += [str(folder) for folder in method_folders(args.methods)]
    return name_methods(found)


def evaluate(args: argparse.Namespace, errors: Console) -> Scores:
    groups = {
        'paper': PAPER_METRICS,
        'all': tuple(n for n, i in METRIC_INFOS.items() if not i.of_sequences),
    }
    metrics = args.metrics and [m for name in args.metrics for m in groups.get(name, (name,))]
    # A thread that redraws would keep score_folders from forking its workers.
    with Progress(console=errors, transient=True, auto_refresh=False) as progress:
        task = progress.add_task('scoring', total=None)
        return score_folders(
            args.ir,
            args.vis,
            methods_of(args),
            names=metrics,
            workers=args.workers,
            cache_dir=None if args.no_cache else args.cache_dir,
            keep_going=args.keep_going,
            pairing=args.pairs,
            progress=lambda done, total: progress.update(
                task, completed=done, total=total, refresh=True
            ),
        )


def tell(console: Console, text: str) -> None:
    """Print a line as it is, whatever characters a name in it has."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def show(scores: Scores, differences: list, digits: int, console: Console) -> None:
    console.print(to_rich(metric_table(scores, digits)))
    for method in scores.methods:
        console.print(to_rich(difference_table(method, scores, differences, digits)))


def show_notes(scores: Scores, errors: Console) -> None:
    if scores.problems:
        errors.print(f'left out for all methods: {len(scores.problems)} images', style='bold red')
        for problem in scores.problems:
            tell(errors, problem.message)
    for note in scores.notes[:_SHOWN_NOTES]:
        tell(errors, f'note: {note}')
    if len(scores.notes) > _SHOWN_NOTES:
        errors.print(f'note: {len(scores.notes) - _SHOWN_NOTES} more in evaluation.json')


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    # Not cut to a terminal's width where there is none.
    console = Console(width=None if sys.stdout.isatty() else 240)
    errors = Console(stderr=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always', UserWarning)
            scores = evaluate(args, errors)
        for warning in caught:
            tell(errors, f'warning: {warning.message}')
        differences = paired_differences(scores, args.resamples, args.confidence, args.seed)
        samples, _ = match_folders(args.ir, args.vis, methods_of(args), args.pairs)
        show(scores, differences, args.digits, console)
        try:
            written = write_outputs(
                args.out,
                scores,
                differences,
                samples,
                contrast=tuple(args.contrast) if args.contrast else default_contrast(scores),
                contrast_images=args.contrast_images,
                digits=args.digits,
                plots=not args.no_plots,
                title=args.title,
                scenes=args.scenes,
                resamples=args.resamples,
                confidence=args.confidence,
                seed=args.seed,
            )
        except OSError as error:
            if isinstance(error, MMSGDFuseError):
                raise
            raise InputError(
                f'{args.out}: cannot be written ({error.strerror or error}), and is as it was; '
                'mend this, or give another folder as --out'
            ) from error
    except (MMSGDFuseError, OSError) as error:
        tell(errors, f'error: {error}')
        return 2
    except KeyboardInterrupt:
        kept = (
            'nothing was kept' if args.no_cache else f'values so far are kept in {args.cache_dir}'
        )
        tell(errors, f'stopped before the end; {kept}, and {args.out} is as it was')
        return 130
    show_notes(scores, errors)
    tell(console, f'{len(written)} files in {args.out}')
    return 0

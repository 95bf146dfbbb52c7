"""Compare what a detector or segmenter makes of infrared, visible and fused images.

    python tools/compare_downstream.py configs/downstream/yolox-s_msrs-{infrared,visible,fused}.py
    python tools/compare_downstream.py infrared=work_dirs/a/test/epoch_9 ours=FOLDER

Each input is a config, whose newest checkpoint in WORK_DIRS/<name of the config> is tested unless
it has been, or the folder of results of tools/test.py. Prints AP and AP50 (or IoU) per class and
in the mean, and writes them to OUT as CSV, JSON, Markdown and LaTeX.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mmsgdfuse.datasets.downstream import LabelError
from mmsgdfuse.engine import latest_checkpoint
from mmsgdfuse.evaluation.downstream import (
    MEAN,
    DownstreamResult,
    check_comparable,
    read_result,
    result_table,
)
from mmsgdfuse.evaluation.exports import to_csv, to_json
from mmsgdfuse.evaluation.tables import to_latex, to_markdown, to_rich
from mmsgdfuse.utils.cli import print_error
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.text import printable

_TEST = Path(__file__).with_name('test.py')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='config or folder of results, or NAME=...; by default called what its config is '
        'after the last dash',
    )
    parser.add_argument(
        '--work-dirs',
        type=Path,
        default=Path('work_dirs'),
        help='folder of what the configs trained (default: %(default)s)',
    )
    parser.add_argument(
        '--collect', action='store_true', help='test nothing; an input without results is an error'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='passed on to the tests'
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('outputs/downstream'),
        help='folder for the tables (default: %(default)s)',
    )
    parser.add_argument(
        '--digits', type=int, default=1, help='digits after the point (default: %(default)s)'
    )
    return parser.parse_args(argv)


def result_folder(source: Path, args: argparse.Namespace) -> Path:
    """Folder of an input's results, having tested its newest checkpoint where it was a config.

    Raises:
        LabelError: Nothing was trained, the test failed, or there was none with ``--collect``.
    """
    if source.suffix != '.py':
        return source
    work_dir = args.work_dirs / source.stem
    found = latest_checkpoint(work_dir)
    if found is None:
        raise LabelError(
            f'{work_dir}: expected a checkpoint epoch_N.pth, found none; train with '
            f'python tools/train.py {source} --work-dir {work_dir}'
        )
    checkpoint = found[0]
    folder = work_dir / 'test' / checkpoint.stem
    if (folder / 'metrics.json').is_file():
        return folder
    command = [str(_TEST), str(source), str(checkpoint), '--out-dir', str(folder)]
    if args.cfg_options:
        command += ['--cfg-options', *args.cfg_options]
    if args.collect:
        raise LabelError(
            f'{folder}: expected the results of {checkpoint}, found none; '
            f'python {" ".join(command)}'
        )
    if subprocess.run([sys.executable, *command], check=False).returncode:
        raise LabelError(f'{source}: its test failed, see above')
    return folder


def read_input(argument: str, args: argparse.Namespace) -> DownstreamResult:
    name, separator, source = argument.partition('=')
    if not separator or Path(argument).exists():
        name, source = '', argument
    return read_result(result_folder(Path(source), args), name or None)


def write_tables(out: Path, results: Sequence[DownstreamResult], digits: int) -> None:
    rows = [
        [result.name, metric, label, value]
        for result in results
        for metric, by_class in result.values.items()
        for label, value in (*by_class.items(), (MEAN, result.mean(metric)))
    ]
    document = {
        result.name: dict(
            classes=result.values,
            mean={metric: result.mean(metric) for metric in result.values},
            reported=result.reported,
            images=None if result.images is None else str(result.images),
            config=result.cfg.filename,
        )
        for result in results
    }
    table = result_table(results, digits)
    write_text(
        out / 'downstream.csv', printable(to_csv([['input', 'metric', 'class', 'percent'], *rows]))
    )
    write_text(out / 'downstream.json', to_json(document))
    write_text(out / 'downstream.md', printable(to_markdown(table)))
    write_text(out / 'downstream.tex', printable(to_latex(table)))


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else 240)
    try:
        results = [read_input(argument, args) for argument in args.inputs]
        check_comparable(results)
    except (MMSGDFuseError, OSError) as error:
        print_error(error)
        return 2
    console.print(to_rich(result_table(results, args.digits)))
    write_tables(args.out, results, args.digits)
    console.print(printable(f'4 files in {args.out}'), highlight=False, markup=False)
    return 0


if __name__ == '__main__':
    sys.exit(main())

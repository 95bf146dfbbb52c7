"""How fast fusing is, against the U-Net passes of the paper's configuration alone.

    python benchmarks/benchmark_speed.py
    python benchmarks/benchmark_speed.py --require 20 --require-student 15 --require-memory 2

All are timed in one run, one after the other in each round: the shipped model's `features` mode and
the student, each by torch and by ONNX Runtime where that is installed, from two arrays to the fused
one, masks included; and the full-size U-Net with random weights, which cost the same, once for each
diffusion time that the paper reads, without masks, Stage I and head. Peak memory is the resident
set of a process of its own that fuses one large pair.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import torch
from rich.console import Console
from rich.table import Table

from mmsgdfuse.apis import STUDENT_WEIGHTS, FusionInferencer
from mmsgdfuse.apis.recipe import Recipe
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.models.fusers import SGDFuse
from mmsgdfuse.runtime.onnx_runner import OnnxRunner
from mmsgdfuse.utils.assets import DEFAULT_ONNX, STUDENT_ONNX
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.profiling import (
    Memory,
    Spread,
    describe_device,
    in_fresh_process,
    measure_memory,
    time_in_turn,
)
from mmsgdfuse.utils.setup_env import register_all_modules

PAPER = Path(__file__).resolve().parents[1] / 'configs' / 'sgdfuse_msrs.py'
PASSES = 'passes'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--size', type=int, nargs=2, default=(640, 480), metavar=('W', 'H'))
    parser.add_argument(
        '--memory-size', type=int, nargs=2, default=(1280, 1024), metavar=('W', 'H')
    )
    parser.add_argument('--threads', type=int, default=2, help='(default: 2)')
    parser.add_argument('--repeats', type=int, default=7, help='rounds (default: 7)')
    parser.add_argument(
        '--budget',
        type=float,
        default=600,
        metavar='SECONDS',
        help='begin no further round after this time, once there are three (default: 600)',
    )
    parser.add_argument('--paper', default=str(PAPER), help="(default: the paper's configuration)")
    parser.add_argument('--weights', help='of the features mode (default: the shipped ones)')
    parser.add_argument(
        '--student', default=str(STUDENT_WEIGHTS), help='its weights (default: the shipped ones)'
    )
    parser.add_argument('--json', type=Path, help='file to write the values to')
    gates = parser.add_argument_group('fail unless')
    gates.add_argument(
        '--require', type=float, metavar='TIMES', help='features mode is so often as fast'
    )
    gates.add_argument(
        '--require-student', type=float, metavar='RATE', help='student fuses so many per second'
    )
    gates.add_argument(
        '--require-memory', type=float, metavar='GIB', help='features mode needs less than this'
    )
    return parser.parse_args(argv)


def set_threads(threads: int) -> None:
    cv2.setNumThreads(threads)
    torch.set_num_threads(threads)


def paper_passes(config: str, size: tuple[int, int]) -> Callable[[], None]:
    """One pass through a config's U-Net for each of its feature timesteps, one after the other."""
    model = Recipe.from_config(config).build_model()
    if not isinstance(model, SGDFuse):
        raise ValueError(f'{config}: is of {type(model).__name__}; give one of SGDFuse')
    width, height = (-(-side // model.size_divisor) * model.size_divisor for side in size)
    noised = torch.randn(1, model.denoiser.in_channels, height, width)
    noised = noised.to(memory_format=torch.channels_last)
    levels = model.schedule.noise_level(torch.tensor(model.feature_timesteps)).split(1)

    def run() -> None:
        with torch.inference_mode():
            for level in levels:
                model.denoiser.features(noised, level)

    return run


def fuse_scene(
    weights: str | None, mode: str, size: tuple[int, int], threads: int
) -> Callable[[], object]:
    """From two arrays to the fused one, and all that lies between."""
    if weights is not None and weights.endswith('.onnx'):
        inferencer = FusionInferencer(weights=weights, mode=mode)
        inferencer.runner = OnnxRunner(weights, threads=threads)
    else:
        inferencer = FusionInferencer(weights=weights, mode=mode, device='cpu')
    scene = synthetic_scene(seed=0, size=size[::-1])
    return lambda: inferencer(scene.ir, scene.vis)


def peak_memory(weights: str | None, mode: str, size: tuple[int, int], threads: int) -> Memory:
    set_threads(threads)
    return measure_memory(fuse_scene(weights, mode, size, threads))


def measure(args: argparse.Namespace) -> dict[str, dict]:
    """By row: ``seconds``, and for what fuses ``ratio`` to the passes and ``memory``."""
    fusers = {'features': (args.weights, 'features')}
    if Path(args.student).is_file():
        fusers['student'] = (args.student, 'student')
    if find_spec('onnxruntime'):
        fusers['features, onnxruntime'] = (str(DEFAULT_ONNX), 'features')
        fusers['student, onnxruntime'] = (str(STUDENT_ONNX), 'student')
    size = tuple(args.size)
    functions = [fuse_scene(weights, mode, size, args.threads) for weights, mode in fusers.values()]
    functions.append(paper_passes(args.paper, size))
    times = time_in_turn(functions, args.repeats, args.budget)
    rows = {name: dict(seconds=Spread.of(own)) for name, own in zip([*fusers, PASSES], times)}
    for own, (name, (weights, mode)) in zip(times, fusers.items()):
        rows[name]['ratio'] = Spread.of([slow / fast for slow, fast in zip(times[-1], own)])
        if not name.endswith('onnxruntime'):
            beside = times[list(fusers).index(name)]
            twin = f'{name}, onnxruntime'
            if twin in fusers:
                light = times[list(fusers).index(twin)]
                rows[twin]['to_torch'] = Spread.of([a / b for a, b in zip(beside, light)])
        rows[name]['memory'] = in_fresh_process(
            peak_memory, weights, mode, tuple(args.memory_size), args.threads,
            preload=('mmsgdfuse.apis',),
        )  # fmt: skip
    return rows


def show(rows: dict[str, dict], args: argparse.Namespace, console: Console) -> None:
    width, height = args.size
    large = 'x'.join(map(str, args.memory_size))
    table = Table(title=f'{width}x{height}, {args.threads} thread(s), {describe_device()}')
    for index, name in enumerate(
        (
            '',
            'ms',
            'quartiles',
            'runs',
            'images/s',
            'passes over it',
            'torch over it',
            f'peak MiB at {large}',
        )
    ):
        table.add_column(name, justify='right' if index else 'left')
    for name, row in rows.items():
        seconds, ratio, memory = row['seconds'], row.get('ratio'), row.get('memory')
        table.add_row(
            "the U-Net passes of the paper's size" if name == PASSES else name,
            f'{1e3 * seconds.median:,.1f}',
            f'{1e3 * seconds.low:,.1f} .. {1e3 * seconds.high:,.1f}',
            str(seconds.count),
            '' if ratio is None else f'{1 / seconds.median:.1f}',
            '' if ratio is None else f'{ratio.median:.1f} ({ratio.low:.1f} .. {ratio.high:.1f})',
            f'{row["to_torch"].median:.2f}' if 'to_torch' in row else '',
            '' if memory is None else f'{memory.peak / 2**20:,.0f}',
        )
    console.print(table)


def failures(rows: dict[str, dict], args: argparse.Namespace) -> list[str]:
    """What falls short of the requirements; a row that is missing does, too."""
    found = []
    ratio = rows['features']['ratio'].median
    if args.require is not None and ratio < args.require:
        found.append(f'the features mode is {ratio:.1f} times as fast, not {args.require:g}')
    if args.require_student is not None:
        rate = 1 / rows['student']['seconds'].median if 'student' in rows else 0.0
        if rate < args.require_student:
            found.append(f'the student fuses {rate:.1f} per second, not {args.require_student:g}')
    if args.require_memory is not None:
        memory = rows['features']['memory']
        if memory is None or memory.peak >= args.require_memory * 2**30:
            peak = 'an unknown amount' if memory is None else f'{memory.peak / 2**30:.2f} GiB'
            found.append(f'the features mode needs {peak}, not below {args.require_memory:g}')
    return found


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    set_threads(args.threads)
    register_all_modules()
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        rows = measure(args)
    except (OSError, ValueError) as error:
        console.print(f'error: {error}', markup=False)
        return 2
    show(rows, args, console)
    if 'student' not in rows:
        console.print(f'no student: {args.student} is not there', markup=False)
    if args.json:
        document = dict(arguments=vars(args), rows=rows)
        write_text(args.json, json.dumps(document, indent=1, default=plain) + '\n')
    found = failures(rows, args)
    for failure in found:
        console.print(failure)
    return 1 if found else 0


def plain(value: object) -> object:
    """What JSON cannot hold by itself."""
    return str(value) if isinstance(value, Path) else vars(value)


if __name__ == '__main__':
    sys.exit(main())

"""How fast the metrics are, against VIF by direct convolution as published evaluators do it.

    python benchmarks/benchmark_metrics.py
    python benchmarks/benchmark_metrics.py --size 1024 768 --pool --require 15

Times are CPU seconds of one thread, so that they hold on a busy machine too; those of the process
pool (--pool) are wall-clock seconds.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.signal import convolve2d

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.evaluation.functional import METRIC_INFOS, PAPER_METRICS, fusion_metrics, to_luma
from mmsgdfuse.evaluation.scoring import available_cores, score_folders
from mmsgdfuse.utils.image_io import write_image


def direct_vif(reference: np.ndarray, distorted: np.ndarray) -> float:
    """Pixel-domain VIF of a pair, every window mean by a two-dimensional convolution."""
    kept = total = 0.0
    for scale, size in enumerate((17, 9, 5, 3)):
        offset = np.arange(size) - size // 2
        window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * (size / 5) ** 2))
        window /= window.sum()
        if scale > 0:
            reference = convolve2d(reference, window, mode='valid')[::2, ::2]
            distorted = convolve2d(distorted, window, mode='valid')[::2, ::2]
        mean_r = convolve2d(reference, window, mode='valid')
        mean_d = convolve2d(distorted, window, mode='valid')
        var_r = convolve2d(reference**2, window, mode='valid') - mean_r**2
        var_d = convolve2d(distorted**2, window, mode='valid') - mean_d**2
        covariance = convolve2d(reference * distorted, window, mode='valid') - mean_r * mean_d
        gain = np.maximum(covariance / (np.maximum(var_r, 0) + 1e-10), 0)
        residual = np.maximum(var_d - gain * covariance, 1e-10)
        kept += np.log10(1 + gain**2 * np.maximum(var_r, 0) / (residual + 2)).sum()
        total += np.log10(1 + np.maximum(var_r, 0) / 2).sum()
    return kept / total


def cpu_seconds(*functions: Callable[[], object], repeats: int) -> list[float]:
    """The shortest of several runs of each: what disturbs a run only makes it longer.

    They take turns, so that all of them meet the same machine, quiet or busy.
    """
    shortest = [math.inf] * len(functions)
    for _ in range(repeats):
        for index, function in enumerate(functions):
            start = time.process_time()
            function()
            shortest[index] = min(shortest[index], time.process_time() - start)
    return shortest


def make_triple(width: int, height: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    scene = synthetic_scene(seed=seed, size=(height, width))
    ir, vis = to_luma(scene.ir), to_luma(scene.vis)
    return ir, vis, np.maximum(ir, vis)


def time_functions(width: int, height: int, repeats: int, console: Console) -> float:
    """Prints the time of every metric and returns the paper's seven's gain over direct VIF."""
    ir, vis, fused = make_triple(width, height)
    planes = [plane.astype(np.float64) for plane in (ir, vis, fused)]

    def direct() -> float:
        return direct_vif(planes[0], planes[2]) + direct_vif(planes[1], planes[2])

    ours = fusion_metrics(ir, vis, fused, ['VIF'])['VIF']
    error = abs(ours - direct()) / ours
    slow, seven, everything = cpu_seconds(
        direct,
        lambda: fusion_metrics(ir, vis, fused, PAPER_METRICS),
        lambda: fusion_metrics(ir, vis, fused),
        repeats=repeats,
    )

    table = Table(title=f'{width}x{height}, one thread')
    table.add_column('metric')
    table.add_column('ms', justify='right')
    for name, info in METRIC_INFOS.items():
        if not (info.part_of or info.of_sequences):
            (own,) = cpu_seconds(
                lambda n=name: fusion_metrics(ir, vis, fused, [n]), repeats=repeats
            )
            table.add_row(name, f'{1e3 * own:.1f}')
    table.add_section()
    table.add_row('all but FMI', f'{1e3 * everything:.1f}')
    table.add_row("the paper's seven", f'{1e3 * seven:.1f}')
    table.add_row('VIF by direct convolution', f'{1e3 * slow:.1f}')
    console.print(table)
    console.print(f'relative difference of the two VIF: {error:.1e}')
    console.print(f'direct VIF alone takes {slow / seven:.1f} times as long as all seven')
    return slow / seven


def time_pool(width: int, height: int, images: int, console: Console) -> None:
    """Prints the wall-clock time of folders of images: one process, all cores, and cached."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for index in range(images):
            triple = make_triple(width, height, seed=index)
            for role, plane in zip(('ir', 'vis', 'fused'), triple):
                write_image(root / role / f'{index:04}.png', plane)
        table = Table(title=f'{images} images, four baselines and one method, all metrics')
        table.add_column('run')
        table.add_column('s', justify='right')
        cores = available_cores()
        runs = [
            ('1 process', 1, None),
            (f'{cores} processes', cores, root / 'cache'),
            ('again, cached', cores, root / 'cache'),
        ]
        for label, workers, cache in runs:
            start = time.perf_counter()
            score_folders(
                root / 'ir',
                root / 'vis',
                {'max': root / 'fused'},
                workers=workers,
                cache_dir=cache,
            )
            table.add_row(label, f'{time.perf_counter() - start:.1f}')
        console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--size', type=int, nargs=2, default=(640, 480), metavar=('W', 'H'))
    parser.add_argument('--repeats', type=int, default=10, help='runs per time (default: 10)')
    parser.add_argument('--pool', action='store_true', help='also time folders of images')
    parser.add_argument('--images', type=int, default=24, help='images in them (default: 24)')
    parser.add_argument('--require', type=float, help='fail unless the gain is at least this')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    console = Console()
    console.print(f'{os.cpu_count()} cores, numpy {np.__version__}, OpenCV {cv2.__version__}')
    gain = time_functions(*args.size, args.repeats, console)
    if args.pool:
        time_pool(*args.size, args.images, console)
    if args.require is not None and gain < args.require:
        console.print(f'too slow: the gain must be at least {args.require}')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())

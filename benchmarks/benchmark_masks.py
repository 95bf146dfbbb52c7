"""Time the mask generators on synthetic scenes, on one core.

python benchmarks/benchmark_masks.py
python benchmarks/benchmark_masks.py --generator SAMMaskGenerator --options model_type=vit_b
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import cv2
import torch
from rich.console import Console
from rich.table import Table

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.masks import CheckpointError
from mmsgdfuse.masks.cli import add_generator_arguments, generator_from_arguments


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--sizes', nargs='+', default=['640x480', '1024x768', '1280x1024'], metavar='WxH'
    )
    parser.add_argument('--scenes', type=int, default=5, help='scenes per size')
    parser.add_argument('--threads', type=int, default=1)
    add_generator_arguments(parser)
    return parser.parse_args()


def milliseconds(generator, images) -> list[float]:
    generator(images[0])  # loads weights, fills caches
    times = []
    for image in images:
        start = time.perf_counter()
        generator(image)
        times.append(1e3 * (time.perf_counter() - start))
    return times


def main() -> None:
    args = parse_args()
    cv2.setNumThreads(args.threads)
    torch.set_num_threads(args.threads)
    try:
        generator = generator_from_arguments(args)
        table = Table()
        for column in ('size', 'infrared', 'visible', 'slowest'):
            table.add_column(column, justify='right')
        for size in args.sizes:
            width, height = map(int, size.split('x'))
            scenes = [synthetic_scene(seed, (height, width)) for seed in range(args.scenes)]
            ir = milliseconds(generator, [scene.ir for scene in scenes])
            vis = milliseconds(generator, [scene.vis for scene in scenes])
            medians = (f'{statistics.median(times):.0f}' for times in (ir, vis))
            table.add_row(size, *medians, f'{max(ir + vis):.0f}')
    except (CheckpointError, OSError, ValueError, ImportError) as error:
        sys.exit(str(error))
    print(f'{type(generator).__name__}, {args.threads} thread(s), milliseconds per image')
    Console().print(table)


if __name__ == '__main__':
    main()

"""Measure how much of the labelled objects, and of the frame, the masks cover.

    python tools/analysis_tools/mask_coverage.py data/MSRS/dev
    python tools/analysis_tools/mask_coverage.py data/MSRS/dev --images vi --options composer=union

Expects `<folder>/ir` (or another folder of images) and `<folder>/labels` with one YOLO text file
per image: `class cx cy w h` per line, in 0..1. A box counts as covered where more than
half of its area lies in the mask.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmsgdfuse.masks import BaseMaskGenerator, covered_share
from mmsgdfuse.masks.cli import add_generator_arguments, generator_from_arguments
from mmsgdfuse.utils.errors import InputError, MMSGDFuseError
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.image_io import list_images, read_image


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='holds the images and the labels')
    parser.add_argument('--images', default='ir', help='its folder of images (default: ir)')
    parser.add_argument('--labels', default='labels', help='its folder of boxes (default: labels)')
    parser.add_argument(
        '--class-names',
        nargs='+',
        metavar='NAME',
        default=['person', 'bicycle', 'car'],
        help='names of the class ids from 0 (default: person bicycle car)',
    )
    parser.add_argument(
        '--threshold',
        type=float,
        default=0.0,
        help='mask values above it count as covered (default: 0)',
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers there, too')
    add_generator_arguments(parser)
    return parser.parse_args(argv)


def read_boxes(path: Path, shape: tuple[int, int]) -> list[tuple[int, slice, slice]]:
    """Class id, rows and columns of the boxes of a YOLO file; those without a pixel are left out.

    Raises:
        ValueError: A line is not five numbers.
    """
    height, width = shape
    boxes = []
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        if not line.strip():
            continue
        try:
            class_id, x, y, w, h = map(float, line.split())
        except ValueError:
            raise InputError(f'{path}:{number}: is not `class cx cy w h`: {line}') from None
        left, right = np.clip([round((x - w / 2) * width), round((x + w / 2) * width)], 0, width)
        top, bottom = np.clip([round((y - h / 2) * height), round((y + h / 2) * height)], 0, height)
        if right > left and bottom > top:
            boxes.append((int(class_id), slice(top, bottom), slice(left, right)))
    return boxes


def measure(args: argparse.Namespace, generator: BaseMaskGenerator) -> dict:
    """The numbers, as a JSON-able dictionary."""
    shares, seconds = [], []
    covered: dict[int, list[float]] = defaultdict(list)
    images = list_images(args.folder / args.images)
    if not images:
        raise FileNotFoundError(f'{args.folder / args.images}: holds no images')
    for path in track(images, description='masks'):
        image = read_image(path)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # full masks show in the shares
            mask = generator(image)
        seconds.append(time.perf_counter() - start)
        shares.append(covered_share(mask, args.threshold))
        label = args.folder / args.labels / f'{path.stem}.txt'
        for class_id, rows, columns in read_boxes(label, mask.shape):
            covered[class_id].append(covered_share(mask[rows, columns], args.threshold))
    return dict(
        generator=generator.settings,
        threshold=args.threshold,
        images=len(images),
        frame=dict(mean=float(np.mean(shares)), highest=float(np.max(shares))),
        milliseconds=1e3 * float(np.median(seconds)),
        classes={
            _name(class_id, args.class_names): dict(
                boxes=len(values), covered=float(np.mean(np.array(values) > 0.5))
            )
            for class_id, values in sorted(covered.items())
        },
    )


def _name(class_id: int, names: list[str]) -> str:
    return names[class_id] if class_id < len(names) else str(class_id)


def show(result: dict) -> None:
    """Print the numbers as a table."""
    table = Table()
    for column in ('class', 'boxes', 'covered'):
        table.add_column(column, justify='left' if column == 'class' else 'right')
    for name, row in result['classes'].items():
        table.add_row(name, str(row['boxes']), f'{row["covered"]:.1%}')
    frame = result['frame']
    print(f'{result["generator"]["type"]} on {result["images"]} images')
    Console().print(table)
    print(
        f'frame covered: {frame["mean"]:.1%} on average, {frame["highest"]:.1%} at most; '
        f'{result["milliseconds"]:.0f} ms per image (median)'
    )


def main(argv: list[str] | None = None) -> None:
    """Measure."""
    args = parse_args(argv)
    try:
        result = measure(args, generator_from_arguments(args))
    except (MMSGDFuseError, OSError) as error:
        sys.exit(str(error))
    show(result)
    if args.json:
        write_text(args.json, json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
    main()

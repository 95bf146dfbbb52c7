"""Check the image pairs of two folders, or of a data set, and list every fault at once.

    mmsgdfuse check data/night/ir data/night/vi
    mmsgdfuse check --root data/LLVIP --layout LLVIP --split train
    mmsgdfuse check kaist kaist --pairs '**/lwir/*:**/visible/*'

Every image is decoded, so that damage in the middle of a file is found too. The exit code is 0 if
all is well, 1 if there are faults, and 2 if the command line was wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from mmsgdfuse.datasets.layouts import LAYOUTS
from mmsgdfuse.datasets.pairing import check_pair, find_pairs, read_names
from mmsgdfuse.pairing import PAIRING_HELP, ImagePair, PairPlan
from mmsgdfuse.registration import Misregistration, measure_misregistration
from mmsgdfuse.registration.folders import read_pairs
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.text import printable


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse check',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    folders = parser.add_argument_group('two folders')
    folders.add_argument('ir', nargs='?', type=Path, help='folder of the infrared images')
    folders.add_argument('vis', nargs='?', type=Path, help='folder of the visible images')
    known = parser.add_argument_group('or a data set')
    known.add_argument('--root', type=Path, help='root folder of the data set')
    known.add_argument(
        '--layout', choices=list(LAYOUTS), default='folders',
        help='how its folders are arranged (default: %(default)s, that is ir/ and vi/)',
    )  # fmt: skip
    known.add_argument('--split', help='such as train, for layouts that have splits')
    parser.add_argument('--labels', type=Path, help='folder of label maps (8-bit class ids)')
    parser.add_argument('--pairs', metavar='RULE', help=PAIRING_HELP)
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='show the pairs and what lacks a partner; read no image',
    )
    parser.add_argument('--names', type=Path, help='text file with the names to check')
    parser.add_argument(
        '--quick', action='store_true', help='do not decode; look at headers and end marks only'
    )
    parser.add_argument(
        '--max-shift', type=float, metavar='PIXELS',
        help='also measure how far each pair is from being registered, infrared pixels, and count '
        'more as a fault; takes seconds per pair (docs/cameras.md has values of public sets)',
    )  # fmt: skip
    parser.add_argument(
        '--workers', type=int, default=2, help='threads to decode with (default: %(default)s)'
    )
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if (args.root is None) == (args.ir is None):
        parser.error('give either two folders (IR VIS) or --root')
    if args.root is None and args.vis is None:
        parser.error(f'{args.ir} is the infrared folder; give the visible one after it')
    if args.max_shift is not None and (args.quick or args.max_shift <= 0):
        parser.error('--max-shift must be above 0 pixels, and reads the images: leave --quick out')
    if args.workers < 1:
        parser.error('--workers must be at least 1')
    return args


def resolve_folders(args: argparse.Namespace) -> dict[str, Path]:
    """The folders to match, by key.

    Raises:
        ValueError: The layout needs a split, or has none.
    """
    if args.root is None:
        folders = dict(ir=args.ir, vis=args.vis)
    else:
        relative = LAYOUTS[args.layout].folders(args.split)
        folders = {key: args.root / folder for key, folder in relative.items()}
    if args.labels is not None:
        folders['labels'] = args.labels
    return folders


def check_all(pairs: Iterable[Mapping[str, str]], check: str, workers: int) -> Iterable[list[str]]:
    """Faults of each pair, in the order of the pairs."""
    cv2.setNumThreads(1)  # the pairs themselves run in parallel
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda pair: check_pair(pair, check), pairs)


def check_registration(
    pair: Mapping[str, str], max_shift: float
) -> tuple[list[str], Misregistration | None]:
    """The fault of a pair that is not registered, if it can be read and measured."""
    image_pair = ImagePair(Path(pair['name']).stem, Path(pair['ir_path']), Path(pair['vis_path']))
    try:
        ((_, ir, vis),) = read_pairs([image_pair])
    except (MMSGDFuseError, OSError):
        return [], None  # said by the other checks
    found = measure_misregistration(ir, vis)
    if not found.distance > max_shift:  # NaN, too: too few matches to tell
        return [], found
    text = (
        f'{pair["ir_path"]}: is {found.distance:.1f} pixels off its visible image in the median, '
        f'by {found.matches} matches; register the pair (mmsgdfuse register)'
    )
    return [text], found


def describe(pairs: Iterable[Mapping[str, str]], faults: Iterable[str]) -> str:
    """The plan of pairs, without labels."""
    planned = (
        ImagePair(Path(p['name']).stem, Path(p['ir_path']), Path(p['vis_path'])) for p in pairs
    )
    return str(PairPlan(tuple(planned), tuple(faults)))


def main(argv: list[str] | None = None) -> int:
    """Check, report, and return the exit code."""
    args = parse_args(argv)
    start = time.monotonic()
    patterns = LAYOUTS[args.layout].names if args.root else None
    try:
        folders = resolve_folders(args)
        names = read_names(args.names) if args.names else None
        pairs, faults = find_pairs(folders, names, patterns, args.pairs)
    except (MMSGDFuseError, OSError) as error:
        sys.stderr.write(printable(f'{error}\n'))
        return 2
    if args.dry_run:
        print(printable(describe(pairs, faults)))
        return 1 if faults else 0
    check = 'quick' if args.quick else 'full'
    results = check_all(pairs, check, args.workers)
    sound = 0
    for found in track(results, description='Checking pairs', total=len(pairs), transient=True):
        faults += found
        sound += not found

    measured: list[Misregistration] = []
    if args.max_shift is not None:
        for pair in track(pairs, description='Measuring registration', transient=True):
            found, shift = check_registration(pair, args.max_shift)
            faults += found
            measured += [shift] if shift is not None else []

    for fault in faults:
        print(printable(fault))
    if measured:
        distances = np.array([shift.distance for shift in measured])
        told = distances[~np.isnan(distances)]
        middle = f', median {np.median(told):.1f} pixels off' if len(told) else ''
        print(
            f'registration measured in {len(told)} pair(s){middle}; '
            f'{len(distances) - len(told)} show too few common edges to tell'
        )
    suffixes = Counter(
        Path(path).suffix.lower() for pair in pairs for key, path in pair.items() if key != 'name'
    )
    kinds = ', '.join(f'{count} {suffix}' for suffix, count in suffixes.most_common())
    print(
        f'{sound} sound pair(s), {len(faults)} fault(s), '
        f'{kinds or "no"} files, {time.monotonic() - start:.1f} s'
    )
    return 1 if faults else 0

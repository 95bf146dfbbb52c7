r"""Measure registration: pairs of unknown transform, synthetic rigs, and fusing with a known one.

    python benchmarks/benchmark_registration.py --raw data/RoadScene_raw
    python benchmarks/benchmark_registration.py --rigs data/MSRS/train data/RoadScene/train \
        --out outputs/registration

`--raw` names a folder with ir/, vi/ and homographies.json, which holds `ir_to_vi` (3x3) of each
pair. Every pair is registered alone, and the mean error of the corners of the infrared frame is
taken, in infrared pixels. `--rigs` names folders with ir/ and vi/ of registered pairs of one size:
the infrared images of 20 of them are seen through one random homography, which is then estimated
from all of them. `--fuse` fuses those pairs by the known homography and compares with the fusion of
the registered pair, inside of the region that both see.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from mmsgdfuse.io import InfraredReader, VisibleReader
from mmsgdfuse.io.files import write_text
from mmsgdfuse.pairing import plan_pairs
from mmsgdfuse.registration import (
    RegistrationError,
    Rig,
    SearchOptions,
    corner_error,
    register_pair,
    register_rig,
)
from mmsgdfuse.registration.folders import read_pairs

Pair = tuple[str, np.ndarray, np.ndarray]
_PAIRS = 20
OWN = 'of the set itself (px) | beyond the set (px)'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--raw', type=Path, metavar='FOLDER', help='pairs of known homography')
    parser.add_argument('--rigs', type=Path, nargs='+', default=[], metavar='FOLDER')
    parser.add_argument('--fuse', action='store_true', help='also compare fused images')
    parser.add_argument('--seed', type=int, default=0, help='of the rigs (default: 0)')
    parser.add_argument('--threads', type=int, default=1, help='of OpenCV (default: 1)')
    parser.add_argument('--out', type=Path, metavar='FOLDER', help='write registration.md there')
    return parser.parse_args(argv)


def measure_raw(folder: Path) -> list[str]:
    """Rows of the table of pairs that are registered alone."""
    truth = json.loads((folder / 'homographies.json').read_text())
    rows = [
        '| pair | corner error (px) | uncertainty (px) | coverage | seconds | accepted |',
        '|---|---:|---:|---:|---:|---|',
    ]
    errors, accepted, seconds = [], [], []
    everything = SearchOptions(
        min_matches=1, min_coverage=0, max_uncertainty=1e9, max_distortion=1e9
    )
    asked = SearchOptions()
    for name in track(sorted(truth), 'registering', transient=True):
        ir = InfraredReader().read(next((folder / 'ir').glob(f'{name}.*'))).pixels
        vis = VisibleReader(None).read(next((folder / 'vi').glob(f'{name}.*'))).pixels
        start = time.perf_counter()
        try:
            found = register_pair(ir, vis, everything)
        except RegistrationError:
            rows.append(f'| {name} | - | - | - | {time.perf_counter() - start:.1f} | no |')
            continue
        seconds.append(time.perf_counter() - start)
        error = corner_error(found.homography, np.array(truth[name]['ir_to_vi']), ir.shape[:2])
        limit = asked.max_uncertainty * ir.shape[1] / 640
        trusted = (
            found.matches >= asked.min_matches
            and found.coverage >= asked.min_coverage
            and found.uncertainty <= limit
            and abs(found.distortion) <= asked.max_distortion
        )
        errors.append(error)
        accepted.append(trusted)
        rows.append(
            f'| {name} | {error:.1f} | {found.uncertainty:.1f} | {found.coverage:.2f} '
            f'| {seconds[-1]:.1f} | {"yes" if trusted else "no"} |'
        )
    value, kept = np.array(errors), np.array(accepted)
    for label, which in (('all', np.ones(len(value), bool)), ('accepted', kept)):
        rows.append(
            f'\n{label}: {which.sum()} of {len(truth)}; within 5 px {(value[which] < 5).sum()}, '
            f'within 10 px {(value[which] < 10).sum()}, median {np.median(value[which]):.1f} px, '
            f'largest {value[which].max():.1f} px'
        )
    rows.append(f'\n{np.median(seconds):.1f} s per pair in the median')
    return rows


def random_rig(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Homography from an infrared camera's pixels to those of registered images of ``size``.

    The infrared camera has the same number of pixels, a view 0.75 to 0.95 as wide, and is turned
    and shifted a little.
    """
    height, width = size
    scale, angle = rng.uniform(0.75, 0.95), np.radians(rng.uniform(-3, 3))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ (np.eye(2) + rng.uniform(-0.01, 0.01, (2, 2)))
    centre = np.array([width, height]) / 2
    shift = centre - turn @ centre + rng.uniform(-0.03, 0.03, 2) * size[::-1]
    perspective = rng.uniform(-3e-5, 3e-5, 2)
    return np.block([[turn, shift[:, None]], [perspective[None], np.ones((1, 1))]])


def make_rig(pairs: Sequence[Pair], homography: np.ndarray) -> list[Pair]:
    """The pairs as a rig of that homography would see them."""
    height, width = pairs[0][1].shape[:2]
    return [
        (
            name,
            cv2.warpPerspective(
                ir, homography, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            ),
            vis,
        )
        for name, ir, vis in pairs
    ]


def measure_rig(folder: Path, seed: int, fuse: bool) -> str:
    """Row of the table of synthetic rigs."""
    planned = plan_pairs(folder / 'ir', folder / 'vi').pairs
    pairs = list(read_pairs(planned))
    sizes = [pair[1].shape[:2] for pair in pairs]
    common = max(set(sizes), key=sizes.count)
    pairs = [pair for pair, size in zip(pairs, sizes) if size == common][:_PAIRS]
    homography = random_rig(common, np.random.default_rng(seed))
    seen = make_rig(pairs, homography)
    start = time.perf_counter()
    found = register_rig(seen)
    seconds = time.perf_counter() - start
    error = corner_error(found.homography, homography, common)
    # the registered pairs are off by something themselves, which the estimate shows
    offset = register_rig(pairs, SearchOptions(kind='homography'))
    itself = corner_error(offset.homography, np.eye(3), common)
    combined = offset.homography @ homography
    relative = corner_error(found.homography, combined / combined[2, 2], common)
    row = (
        f'| {folder.parent.name}/{folder.name} | {len(pairs)} | {error:.2f} | {itself:.2f} '
        f'| {relative:.2f} | {seconds / len(pairs):.1f} |'
    )
    return f'{row} {compare_fused(pairs, seen, homography)} |' if fuse else row


def compare_fused(pairs: Sequence[Pair], seen: Sequence[Pair], homography: np.ndarray) -> str:
    """Mean and 99th percentile of the difference in grey levels, over all pairs."""
    from mmsgdfuse.apis import FusionInferencer

    options = dict(mode='student', device='cpu')
    registered, by_rig = (
        FusionInferencer(**options),
        FusionInferencer(**options, rig=Rig(homography)),
    )
    differences = []
    for (_, ir, vis), (_, moved, _) in zip(pairs, seen):
        result = by_rig(moved, vis)
        inside = cv2.erode(result.valid.astype(np.uint8), np.ones((65, 65), np.uint8)) > 0
        reference = registered(ir, vis).fused
        differences.append(np.abs(result.fused.astype(int) - reference)[inside].ravel())
    every = np.concatenate(differences)
    return f'{every.mean():.2f} / {np.percentile(every, 99):.0f}'


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    cv2.setNumThreads(args.threads)
    lines = [f'Written by `{shlex.join(["python", *sys.argv])}`.', '']
    if args.raw is not None:
        lines += measure_raw(args.raw)
    if args.rigs:
        extra = ' fused: mean / 99 % (levels) |' if args.fuse else ''
        lines += [
            '',
            f'| rig of | pairs | corner error (px) | {OWN} | seconds per pair |{extra}',
            '|---|' + '---:|' * (6 if args.fuse else 5),
        ]
        lines += [measure_rig(folder, args.seed, args.fuse) for folder in args.rigs]
    text = '\n'.join(lines)
    Console(soft_wrap=True).print(text, markup=False, highlight=False)
    if args.out is not None:
        write_text(args.out / 'registration.md', text + '\n')


if __name__ == '__main__':
    main()

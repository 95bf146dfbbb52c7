"""Compute the masks of folders of images and keep them on disk.

    mmsgdfuse masks --ir data/MSRS/train/ir --vis data/MSRS/train/vi
    mmsgdfuse masks --vis photos --generator SAMMaskGenerator --options device=cpu
    torchrun --nproc-per-node 8 -m mmsgdfuse masks --vis photos --generator SAMMaskGenerator
    mmsgdfuse masks --ir thermal --shard 2/3        # on the second of three machines
    mmsgdfuse masks --ir thermal --sheet masks.png  # and a picture to look at

Masks that are there already are kept, so a run that was stopped goes on where it was. The masks
are found again by `GenerateMasks(..., cache_dir=...)` with the same generator, and by `LoadMasks`.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from mmsgdfuse.io.images import (
    ImageFileError,
    check_scaling,
    read_infrared,
    read_visible,
    write_image,
)
from mmsgdfuse.io.thermal_range import SCALINGS
from mmsgdfuse.masks import BaseMaskGenerator, MaskCache, contact_sheet
from mmsgdfuse.masks.base import FULL_COVER
from mmsgdfuse.masks.cli import add_generator_arguments, generator_from_arguments
from mmsgdfuse.masks.segments import Segment, covered_share
from mmsgdfuse.pairing import PAIRING_HELP, plan_pairs
from mmsgdfuse.pairing.listing import list_folder
from mmsgdfuse.utils.cli import add_shard, checking_arguments, share_of
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.files import remove_leftovers
from mmsgdfuse.utils.text import printable


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse masks',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    images = parser.add_argument_group('images')
    images.add_argument(
        '--ir',
        nargs='+',
        type=Path,
        default=[],
        metavar='FOLDER',
        help='folders of infrared images',
    )
    images.add_argument(
        '--vis',
        nargs='+',
        type=Path,
        default=[],
        metavar='FOLDER',
        help='folders of visible images',
    )
    images.add_argument(
        '--pairs',
        metavar='RULE',
        help='make masks only of the pairs of --ir and --vis; ' + PAIRING_HELP,
    )
    images.add_argument('--recursive', action='store_true', help='descend into subfolders')
    images.add_argument(
        '--scaling',
        choices=SCALINGS,
        default='auto',
        help='what becomes of more than 8 bits of infrared; as in LoadPair (default: auto)',
    )
    images.add_argument(
        '--percentiles',
        nargs=2,
        type=float,
        default=(0.5, 99.5),
        metavar=('LOW', 'HIGH'),
        help='of --scaling percentile (default: 0.5 99.5)',
    )

    masks = parser.add_argument_group('masks')
    add_generator_arguments(masks)
    masks.add_argument(
        '--cache-dir',
        type=Path,
        default=Path('work_dirs/mask_cache'),
        help='root of the cache (default: work_dirs/mask_cache)',
    )
    masks.add_argument('--overwrite', action='store_true', help='compute again what is there')
    masks.add_argument(
        '--sheet',
        type=Path,
        metavar='FILE',
        help='draw a contact sheet (image, segments, mask) into this file',
    )
    masks.add_argument(
        '--sheet-images',
        type=int,
        default=12,
        metavar='N',
        help='images on the sheet, evenly spread (default: 12)',
    )

    work = parser.add_argument_group('sharing the work')
    add_shard(work)
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not args.ir and not args.vis and not args.pairs:
        parser.error('give folders of images as --ir, --vis or both')
    if args.sheet_images < 1:
        parser.error('--sheet-images must be at least 1')
    if args.pairs and (len(args.ir) > 1 or len(args.vis) > 1):
        parser.error('--pairs takes one folder each as --ir and --vis')
    return args


@dataclass
class Task:
    """An image to make a mask of."""

    path: Path
    infrared: bool

    def read(self, args: argparse.Namespace) -> np.ndarray:
        """The image as the generator takes it, exactly as a training pipeline would read it."""
        if self.infrared:
            image = read_infrared(self.path, args.scaling, tuple(args.percentiles))
        else:
            image = read_visible(self.path)
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@dataclass
class Report:
    """What a run did."""

    made: int = 0
    found: int = 0
    full: int = 0
    covered: float = 0.0
    failed: int = 0
    interrupted: bool = False

    def __str__(self) -> str:
        count = self.made + self.found
        text = f'{self.made} made, {self.found} found, {self.failed} failed'
        if count:
            text += f'; they cover {self.covered / count:.1%} of the frame on average'
        if self.full:
            text += (
                f'. {self.full} cover more than {FULL_COVER:.0%} and carry next to no information: '
                "use the composer 'salience', or raise the generator's thresholds"
            )
        if self.interrupted:
            text += '; stopped before the end, run it again to go on'
        return text


def tasks_of(args: argparse.Namespace) -> tuple[list[Task], list[str]]:
    """This process's share of the images, the same split on every machine, and of the faults.

    Raises:
        FileNotFoundError: A folder does not exist, or there is no image at all.
        InputError: ``--pairs`` cannot be used.
    """
    faults: list[str] = []
    if args.pairs:
        ir, vis = (folders[0] if folders else None for folders in (args.ir, args.vis))
        found = plan_pairs(ir, vis, args.pairs)
        faults += found.faults
        tasks = [Task(pair.ir, True) for pair in found.pairs]
        tasks += [Task(pair.vis, False) for pair in found.pairs]
    else:
        tasks = [
            Task(file.path, infrared)
            for infrared, folders in ((True, args.ir), (False, args.vis))
            for folder in folders
            for file in list_folder(folder, args.recursive, faults)
        ]
    if not tasks and not faults:
        raise FileNotFoundError(
            f'no images in {", ".join(map(str, args.ir + args.vis))}; check the folders, or add '
            '--recursive'
        )
    return list(share_of(tasks, args.shard)), list(share_of(faults, args.shard))


def generate(
    tasks: list[Task], generator: BaseMaskGenerator, cache: MaskCache, args: argparse.Namespace
) -> Report:
    """Make what is missing; an image that cannot be read is named and left out."""
    report = Report()
    try:
        for task in _progress(tasks):
            _generate_one(task, generator, cache, args, report)
    except KeyboardInterrupt:
        report.interrupted = True
    return report


def _generate_one(
    task: Task,
    generator: BaseMaskGenerator,
    cache: MaskCache,
    args: argparse.Namespace,
    report: Report,
) -> None:
    try:
        image = task.read(args)
    except OSError as error:  # the file is unfit, or may not be read
        report.failed += 1
        told = str(error) if isinstance(error, ImageFileError) else f'{task.path}: {error.strerror}'
        sys.stderr.write(printable(f'{told}\n'))
        return
    mask = None if args.overwrite else cache.load(image)
    if mask is None:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # the report counts what it warns of
            mask = generator(image)
        cache.save(image, mask)
        report.made += 1
    else:
        report.found += 1
    share = covered_share(mask)
    report.covered += share
    report.full += share > FULL_COVER


def draw_sheet(
    tasks: list[Task], generator: BaseMaskGenerator, cache: MaskCache, args: argparse.Namespace
) -> None:
    """A contact sheet of some of the images; segments are not cached and computed again."""
    step = max(1, len(tasks) // args.sheet_images)
    rows: list[tuple[str, np.ndarray, Sequence[Segment], np.ndarray]] = []
    for task in tasks[::step][: args.sheet_images]:
        try:
            image = task.read(args)
        except OSError:
            continue  # named before
        mask = cache.load(image)
        if mask is None:
            continue  # could not be made, which was said before
        segments = generator.generate(image)
        caption = (
            f'{printable(task.path.name)}  {len(segments)} segments, {covered_share(mask):.1%}'
        )
        rows.append((caption, image, segments, mask))
    if rows:
        write_image(args.sheet, contact_sheet(rows))
        print(f'{args.sheet}: contact sheet of {len(rows)} images')


def _progress(tasks: list[Task]) -> Iterator[Task]:
    if int(os.environ.get('RANK', 0)):  # one bar is enough
        return iter(tasks)
    return iter(track(tasks, description='masks'))


def main(argv: list[str] | None = None) -> None:
    """Generate masks."""
    args = parse_args(argv)
    rank = int(os.environ.get('RANK', 0))
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', 0)))
    try:
        with checking_arguments():
            check_scaling(args.scaling, tuple(args.percentiles))
        tasks, faults = tasks_of(args)
        for fault in faults:
            sys.stderr.write(printable(f'{fault}\n'))
        generator = generator_from_arguments(args)
        cache = MaskCache(args.cache_dir, generator.settings)
        remove_leftovers(cache.folder)
        report = generate(tasks, generator, cache, args)
        report.failed += len(faults)
        if args.sheet and rank == 0 and not report.interrupted:
            draw_sheet(tasks, generator, cache, args)
    except (MMSGDFuseError, OSError) as error:
        sys.exit(printable(str(error)))
    except KeyboardInterrupt:  # outside of the loop, which counts what it did
        sys.stderr.write('stopped before the end; run it again to go on\n')
        sys.exit(130)
    print(printable(f'{cache.folder}: {report}'))
    if report.interrupted:
        sys.exit(130)
    if report.failed:
        sys.exit(1)

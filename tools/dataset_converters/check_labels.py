"""Check the labels of image pairs, and write boxes as the COCO file that mmdet reads.

    python tools/dataset_converters/check_labels.py boxes MSRS data/MSRS --split train
    python tools/dataset_converters/check_labels.py boxes M3FD data/M3FD_Detection --names train.txt
    python tools/dataset_converters/check_labels.py maps FMB data/FMB --split test

`boxes` writes ROOT/annotations/<split or list>.json; `maps` writes nothing, for mmseg reads the
published class ids as they are. With any fault nothing is written, unless --keep-going is given:
then what cannot be used is left out, boxes that reach over the edge are clipped, and all is
listed. The exit code is 0 if all is well or --keep-going left something, 1 if there are faults,
and 2 if the command line was wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmsgdfuse.datasets.downstream import (
    BOX_FORMATS,
    DETECTION_SETS,
    SEGMENTATION_SETS,
    DetectionSet,
    Fault,
    SegmentationSet,
    check_maps,
    collect_boxes,
    count_kinds,
    read_classes,
    to_coco,
)
from mmsgdfuse.datasets.pairing import find_pairs, read_names
from mmsgdfuse.utils.cli import print_error
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.text import printable


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest='task', required=True)
    for task, sets in (('boxes', DETECTION_SETS), ('maps', SEGMENTATION_SETS)):
        sub = tasks.add_parser(
            task, help=f'labels of {", ".join(sets)}, or arranged as one of them'
        )
        sub.add_argument('set', choices=list(sets), help='how the folders are arranged')
        sub.add_argument('root', type=Path, help='root folder of the data set')
        sub.add_argument('--split', help='such as train, for sets that have splits')
        sub.add_argument('--names', type=Path, help='text file with the names of the images to use')
        sub.add_argument('--labels', type=Path, help='folder of the labels, if it is another')
        sub.add_argument(
            '--classes', type=Path, help='text file of other class names, one per line'
        )
        sub.add_argument(
            '--keep-going', action='store_true', help='leave out what cannot be used, and list it'
        )
    boxes = tasks.choices['boxes']
    boxes.add_argument(
        '--format', choices=list(BOX_FORMATS), help="of the labels, if it is another than the set's"
    )
    boxes.add_argument('--out', type=Path, help='file to write (default: see above)')
    return parser.parse_args(argv)


def find_labels(
    args: argparse.Namespace, known: DetectionSet | SegmentationSet
) -> tuple[list[dict[str, str]], list[str], Path, list[Path]]:
    """The pairs, what is wrong with their folders, the label folder, and the images it serves."""
    folders = {key: args.root / folder for key, folder in known.layout.folders(args.split).items()}
    pairs, faults = find_pairs(folders, read_names(args.names) if args.names else None)
    labels = args.labels or args.root / known.labels.format(split=args.split)
    # one folder of labels may serve several splits
    shared = known.splits if '{split}' not in known.labels else (args.split,)
    served = [args.root / known.layout.folders(split)['vis'] for split in shared or (args.split,)]
    return pairs, faults, labels, [folder for folder in served if folder.is_dir()]


def report(lines: Sequence[str], faults: Sequence[Fault], others: Sequence[str]) -> None:
    """Print every fault, then what was found."""
    for fault in [*others, *faults]:
        print(printable(str(fault)))
    for line in lines:
        print(printable(line))
    kinds = ', '.join(f'{number} {kind}' for kind, number in count_kinds(faults).items())
    total = len(faults) + len(others)
    unmatched = f'{", " if kinds else ""}{len(others)} in pairing' if others else ''
    print(f'{total} fault(s){": " if total else ""}{kinds}{unmatched}')


def check_boxes(args: argparse.Namespace) -> int:
    known = DETECTION_SETS[args.set]
    pairs, others, folder, served = find_labels(args, known)
    classes = read_classes(args.classes) if args.classes else known.classes
    labels = collect_boxes(
        pairs, folder, args.format or known.format, classes, known.first_pixel, served
    )
    counts = [0] * len(classes)
    for box in (box for boxes in labels.boxes.values() for box in boxes):
        counts[box.label] += 1
    empty = sum(not boxes for boxes in labels.boxes.values())
    lines = [
        f'{len(labels.sizes)} image(s), {empty} of them without objects, {sum(counts)} box(es): '
        + ', '.join(f'{count} {name}' for name, count in zip(classes, counts))
    ]
    failed = bool(labels.faults or others)
    if (failed and not args.keep_going) or not labels.sizes:
        report(lines, labels.faults, others)
        print('nothing written; mend the labels, or pass --keep-going')
        return 1
    name = args.split or (args.names.stem if args.names else 'all')
    out = args.out or args.root / 'annotations' / f'{name}.json'
    content = to_coco(labels, f'{args.set}, {name}')
    write_text(out, json.dumps(content) + '\n')
    report([*lines, f'written to {out}'], labels.faults, others)
    return 0


def check_label_maps(args: argparse.Namespace) -> int:
    known = SEGMENTATION_SETS[args.set]
    pairs, others, folder, served = find_labels(args, known)
    classes = read_classes(args.classes) if args.classes else known.classes
    found = check_maps(pairs, folder, classes, served)
    total = max(int(found.pixels.sum()), 1)
    lines = [
        f'{name:>16}: {100 * pixels / total:7.3f} % of the pixels, in {images} image(s)'
        for name, pixels, images in zip(classes, found.pixels, found.images)
    ]
    report([*lines, f'{found.checked} map(s) read'], found.faults, others)
    return 1 if (found.faults or others) and not args.keep_going else 0


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        return check_boxes(args) if args.task == 'boxes' else check_label_maps(args)
    except (MMSGDFuseError, OSError) as error:
        print_error(error)
        return 2


if __name__ == '__main__':
    sys.exit(main())

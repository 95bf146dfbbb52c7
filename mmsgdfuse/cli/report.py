r"""Write one self-contained HTML page of a run: configuration, losses, metrics and images.

    mmsgdfuse report work_dirs/sgdfuse-compact_ivif -o report.html
    mmsgdfuse report work_dirs/sgdfuse-compact_ivif outputs/evaluation -o report.html \\
        --ir data/MSRS/dev/ir --vis data/MSRS/dev/vi --fused ours=outputs/fused

The page opens anywhere, from a file and without a network.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmsgdfuse.evaluation.folders import name_methods
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.text import printable
from mmsgdfuse.visualization.report import (
    Findings,
    Picture,
    build_gallery,
    find_folders,
    render_report,
    search,
)


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse report',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'sources',
        nargs='*',
        type=Path,
        metavar='SOURCE',
        help='folder that mmsgdfuse train, test or evaluate wrote, searched at '
        'any depth; or a JSON file of the latter two',
    )
    parser.add_argument(
        '-o',
        '--out',
        type=Path,
        default=Path('report.html'),
        help='the page (default: %(default)s)',
    )
    parser.add_argument('--title', help='its heading (default: the name of the first source)')
    images = parser.add_argument_group(
        'images', 'by default those of the last test and of others with the same sources'
    )
    images.add_argument('--ir', type=Path, help='folder of infrared images')
    images.add_argument('--vis', type=Path, help='folder of visible images')
    images.add_argument(
        '--fused',
        nargs='+',
        metavar='FUSED',
        help='folder of fused images, called by its own name, or NAME=FOLDER',
    )
    images.add_argument(
        '--images', type=int, default=12, help='scenes at most (default: %(default)s)'
    )
    images.add_argument(
        '--names', nargs='+', metavar='NAME', help='show these scenes (file names without suffix)'
    )
    images.add_argument(
        '--max-width',
        type=int,
        default=640,
        metavar='PIXELS',
        help='scale wider images down to this (default: %(default)s)',
    )
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = build_parser()
    args = parser.parse_args(argv)
    given = [args.ir, args.vis, args.fused]
    if any(given) and not all(given):
        parser.error('--ir, --vis and --fused belong together: give all three or none')
    if not args.sources and not args.fused:
        parser.error('give a folder to report on, or images with --ir, --vis and --fused')
    for name in ('images', 'max_width'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    return args


def read_gallery(args: argparse.Namespace, found: Findings) -> list[Picture]:
    if args.fused:
        ir, vis, fused = args.ir, args.vis, name_methods(args.fused)
    else:
        folders = find_folders(found)
        if folders is None:
            return []
        ir, vis, fused = folders
        # the run's config names the folders, and it may be someone else's
        print(f'images of {ir}, {vis} and {", ".join(map(str, fused.values()))}')
        # the folders are named by the run's config, which may be someone else's
        print(f'images of {ir}, {vis} and {", ".join(map(str, fused.values()))}')
    return build_gallery(ir, vis, fused, args.images, args.names, args.max_width)


def main(argv: list[str] | None = None) -> None:
    """Write the page."""
    args = parse_args(argv)
    named = args.sources[0] if args.sources else args.ir
    try:
        found = search(args.sources)
        gallery = read_gallery(args, found)
        page = render_report(args.title or named.resolve().name, found, gallery)
        write_text(args.out, printable(page))
    except (MMSGDFuseError, OSError) as error:
        sys.exit(printable(f'error: {error}'))
    out = printable(str(args.out))
    print(
        f'{out}: {len(found.phases)} training phases, {len(found.tests)} tests, '
        f'{len(found.evaluations)} evaluations, {len(gallery)} scenes, {len(page) / 2**20:.1f} MiB'
    )
    if not gallery:
        print('no images: give --ir, --vis and --fused to compare them on the page')

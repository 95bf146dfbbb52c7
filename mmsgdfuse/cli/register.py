"""Estimate how the pixels of two cameras correspond, from pairs of a rig that does not move.

    mmsgdfuse register night/ir night/vis -o rig.yaml --report outputs/register
    mmsgdfuse fuse night/ir night/vis --rig rig.yaml -o outputs/night

The exit code is 0 if a rig was written, 1 if no transform is trusted, and 2 if the command line
was wrong. docs/cameras.md has all steps.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmsgdfuse.io import SCALINGS, InfraredReader
from mmsgdfuse.io.polarity import POLARITIES
from mmsgdfuse.pairing import PAIRING_HELP, plan_pairs
from mmsgdfuse.registration import (
    RegistrationError,
    Rig,
    SearchOptions,
    register_folder,
    save_rig,
    write_report,
)
from mmsgdfuse.registration.fitting import KINDS
from mmsgdfuse.registration.folders import read_pairs
from mmsgdfuse.registration.report import describe, summarise
from mmsgdfuse.utils.cli import print_error
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.text import printable


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse register',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('ir', metavar='IR', help='infrared image, folder, or glob in quotes')
    parser.add_argument('vis', metavar='VIS', help='visible image, folder, or glob in quotes')
    parser.add_argument(
        '-o', '--out', type=Path, required=True, metavar='FILE', help='rig to write, *.yaml'
    )
    parser.add_argument('--pairs', metavar='RULE', help=PAIRING_HELP)
    parser.add_argument(
        '--kind', choices=KINDS, default='homography', help='of transform (default: %(default)s)'
    )
    parser.add_argument(
        '--limit', type=int, default=20, metavar='N',
        help='most pairs to use, spread over all (default: %(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--report', type=Path, metavar='FOLDER',
        help='draw a checkerboard and the infrared edges on each visible image',
    )  # fmt: skip
    parser.add_argument('--overwrite', action='store_true', help='replace an existing rig')
    trust = parser.add_argument_group('what is asked of the result')
    defaults = SearchOptions()
    trust.add_argument(
        '--min-coverage', type=float, default=defaults.min_coverage, metavar='SHARE',
        help='share of the infrared frame with matches that agree (default: %(default)s)',
    )  # fmt: skip
    trust.add_argument(
        '--max-uncertainty', type=float, default=defaults.max_uncertainty, metavar='PIXELS',
        help='of the corners, at an infrared width of 640 (default: %(default)s)',
    )  # fmt: skip
    infrared = parser.add_argument_group('infrared', 'As for mmsgdfuse fuse.')
    infrared.add_argument('--scaling', choices=SCALINGS, default='auto')
    infrared.add_argument('--range', type=float, nargs=2, metavar=('LOW', 'HIGH'))
    infrared.add_argument('--polarity', choices=POLARITIES, default='white-hot')
    infrared.add_argument('--palette', default='auto', metavar='NAME')
    infrared.add_argument('--raw', metavar='LAYOUT')
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    return build_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Register, write, and return the exit code."""
    args = parse_args(argv)
    try:
        if args.out.exists() and not args.overwrite:
            raise FileExistsError(f'{args.out} exists; pass --overwrite to replace it')
        planned = plan_pairs(args.ir, args.vis, args.pairs)
        for fault in planned.faults:
            sys.stderr.write(printable(f'left out: {fault}\n'))
        reader = InfraredReader(
            scaling=args.scaling, range=args.range, polarity=args.polarity,
            palette=args.palette, raw=args.raw,
        )  # fmt: skip
        options = SearchOptions(
            args.kind, min_coverage=args.min_coverage, max_uncertainty=args.max_uncertainty
        )
        found = register_folder(planned.pairs, reader, options, args.limit)
        rig = Rig(found.homography, ir_size=found.ir_size, vis_size=found.vis_size)
        save_rig(args.out, rig, summarise(found))
        print(printable(describe(found)))
        if args.report is not None:
            used = {frame.name for frame in found.frames}
            shown = [pair for pair in planned.pairs if pair.name in used]
            count = write_report(args.report, rig, read_pairs(shown, reader))
            print(f'{2 * count} pictures in {args.report}; look at them before you use the rig')
        print(f'wrote {args.out}')
    except (MMSGDFuseError, OSError) as error:
        print_error(error)
        return 1 if isinstance(error, RegistrationError) else 2
    return 0

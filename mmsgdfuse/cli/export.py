"""Write a trained fuser as one ONNX graph, which runs without torch.

    mmsgdfuse export fuser.onnx                                  # the shipped compact model
    mmsgdfuse export student.onnx --weights mine.safetensors
    mmsgdfuse export mine.onnx --weights epoch_60.pth --config mine.py --no-masks
    mmsgdfuse fuse thermal.png colour.png -o fused.png --weights mine.onnx

docs/runtimes.md describes the inputs and outputs of the graph.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmsgdfuse.utils.cli import print_error
from mmsgdfuse.utils.errors import InputError, MMSGDFuseError
from mmsgdfuse.utils.text import printable


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse export',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('out', type=Path, metavar='FILE', help='*.onnx to write')
    parser.add_argument(
        '--weights', metavar='FILE',
        help='*.safetensors, or *.pth with --config (default: the shipped compact model)',
    )  # fmt: skip
    parser.add_argument(
        '--config', metavar='FILE', help='config that the weights were trained with'
    )
    parser.add_argument(
        '--no-masks', action='store_true', help='leave the masks out of the inputs: none stand out'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace an existing file')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Export, and return the exit code."""
    args = build_parser().parse_args(argv)
    try:
        if args.out.suffix != '.onnx':
            raise InputError(f'{args.out}: an exported model is a *.onnx file')
        if args.out.exists() and not args.overwrite:
            raise FileExistsError(f'{args.out} exists; pass --overwrite to replace it')
        from mmsgdfuse.runtime.export import export_onnx

        contract = export_onnx(args.weights, args.out, config=args.config, masks=not args.no_masks)
    except (MMSGDFuseError, OSError) as error:
        print_error(error)
        return 2
    size = args.out.stat().st_size / 1e6
    print(printable(f'{args.out}: {contract.mode}, {size:.1f} MB'))
    return 0

"""Fuse the pair that ships with the package, and draw every step of it side by side."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mmsgdfuse.apis import SAMPLE_IR, SAMPLE_VIS, FusionInferencer
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.image_io import write_image


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=Path('outputs/demo'),
        help='folder for fused.png and panel.png (default: %(default)s)',
    )
    parser.add_argument('--weights', type=Path, help='other weights than the shipped ones')
    parser.add_argument('--device', help="such as 'cpu' or 'cuda' (default: the GPU if any)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    start = time.perf_counter()
    try:
        inferencer = FusionInferencer(weights=args.weights, device=args.device)
    except (MMSGDFuseError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    loaded = time.perf_counter()
    print(f'{type(inferencer.model).__name__} is ready after {loaded - start:.1f} s')
    result = inferencer(SAMPLE_IR, SAMPLE_VIS)
    height, width = result.fused.shape[:2]
    print(f'fused {width}x{height} in {time.perf_counter() - loaded:.1f} s on {inferencer.device}')
    for name, image in (('fused.png', result.fused), ('panel.png', result.panel(columns=3))):
        write_image(args.out_dir / name, image)
        print(args.out_dir / name)
    return 0


if __name__ == '__main__':
    sys.exit(main())

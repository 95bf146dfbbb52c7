"""Write the sample pair that ships with the package: a synthetic scene, always the same."""

from __future__ import annotations

import argparse
from pathlib import Path

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.utils.assets import SAMPLE_IR, SAMPLE_VIS
from mmsgdfuse.utils.image_io import write_image


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=SAMPLE_IR.parent,
        help='folder to write to (default: %(default)s)',
    )
    parser.add_argument('--seed', type=int, default=1, help='of the scene (default: 1, a night)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    scene = synthetic_scene(args.seed, size=(480, 640))
    for name, image in ((SAMPLE_IR.name, scene.ir), (SAMPLE_VIS.name, scene.vis)):
        write_image(args.out_dir / name, image)
        print(f'{args.out_dir / name}: {image.shape[1]}x{image.shape[0]}')


if __name__ == '__main__':
    main()

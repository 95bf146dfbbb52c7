r"""Cross-validate a small segmenter on infrared, visible and fused images over the same folds.

    python tools/analysis_tools/cross_validate_segmentation.py IR VIS LABELS [NAME=FOLDER ...]

LABELS holds true maps of class ids under the names of the pairs. Beside the folders of fused images
stand the two sources, their average, the brighter pixel, a Laplacian pyramid, and both sources
stacked, which is what fusion could at most give. All inputs are luma. Neighbouring frames are never
on both sides of a fold. The segmenter is a forest on local features: it compares inputs and says
nothing about how good segmentation can be.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console

from mmsgdfuse.evaluation.baselines import BASELINES
from mmsgdfuse.evaluation.cross_validation import (
    difference_table,
    run_rows,
    score_table,
    summary_document,
)
from mmsgdfuse.evaluation.exports import to_csv, to_json
from mmsgdfuse.evaluation.folders import Sample, match_folders, name_methods
from mmsgdfuse.evaluation.functional import to_luma
from mmsgdfuse.evaluation.pixel_segmentation import Reader, cross_validate_pixels
from mmsgdfuse.evaluation.scoring import read_result
from mmsgdfuse.evaluation.tables import to_markdown, to_rich
from mmsgdfuse.io.files import write_text
from mmsgdfuse.io.images import read_labels
from mmsgdfuse.utils.errors import InputError, MMSGDFuseError

MSRS_CLASSES = (
    'background', 'car', 'person', 'bike', 'curve', 'car stop', 'guardrail', 'colour cone', 'bump',
)  # fmt: skip


def pyramid_fusion(ir: np.ndarray, vis: np.ndarray, levels: int = 5) -> np.ndarray:
    """Laplacian pyramid: the larger detail of every level, the mean of the coarsest images."""
    first, second = ir.astype(np.float32), vis.astype(np.float32)
    details = []
    for _ in range(levels):
        coarse = [cv2.pyrDown(image) for image in (first, second)]
        own = [
            image - cv2.pyrUp(small, dstsize=image.shape[::-1])
            for image, small in zip((first, second), coarse)
        ]
        details.append(np.where(np.abs(own[0]) > np.abs(own[1]), own[0], own[1]))
        first, second = coarse
    fused = (first + second) / 2
    for detail in reversed(details):
        fused = cv2.pyrUp(fused, dstsize=detail.shape[::-1]) + detail
    return np.clip(np.rint(fused), 0, 255).astype(np.uint8)


def readers(samples: dict[str, Sample], methods: list[str]) -> dict[str, Reader]:
    """What to read for a frame, by input."""

    def luma(row: str, name: str) -> np.ndarray:
        return to_luma(read_result(samples[name], row))

    def pair(name: str) -> list[np.ndarray]:
        return [luma('infrared', name), luma('visible', name)]

    return {
        **{row: lambda name, row=row: [luma(row, name)] for row in BASELINES},
        'Laplacian pyramid': lambda name: [pyramid_fusion(*pair(name))],
        **{method: lambda name, row=method: [luma(row, name)] for method in methods},
        'both stacked': pair,
    }


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('ir', type=Path, help='folder of infrared images')
    parser.add_argument('vis', type=Path, help='folder of visible images')
    parser.add_argument('labels', type=Path, help='folder of maps of class ids')
    parser.add_argument('fused', nargs='+', metavar='FUSED', help='folder, or NAME=FOLDER')
    parser.add_argument(
        '--classes',
        nargs='+',
        default=MSRS_CLASSES,
        help="in the order of the id (default: MSRS's)",
    )
    parser.add_argument('--folds', type=int, default=5, help='default: %(default)s')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='default: 0')
    parser.add_argument('--step', type=int, default=4, help='of the pixels (default: %(default)s)')
    parser.add_argument('--trees', type=int, default=50, help='default: %(default)s')
    parser.add_argument('--out', type=Path, default=Path('outputs/segmentation'))
    return parser.parse_args(argv)


def run(args: argparse.Namespace, console: Console, errors: Console) -> None:
    methods = name_methods(args.fused)
    samples, problems = match_folders(args.ir, args.vis, methods)
    if problems:
        raise InputError(f'{len(problems)} images lack a partner; first: {problems[0].message}')
    labels = {s.name: read_labels(args.labels / f'{s.name}.png')[..., 0] for s in samples}
    scores = cross_validate_pixels(
        readers({sample.name: sample for sample in samples}, list(methods)),
        labels,
        args.classes,
        folds=args.folds,
        seeds=args.seeds,
        step=args.step,
        trees=args.trees,
        progress=lambda name, fold, folds: errors.print(f'{name}: fold {fold} of {folds}'),
    )
    tables = [score_table(scores), *(difference_table(name, scores) for name in methods)]
    for table in tables:
        console.print(to_rich(table))
    write_text(args.out / 'segmentation.md', '\n'.join(map(to_markdown, tables)))
    write_text(args.out / 'segmentation.csv', to_csv(run_rows(scores)))
    write_text(args.out / 'segmentation.json', to_json(summary_document(scores)))
    console.print(f'tables and values are in {args.out}')


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    wide = None if sys.stdout.isatty() else 240
    errors = Console(stderr=True)
    try:
        run(args, Console(width=wide), errors)
    except (MMSGDFuseError, OSError) as error:
        errors.print(f'error: {error}', markup=False, highlight=False, soft_wrap=True)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())

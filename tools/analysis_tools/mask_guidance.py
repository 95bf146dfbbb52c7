"""Measure what the masks change: fuse with the right ones, none, shuffled and foreign ones.

    python tools/analysis_tools/mask_guidance.py data/MSRS/dev
    python tools/analysis_tools/mask_guidance.py data/MSRS/dev --semantic data/MSRS/dev/masks_mfnet

Whatever an image was fused with, its errors are weighted by the right masks, so that rows
compare: `intensity` is the mean |luma - brighter source| inside the mask M of Eq. 16 in grey
levels, `gradient` the mean difference of |gx| + |gy| from the stronger source there (Eq. 17
and 18, divided by the mask's area). `inside` and `outside` are the mean change, in grey levels,
against the image that was fused with the right masks.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmsgdfuse.apis import FusionInferencer, FusionResult
from mmsgdfuse.datasets import IVIFDataset
from mmsgdfuse.evaluation.functional import fusion_metrics, to_luma
from mmsgdfuse.utils.files import write_text

METRICS = ('SD', 'SF', 'SCD', 'VIF', 'Qabf', 'SSIM')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='holds the folders ir and vi')
    parser.add_argument('--weights', help='weights to measure (default: the shipped ones)')
    parser.add_argument(
        '--semantic',
        type=Path,
        metavar='FOLDER',
        help='folder of class-id maps, a second source of masks',
    )
    parser.add_argument('--step', type=int, default=1, help='take every STEP-th pair (default: 1)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers there, too')
    return parser.parse_args(argv)


def variants(pairs: list[dict], args: argparse.Namespace) -> Iterator[dict[str, FusionResult]]:
    """Each pair fused with masks of every source; `right` comes first."""
    fuse = FusionInferencer(weights=args.weights)
    semantic = None
    if args.semantic:
        loader = dict(type='LoadSemanticMasks', folder=str(args.semantic.resolve()))
        semantic = FusionInferencer(config=fuse.model, masks=loader)
    for index, pair in enumerate(pairs):
        right = fuse(pair['ir_path'], pair['vis_path'])
        # the partner is half a list away: neighbouring frames look alike
        partner = pairs[(index + len(pairs) // 2) % len(pairs)]
        foreign = fuse(partner['ir_path'], partner['vis_path'])
        nothing = np.zeros_like(right.mask_ir)
        results = {
            'right': right,
            'none': fuse(right.ir, right.vis, nothing, nothing),
            'shuffled': fuse(
                right.ir, right.vis, _like(foreign.mask_ir, right), _like(foreign.mask_vis, right)
            ),
        }
        if semantic:
            results['semantic'] = semantic(pair['ir_path'], pair['vis_path'])
        yield results


def _like(mask: np.ndarray, like: FusionResult) -> np.ndarray:
    height, width = like.fused.shape[:2]
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)


def measure(result: FusionResult, right: FusionResult) -> dict[str, float]:
    """The numbers of one image; see the top of this file."""
    weight = np.maximum(right.mask_ir, right.mask_vis)
    fused, ir, vis, reference = (
        # luma is uint8, whose differences would wrap
        to_luma(image).astype(np.float64)
        for image in (result.fused, result.ir, result.vis, right.fused)
    )
    change = np.abs(fused - reference)
    intensity = np.abs(fused - np.maximum(ir, vis))
    gradient = np.abs(_gradient(fused) - np.maximum(_gradient(ir), _gradient(vis)))
    return dict(
        intensity=_mean(intensity, weight),
        gradient=_mean(gradient, weight),
        inside=_mean(change, weight > 0),
        outside=_mean(change, weight == 0),
        **fusion_metrics(result.ir, result.vis, result.fused, METRICS),
    )


def _gradient(luma: np.ndarray) -> np.ndarray:
    return np.abs(cv2.Sobel(luma, cv2.CV_64F, 1, 0)) + np.abs(cv2.Sobel(luma, cv2.CV_64F, 0, 1))


def _mean(values: np.ndarray, weight: np.ndarray) -> float:
    return float(np.average(values, weights=weight)) if weight.any() else float('nan')


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    dataset = IVIFDataset(data_root=str(args.folder), data_prefix=dict(ir='ir', vis='vi'))
    pairs = [dataset.get_data_info(index) for index in range(0, len(dataset), args.step)]

    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for results in track(variants(pairs, args), 'fusing and measuring', len(pairs)):
        for source, result in results.items():
            for name, value in measure(result, results['right']).items():
                values[source][name].append(value)
    rows = {
        source: {name: float(np.nanmean(each)) for name, each in numbers.items()}
        for source, numbers in values.items()
    }

    table = Table('masks', *rows['right'], title=f'{len(pairs)} pairs of {args.folder}')
    for source, row in rows.items():
        table.add_row(source, *(f'{value:.3f}' for value in row.values()))
    Console(width=140).print(table)
    if args.json:
        write_text(args.json, json.dumps(rows, indent=2) + '\n')


if __name__ == '__main__':
    main()

r"""Measure what methods make of degraded pairs: table of method, degradation and strength.

    python tools/analysis_tools/degraded_benchmark.py data/MSRS/dev --step 40
    python tools/analysis_tools/degraded_benchmark.py data/M3SVD/dev/* --step 10 \
        --given ir_noisy vi_blurred --degradations
    python tools/analysis_tools/degraded_benchmark.py data/MSRS/dev --step 40 \
        --methods maximum features classical+features ours=ours.safetensors \
        --degradations infrared_sensor/clean clean/defocus --strengths medium heavy

A degradation is written INFRARED/VISIBLE, with clean for an image that stays so. A method is a
rule (visible, infrared, average, maximum), a mode of the shipped model (features, refine,
sample, student) or NAME=WEIGHTS, with another mode NAME=WEIGHTS@MODE. With `classical+` before
it the pair is restored first: columns levelled, non-local means, and Wiener's filter, which is
told how wide the visible image's blur is. With `restored+` before a model the shipped restorer does
it. Both are compared with the clean fusion without restoring.

Columns that end in _own compare with the method's own fusion of the clean pair, the others with the
clean sources; all are of 8-bit luma. The same command gives the same numbers on the same machine.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from mmsgdfuse.apis import MODES, FusionInferencer
from mmsgdfuse.datasets import IVIFDataset
from mmsgdfuse.datasets.degradation import STRENGTHS, degradation_steps, degrade
from mmsgdfuse.evaluation.baselines import BASELINES, baseline_image
from mmsgdfuse.evaluation.classical_restoration import restore_pair
from mmsgdfuse.evaluation.exports import to_json
from mmsgdfuse.evaluation.functional import to_luma
from mmsgdfuse.evaluation.restoration import (
    OWN_METRICS,
    RESTORATION_METRICS,
    score_restoration,
)
from mmsgdfuse.evaluation.summary import summarise
from mmsgdfuse.evaluation.tables import Cell, Table, format_number, place_marks, to_markdown
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.image_io import read_infrared, read_visible, write_image

CLASSICAL, RESTORED = 'classical+', 'restored+'
CLEAN, GIVEN = 'clean', 'as given'
METHODS = ('average', 'maximum', 'features', 'student', 'classical+maximum', 'classical+features')
DEGRADATIONS = (
    'gaussian_noise/gaussian_noise',
    'column_stripes/clean',
    'row_stripes/clean',
    'dead_pixels/clean',
    'dead_lines/clean',
    'infrared_sensor/clean',
    'clean/poisson_noise',
    'clean/defocus',
    'clean/motion_blur',
    'clean/low_light',
    'clean/haze',
    'clean/low_contrast',
    'clean/jpeg',
    'clean/video_blocks',
    'clean/visible_sensor',
    'clean/night_visible',
    'infrared_sensor/visible_sensor',
)

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Method:
    """A way to fuse a pair.

    Attributes:
        name: What the table calls it.
        fuse: Maps infrared (H, W, 1) and visible (H, W, 3), uint8, to luma, uint8 (H, W).
        restores: Whether the pair is restored first by classical means.
        fuse_degraded: What fuses a degraded pair, where it is not ``fuse``.
    """

    name: str
    fuse: Callable[[np.ndarray, np.ndarray], np.ndarray]
    restores: bool = False
    fuse_degraded: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Condition:
    """What happened to a pair.

    Attributes:
        name: 'clean', 'as given', or INFRARED/VISIBLE.
        strength: 'light', 'medium' or 'heavy'; '' where there is none.
        steps: Steps of the infrared and of the visible image, see
            :func:`~mmsgdfuse.datasets.degradation.degradation_steps`.
    """

    name: str
    strength: str = ''
    steps: tuple[list[dict], list[dict]] = field(default_factory=lambda: ([], []))

    def apply(self, pair: Pair, seed: int, index: int) -> Pair:
        """The degraded pair; the same seed and index give the same one."""
        ir, vis = (
            degrade(image, steps, np.random.default_rng([seed, index, camera]))
            for camera, (image, steps) in enumerate(zip(pair, self.steps))
        )
        return ir, vis


def blur_width(steps: Sequence[dict]) -> float:
    """Standard deviation in pixels of the Gaussian that is about as wide as the steps' blurs.

    A disc of radius r has r / 2. A motion blur, which has a direction, counts as none.
    """
    variance = 0.0
    for step in steps:
        if step['type'] == 'gaussian_blur':
            variance += step['sigma'] ** 2
        elif step['type'] == 'defocus':
            variance += (step['radius'] / 2) ** 2
    return float(variance**0.5)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'folders', type=Path, nargs='+', help='each holds the folders ir and vi of clean pairs'
    )
    parser.add_argument(
        '--methods', nargs='+', default=METHODS, help=f'default: {" ".join(METHODS)}'
    )
    parser.add_argument('--device', default='cpu', help='of the models (default: cpu)')
    parser.add_argument('--threads', type=positive, help="of PyTorch (default: PyTorch's choice)")
    inputs = parser.add_argument_group('degraded pairs')
    inputs.add_argument(
        '--degradations',
        nargs='*',
        default=DEGRADATIONS,
        metavar='INFRARED/VISIBLE',
        help=f'none if no name follows (default: {" ".join(DEGRADATIONS)})',
    )
    inputs.add_argument(
        '--strengths',
        nargs='+',
        choices=STRENGTHS,
        default=list(STRENGTHS),
        help='default: all',
    )
    inputs.add_argument(
        '--given',
        nargs=2,
        metavar=('IR', 'VIS'),
        help='folders beside ir and vi that hold degraded copies of the same names',
    )
    inputs.add_argument(
        '--given-blur',
        type=float,
        default=1.5,
        metavar='SIGMA',
        help="blur in pixels of the given visible copies, which Wiener's filter is told; 0 for "
        'none (default: 1.5)',
    )
    inputs.add_argument(
        '--step', type=positive, default=1, help='take every STEPth pair of a folder (default: 1)'
    )
    inputs.add_argument('--seed', type=int, default=0, help='of the degradations (default: 0)')
    output = parser.add_argument_group('output')
    output.add_argument(
        '--out', type=Path, metavar='FOLDER', help='write degraded.md and degraded.json there'
    )
    output.add_argument(
        '--images', type=Path, metavar='FOLDER', help='write every fused image there'
    )
    return parser.parse_args(argv)


def positive(text: str) -> int:
    """An argparse type: a whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'must be above 0, found {text}')
    return value


def build_method(spec: str, device: str = 'cpu') -> Method:
    """A method from its name on the command line.

    Raises:
        FileNotFoundError: The weights are not there.
        ValueError: There is no such rule or mode.
    """
    restores, restored = spec.startswith(CLASSICAL), spec.startswith(RESTORED)
    name, _, source = spec.removeprefix(CLASSICAL).removeprefix(RESTORED).partition('=')
    label = spec.partition('=')[0]
    if not source and name in BASELINES and not restored:
        return Method(label, lambda ir, vis: baseline_image(name, ir, vis), restores)
    if not source and name not in MODES:
        raise ValueError(
            f'--methods: {spec!r} is none of {", ".join((*BASELINES, *MODES))}; a model of your '
            'own is NAME=WEIGHTS or NAME=WEIGHTS@MODE'
        )
    weights, _, mode = source.partition('@') if source else (None, '', name)
    options = dict(weights=weights, mode=mode or None, device=device)
    model = FusionInferencer(**options)
    method = Method(label, lambda ir, vis: to_luma(model(ir, vis).fused), restores)
    if not restored:
        return method
    restoring = FusionInferencer(**options, restore=True)
    return replace(method, fuse_degraded=lambda ir, vis: to_luma(restoring(ir, vis).fused))


def build_conditions(names: Sequence[str], strengths: Sequence[str]) -> list[Condition]:
    """Every named degradation in every strength.

    Raises:
        ValueError: A name is not INFRARED/VISIBLE, or a degradation is unknown.
    """
    conditions = []
    for name in names:
        cameras = name.split('/')
        if len(cameras) != 2 or cameras == [CLEAN, CLEAN]:
            raise ValueError(
                f'--degradations: write INFRARED/VISIBLE, one of them may be clean, found {name!r}'
            )
        for strength in strengths:
            ir, vis = (
                [] if camera == CLEAN else degradation_steps(camera, strength) for camera in cameras
            )
            conditions.append(Condition(name, strength, (ir, vis)))
    return conditions


def load_pairs(
    folders: Sequence[Path], step: int, given: Sequence[str] | None
) -> Iterator[tuple[str, Pair, Pair | None]]:
    """Name, clean pair and, where asked for, given degraded pair.

    Raises:
        DatasetError: Folders do not hold pairs.
        ValueError: The degraded copies are not of the same names.
    """
    for folder in folders:
        clean = _entries(folder, ('ir', 'vi'))
        copies = _entries(folder, given) if given else clean
        if list(clean) != list(copies):
            raise ValueError(f'{folder}: {", ".join(given or ())} hold other names than ir and vi')
        for name in list(clean)[::step]:
            copy = _read(copies[name]) if given else None
            yield f'{folder.name}/{name}', _read(clean[name]), copy


def _entries(folder: Path, prefixes: Sequence[str]) -> dict[str, dict]:
    ir, vis = prefixes
    dataset = IVIFDataset(data_root=str(folder), data_prefix=dict(ir=ir, vis=vis))
    entries = (dataset.get_data_info(index) for index in range(len(dataset)))
    return {Path(entry['name']).stem: entry for entry in entries}


def _read(entry: dict) -> Pair:
    ir, vis = read_infrared(entry['ir_path']), read_visible(entry['vis_path'])
    if ir.dtype != np.uint8:
        raise ValueError(f'{entry["ir_path"]}: has 16 bits; convert it to 8 bits first')
    return ir, vis


def measure_pair(
    pair: Pair,
    degraded: Sequence[tuple[Pair, float]],
    methods: Sequence[Method],
) -> Iterator[tuple[int, Method, np.ndarray, dict[str, float]]]:
    """Fuse and score one pair in all its conditions by all methods.

    Args:
        pair: Clean infrared and visible image.
        degraded: The pair in each condition, and the width in pixels of the visible image's blur.
        methods: Of fusing.

    Yields:
        Index of the condition, method, fused luma, and values of
        :func:`~mmsgdfuse.evaluation.restoration.score_restoration`.
    """
    references = [method.fuse(*pair) for method in methods]
    restoring = any(method.restores for method in methods)
    for index, (images, blur) in enumerate(degraded):
        restored = restore_pair(*images, blur) if restoring else images
        for method, reference in zip(methods, references):
            fuse = method.fuse_degraded or method.fuse
            fused = fuse(*(restored if method.restores else images))
            yield index, method, fused, score_restoration(fused, reference, *pair)


def benchmark(args: argparse.Namespace) -> tuple[list[dict], list[str]]:
    """Measure all methods in all conditions.

    Returns:
        One record per condition, strength, method and image, and the names of the images.

    Raises:
        OSError, ValueError: Arguments or files do not fit; the message says which.
    """
    conditions = [Condition(CLEAN), *build_conditions(args.degradations, args.strengths)]
    methods = [build_method(spec, args.device) for spec in args.methods]
    pairs = list(load_pairs(args.folders, args.step, args.given))
    if args.given:
        conditions.insert(1, Condition(GIVEN))
    records = []
    for number, (name, pair, given) in enumerate(track(pairs, 'fusing', transient=True)):
        degraded = [
            (given, args.given_blur)
            if condition.name == GIVEN and given is not None
            else (condition.apply(pair, args.seed, number), blur_width(condition.steps[1]))
            for condition in conditions
        ]
        for index, method, fused, values in measure_pair(pair, degraded, methods):
            condition = conditions[index]
            record = dict(
                degradation=condition.name, strength=condition.strength, method=method.name
            )
            records.append(dict(record, image=name, values=values))
            if args.images:
                place = '_'.join(record.values()).replace('/', '+').replace(' ', '_')
                write_image(args.images / place / f'{name.replace("/", "_")}.png', fused)
    return records, [name for name, *_ in pairs]


def restoration_table(records: Sequence[dict], digits: int = 3) -> Table:
    """The means over the images; the best two methods of each degradation and strength marked.

    Args:
        records: As :func:`benchmark` gives them.
        digits: Digits after the point; decibels have two less. Default 3.
    """
    groups: dict[tuple[str, str], dict[str, list[dict]]] = {}
    for record in records:
        group = groups.setdefault((record['degradation'], record['strength']), {})
        group.setdefault(record['method'], []).append(record['values'])
    labels, rows = [], []
    for (degradation, strength), group in groups.items():
        columns = []
        for metric in RESTORATION_METRICS:
            means = [
                summarise(np.array([values[metric] for values in images])).mean
                for images in group.values()
            ]
            shown = digits - 2 if metric.startswith('PSNR') else digits
            # of clean pairs the columns _own only say what restoring changes
            ranked = len(group) > 1 and not (degradation == CLEAN and metric in OWN_METRICS)
            places = place_marks(means, 1, [ranked] * len(means))
            columns.append([Cell(format_number(m, shown), p) for m, p in zip(means, places)])
        for method, cells in zip(group, zip(*columns)):
            labels.append(f'{degradation} {strength}'.strip())
            rows.append((Cell(method), *cells))
    return Table(
        head=('degradation', 'method', *(f'{metric} \u2191' for metric in RESTORATION_METRICS)),
        labels=tuple(labels),
        cells=tuple(rows),
        rule_after=0,
        footnotes=(
            '_own: against the fusion of the clean pair by the same method, without restoring',
            'the other columns: against the clean sources',
        ),
    )


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        records, images = benchmark(args)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    text = f'{len(images)} pairs: {", ".join(images)}\n\n{to_markdown(restoration_table(records))}'
    Console(soft_wrap=True).print(text, markup=False, highlight=False)
    if args.out:
        command = f'Written by `{shlex.join(sys.argv)}`.'
        write_text(args.out / 'degraded.md', f'{command}\n\n{text}')
        write_text(args.out / 'degraded.json', to_json(dict(records=records)))


if __name__ == '__main__':
    main()

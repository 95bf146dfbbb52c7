"""SSIM, VIF and Qabf as other public toolboxes give them, beside this package's, as Markdown.

    python benchmarks/compare_toolboxes.py IR VIS NAME=FOLDER ... [--images 121]

Every toolbox gets the same 8-bit luma. scikit-image, torchmetrics and piq are called as they are;
the MATLAB definitions are written out here from their descriptions. The rule `maximum` is always
among the rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import piq
import torch
import torchmetrics.functional.image as torchmetrics
from rich.console import Console
from rich.progress import track
from scipy.ndimage import correlate, gaussian_filter
from skimage.metrics import structural_similarity

from mmsgdfuse.evaluation.folders import match_folders, name_methods
from mmsgdfuse.evaluation.functional import qabf, ssim, to_luma, visual_information_fidelity
from mmsgdfuse.evaluation.scoring import read_result

Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def tensor(luma: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(luma.astype(np.float64))[None, None]


def mean_of(single: Callable[[np.ndarray, np.ndarray], float]) -> Measure:
    return lambda ir, vis, fused: (single(ir, fused) + single(vis, fused)) / 2


def sum_of(single: Callable[[np.ndarray, np.ndarray], float]) -> Measure:
    return lambda ir, vis, fused: single(ir, fused) + single(vis, fused)


def matlab_ssim(source: np.ndarray, fused: np.ndarray) -> float:
    """MATLAB's ssim(): Gaussian of sigma 1.5 and 11 pixels, repeated borders, the whole map."""
    a, f = source.astype(np.float64), fused.astype(np.float64)

    def blur(image: np.ndarray) -> np.ndarray:
        return gaussian_filter(image, 1.5, mode='nearest', radius=5)

    mean_a, mean_f = blur(a), blur(f)
    covariance = blur(a * f) - mean_a * mean_f
    variances = blur(a * a) - mean_a**2 + blur(f * f) - mean_f**2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_a * mean_f + c1) / (mean_a**2 + mean_f**2 + c1)
    return float(np.mean(luminance * (2 * covariance + c2) / (variances + c2)))


def xydeas_of_liu(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> float:
    """Q_G of the toolbox of Liu et al. (2012): slopes -10 and -20, centres 0.5 and 0.75."""
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=np.float64)

    def edges(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        image = plane.astype(np.float64)
        across = correlate(image, sobel, mode='constant')
        down = correlate(image, sobel.T, mode='constant')
        strength = np.hypot(across, down)
        return strength, np.arctan(down / np.where(across == 0, 1e-5, across))

    strength_f, angle_f = edges(fused)
    kept = weight = 0.0
    for source in (ir, vis):
        strength, angle = edges(source)
        lower, upper = np.minimum(strength, strength_f), np.maximum(strength, strength_f)
        ratio = lower / np.where(upper == 0, 1e-5, upper)
        alignment = np.abs(np.abs(angle - angle_f) - np.pi / 2) * 2 / np.pi
        quality = 1 / (1 + np.exp(-10 * (ratio - 0.5))) / (1 + np.exp(-20 * (alignment - 0.75)))
        kept += float(np.sum(quality * strength))
        weight += float(np.sum(strength))
    return kept / weight


def torch_ssim(source: np.ndarray, fused: np.ndarray) -> float:
    value = torchmetrics.structural_similarity_index_measure(
        tensor(fused), tensor(source), data_range=255.0
    )
    return float(value)  # type: ignore[arg-type]


def gaussian_ssim(source: np.ndarray, fused: np.ndarray) -> float:
    return structural_similarity(
        source, fused, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )


MEASURES: dict[tuple[str, str], Measure] = {
    ('SSIM', 'this package (mean over the sources)'): ssim,
    ('SSIM', 'scikit-image, Gaussian window, mean'): mean_of(gaussian_ssim),
    ('SSIM', 'scikit-image, its defaults, mean'): mean_of(
        lambda a, f: structural_similarity(a, f, data_range=255)
    ),
    ('SSIM', 'torchmetrics, mean'): mean_of(torch_ssim),
    ('SSIM', 'piq, its defaults (shrinks to 256 pixels), mean'): mean_of(
        lambda a, f: piq.ssim(tensor(f), tensor(a), data_range=255).item()
    ),
    ('SSIM', 'piq, downsample=False, mean'): mean_of(
        lambda a, f: piq.ssim(tensor(f), tensor(a), data_range=255, downsample=False).item()
    ),
    ('SSIM', "MATLAB's ssim, mean"): mean_of(matlab_ssim),
    ('SSIM', 'VIFB (whole windows only, sum)'): sum_of(gaussian_ssim),
    ('SSIM', 'CDDFuse (uniform window, data range 2, sum)'): lambda *images: ssim(
        *images, window='uniform', data_range=2, reduction='sum'
    ),
    ('VIF', 'this package (sum over the sources)'): visual_information_fidelity,
    ('VIF', 'piq.vif_p, sum'): sum_of(
        lambda a, f: piq.vif_p(tensor(f), tensor(a), data_range=255).item()
    ),
    ('VIF', 'piq.vif_p, mean'): mean_of(
        lambda a, f: piq.vif_p(tensor(f), tensor(a), data_range=255).item()
    ),
    ('VIF', 'torchmetrics, sum'): sum_of(
        lambda a, f: torchmetrics.visual_information_fidelity(tensor(f), tensor(a)).item()
    ),
    ('VIF', 'images in 0..1 to the same code (a common mistake), sum'): sum_of(
        lambda a, f: torchmetrics.visual_information_fidelity(
            tensor(f) / 255, tensor(a) / 255
        ).item()
    ),
    ('Qabf', 'this package (constants of Xydeas and Petrovic)'): qabf,
    ('Qabf', 'Q_G of Liu et al. (metricXydeas)'): xydeas_of_liu,
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('ir', type=Path)
    parser.add_argument('vis', type=Path)
    parser.add_argument('fused', nargs='+', metavar='FUSED', help='folder, or NAME=FOLDER')
    parser.add_argument('--images', type=int, help='the first so many (default: all)')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    methods = name_methods(args.fused)
    samples, _ = match_folders(args.ir, args.vis, methods)
    rows = ('maximum', *methods)
    values: dict[str, list[list[float]]] = {row: [] for row in rows}
    for sample in track(samples[: args.images], console=Console(stderr=True)):
        ir, vis = (to_luma(read_result(sample, role)) for role in ('infrared', 'visible'))
        for row in rows:
            fused = to_luma(read_result(sample, row))
            values[row].append([measure(ir, vis, fused) for measure in MEASURES.values()])
    print(f'| metric | toolbox | {" | ".join(rows)} |')
    print(f'|---|---|{"---:|" * len(rows)}')
    for index, (metric, toolbox) in enumerate(MEASURES):
        means = [f'{np.mean([v[index] for v in values[row]]):.4f}' for row in rows]
        print(f'| {metric} | {toolbox} | {" | ".join(means)} |')
    return 0


if __name__ == '__main__':
    sys.exit(main())

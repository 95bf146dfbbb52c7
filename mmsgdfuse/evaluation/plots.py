"""Plots of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mmsgdfuse.evaluation.functional import METRIC_INFOS
from mmsgdfuse.evaluation.scores import QRG_IMAGE_LIMIT, Scores
from mmsgdfuse.utils.files import atomic_path

_BASELINE_COLOUR = '#c9c9c9'
_METHOD_COLOUR = '#8fb8de'


def box_plot(scores: Scores, metric: str) -> Figure:
    """The spread of one metric over the images, a box per baseline and method.

    A box spans the quartiles, the line in it is the median, the diamond the mean that the table
    has; whiskers reach to 1.5 times the box, points beyond are single images.

    Args:
        scores: Values of an evaluation.
        metric: Name of the metric.

    Returns:
        The figure.
    """
    info = METRIC_INFOS[metric]
    columns = [scores.of(row, metric) for row in scores.rows]
    columns = [values[np.isfinite(values)] for values in columns]
    figure = Figure(figsize=(1.5 + 0.8 * len(scores.rows), 3.6), layout='constrained')
    axes = figure.add_subplot()
    drawn = axes.boxplot(
        columns,
        # a name with two $ would be set as a formula, or fail as one
        tick_labels=[row.replace('$', r'\$') for row in scores.rows],
        showmeans=True,
        patch_artist=True,
        widths=0.6,
        medianprops=dict(color='black'),
        meanprops=dict(marker='D', markerfacecolor='white', markeredgecolor='black'),
        flierprops=dict(marker='.', markersize=4),
    )
    for row, box in zip(scores.rows, drawn['boxes']):
        box.set_facecolor(_BASELINE_COLOUR if row in scores.baselines else _METHOD_COLOUR)
    if metric == 'QRG':
        axes.axhline(QRG_IMAGE_LIMIT, color='tab:red', linewidth=1, linestyle='--')
    axes.set_ylabel(f'{metric} ({info.unit})' if info.unit else metric)
    axes.set_title(f'{metric} {info.arrow}'.strip())
    axes.tick_params(axis='x', rotation=30)
    axes.grid(axis='y', linewidth=0.4, alpha=0.6)
    return figure


def write_box_plots(scores: Scores, folder: Path) -> list[Path]:
    """Writes one box plot per metric.

    Args:
        scores: Values of an evaluation.
        folder: Where to put ``<metric>.png``; made if it is missing.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for metric in scores.metrics:
        path = folder / f'{metric}.png'
        with atomic_path(path) as temporary:
            box_plot(scores, metric).savefig(temporary, dpi=150)
        written.append(path)
    return written

"""The leaderboard: one self-contained page of every method, with intervals and every scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mmsgdfuse.evaluation.comparison import (
    Difference,
    differences_of,
    mean_intervals,
    mean_ranks,
    ranks,
)
from mmsgdfuse.evaluation.exports import to_json
from mmsgdfuse.evaluation.folders import Sample, read_8bit
from mmsgdfuse.evaluation.functional import METRIC_INFOS
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.scoring import read_result
from mmsgdfuse.utils.inline import image_url
from mmsgdfuse.utils.page import Picture, render_page


@dataclass(frozen=True)
class _Cell:
    """What the page shows of one row and metric; empty texts where there is no value."""

    value: float | str
    text: str
    interval: str
    rank: str
    place: int
    tied: bool


def leaderboard_page(
    scores: Scores,
    differences: Sequence[Difference],
    samples: Sequence[Sample],
    title: str = 'Leaderboard',
    scenes: int = 12,
    digits: int = 3,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
    width: int = 640,
) -> str:
    """The page: a table to sort, a divider between any two methods, and the values of every scene.

    Every mean has its rank among all rows and the percentile interval of a bootstrap over the
    images. A mean that the paired bootstrap cannot tell from the best one is marked.

    Args:
        scores: Values of an evaluation.
        differences: Their paired differences, of the same draws.
        samples: The files of its images.
        title: Heading. Default 'Leaderboard'.
        scenes: Images with pictures, evenly spread over the evaluation; 0 for none. Default 12.
        digits: Digits after the point. Default 3.
        resamples: Number of draws. Default 10,000.
        confidence: Share of the resampled means that an interval holds. Default 0.95.
        seed: Seed of the draws. Default 0.
        width: Wider images are scaled down to this many pixels. Default 640.

    Returns:
        HTML text without references to other files; all names are escaped.

    Raises:
        InputError: ``resamples`` or ``confidence`` is out of range.
        ImageFileError: An image to show cannot be read.
    """
    intervals = mean_intervals(scores, resamples, confidence, seed)
    places, average = ranks(scores), mean_ranks(scores)
    order = sorted(scores.rows, key=lambda row: (math.isnan(average[row]), average[row]))
    tied = _tied_with_best(scores, differences)
    rows = [
        dict(
            name=row,
            baseline=row in scores.baselines,
            noisy=scores.amplifies_noise(row),
            mean_rank='' if math.isnan(average[row]) else f'{average[row]:.2f}',
            cells=[
                _cell(scores, row, metric, intervals, places, (row, metric) in tied, digits)
                for metric in scores.metrics
            ],
        )
        for row in order
    ]
    pictures = _pictures(scores, samples, order, scenes, width)
    return render_page(
        'mmsgdfuse.evaluation',
        'leaderboard.html.j2',
        styles=('leaderboard.css',),
        scripts=('leaderboard.js',),
        title=title,
        images=len(scores.images),
        methods=len(scores.methods),
        confidence=f'{100 * confidence:g}',
        metrics=[METRIC_INFOS[metric] for metric in scores.metrics],
        rows=rows,
        pictures=pictures,
        layers=dict(left=0, right=2),
        left_out=scores.problems,
        notes=scores.notes,
        values=Markup(_values(scores, order).replace('<', '\\u003c')),
    )


def _cell(
    scores: Scores,
    row: str,
    metric: str,
    intervals: dict[str, dict[str, tuple[float, float]]],
    places: dict[str, dict[str, float]],
    tied: bool,
    digits: int,
) -> _Cell:
    mean = scores.summary(row, metric).mean
    if not math.isfinite(mean):
        return _Cell('', '' if math.isnan(mean) else str(mean), '', '', 0, False)
    low, high = intervals[row][metric]
    rank = places[row].get(metric, math.nan)
    return _Cell(
        value=mean,
        text=f'{mean:.{digits}f}',
        interval='' if math.isnan(low) else f'{low:.{digits}f} .. {high:.{digits}f}',
        rank='' if math.isnan(rank) else f'{rank:g}',
        place=int(rank) if rank in (1, 2) else 0,
        tied=tied,
    )


def _tied_with_best(scores: Scores, differences: Sequence[Difference]) -> set[tuple[str, str]]:
    """Rows and metrics whose difference to the best row has zero in its interval."""
    places = ranks(scores)
    found = set()
    for row in scores.rows:
        for difference in differences_of(row, list(differences)):
            best = places[difference.other].get(difference.metric) == 1
            if best and difference.count and not difference.clear:
                found.add((row, difference.metric))
    return found


def _pictures(
    scores: Scores, samples: Sequence[Sample], order: Sequence[str], scenes: int, width: int
) -> list[Picture]:
    if scenes < 1:
        return []
    files = {sample.name: sample for sample in samples}
    spread = np.linspace(0, len(scores.images) - 1, min(scenes, len(scores.images)))
    methods = [row for row in order if row in scores.methods]
    # 'maximum' is the rule that a method has to beat
    shown = [*methods, *(row for row in ('maximum',) if row in scores.baselines)]
    pictures = []
    for index in spread.round().astype(int):
        sample = files[scores.images[index]]
        ir = read_8bit(sample.ir)
        layers = dict(
            infrared=image_url(ir, width), visible=image_url(read_8bit(sample.vis), width)
        )
        layers |= {row: image_url(read_result(sample, row), width) for row in shown}
        pictures.append(Picture(sample.name, ir.shape[1], ir.shape[0], layers))
    return pictures


def _values(scores: Scores, order: Sequence[str]) -> str:
    """All values as JSON for the page's script: six significant digits are enough to read."""
    rounded = {
        row: {
            metric: [float(f'{value:.6g}') for value in scores.of(row, metric)]
            for metric in scores.metrics
        }
        for row in order
    }
    directions = {metric: METRIC_INFOS[metric].direction for metric in scores.metrics}
    return to_json(dict(images=scores.images, directions=directions, rows=rounded))

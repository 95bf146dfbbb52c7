"""A page of the images on which two methods differ most: the place to look before believing."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from mmsgdfuse.evaluation.folders import Sample, read_8bit
from mmsgdfuse.evaluation.functional import METRIC_INFOS
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.scoring import read_result
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.inline import image_url

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 110rem; padding: 0 1rem;
       color: #1c1c1c; background: #fff; }
section { margin: 2rem 0; }
.row { display: grid; grid-template-columns: repeat(4, 1fr); gap: .5rem; }
figure { margin: 0; }
img { width: 100%; height: auto; display: block; }
figcaption { font-size: .9em; padding: .2rem 0; }
h2 { font-size: 1.05rem; font-weight: 600; margin: 0 0 .4rem; }
"""


def largest_differences(
    scores: Scores, row: str, other: str, metric: str, count: int
) -> list[tuple[str, float]]:
    """The images on which two rows of the table differ most.

    Args:
        scores: Values of an evaluation.
        row: The row whose value is taken.
        other: The row whose value is subtracted.
        metric: The metric.
        count: How many images at most.

    Returns:
        Image and difference, the largest absolute difference first.
    """
    difference = scores.of(row, metric) - scores.of(other, metric)
    order = sorted(
        np.flatnonzero(np.isfinite(difference)).tolist(), key=lambda i: -abs(difference[i])
    )
    return [(scores.images[i], float(difference[i])) for i in order[:count]]


def contrast_page(
    scores: Scores,
    samples: Sequence[Sample],
    row: str,
    other: str,
    metric: str,
    count: int = 8,
    width: int = 640,
) -> str:
    """A self-contained HTML page of the images on which two rows differ most.

    Each is shown as infrared, visible and the two results, with both values.

    Args:
        scores: Values of an evaluation.
        samples: The files of its images.
        row: One method or baseline.
        other: The other one.
        metric: The metric to differ in.
        count: How many images at most. Default 8.
        width: Images wider than this many pixels are scaled down. Default 640.

    Returns:
        HTML text without references to other files.

    Raises:
        ValueError: A row or the metric is not part of the evaluation.
    """
    for name, known in ((row, scores.rows), (other, scores.rows), (metric, scores.metrics)):
        if name not in known:
            raise InputError(f'{name!r} is not among {", ".join(known)}')
    files = {sample.name: sample for sample in samples}
    title = f'{row} against {other}: where {metric} differs most'
    sections = []
    for name, difference in largest_differences(scores, row, other, metric, count):
        index = scores.images.index(name)
        captions = {
            'infrared': 'infrared',
            'visible': 'visible',
            row: f'{row}: {scores.of(row, metric)[index]:.4f}',
            other: f'{other}: {scores.of(other, metric)[index]:.4f}',
        }
        figures = ''.join(
            f'<figure><img alt="{html.escape(f"{shown} of {name}")}" '
            f'src="{image_url(_shown_image(files[name], shown), width, quality=90)}">'
            f'<figcaption>{html.escape(caption)}</figcaption></figure>'
            for shown, caption in captions.items()
        )
        heading = html.escape(f'{name}: {metric} {difference:+.4f}')
        sections.append(f'<section><h2>{heading}</h2><div class="row">{figures}</div></section>')
    about = html.escape(
        f'{metric}: {METRIC_INFOS[metric].about}. Difference: {row} minus {other}. The largest '
        f'{len(sections)} of {len(scores.images)} images.'
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # no script, and nothing from elsewhere
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n'
        f'<body><h1>{html.escape(title)}</h1><p>{about}</p>\n'
        + '\n'.join(sections)
        + '\n</body></html>\n'
    )


def _shown_image(sample: Sample, row: str) -> np.ndarray:
    # The source itself, in colour, says more than the luma that it is scored on.
    return read_8bit(sample.vis) if row == 'visible' else read_result(sample, row)

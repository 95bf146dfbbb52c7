"""The result of an evaluation as CSV and JSON: every value, for whoever wants to go on."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

from mmsgdfuse.evaluation.comparison import Difference, mean_ranks, ranks
from mmsgdfuse.evaluation.scores import Scores

_FORMULA_STARTS = ('=', '+', '-', '@', '\t', '\r')


def to_csv(rows: list[list[Any]]) -> str:
    """Rows, the head among them, as CSV text.

    NaN is left empty. Text that a spreadsheet would take for a formula, such as an image's name
    that begins with ``=``, gets an apostrophe in front.
    """
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator='\n').writerows([map(_cell, row) for row in rows])
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return ''
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def means_csv(scores: Scores) -> str:
    """One line per row of the table: mean and number of images of each metric, mean rank.

    Args:
        scores: Values of an evaluation.

    Returns:
        CSV text with a head; undefined values are empty.
    """
    head = ['method', 'baseline']
    for metric in scores.metrics:
        head += [metric, f'{metric}_count']
        if metric == 'QRG':
            head.append('QRG_worst')
    average_ranks = mean_ranks(scores)
    lines: list[list[Any]] = [[*head, 'mean_rank']]
    for row in scores.rows:
        line: list[Any] = [row, int(row in scores.baselines)]
        for metric in scores.metrics:
            summary = scores.summary(row, metric)
            line += [summary.mean, summary.count]
            if metric == 'QRG':
                line.append(summary.worst)
        lines.append([*line, average_ranks[row]])
    return to_csv(lines)


def images_csv(scores: Scores) -> str:
    """One line per image and row of the table.

    Args:
        scores: Values of an evaluation.

    Returns:
        CSV text with a head; undefined values are empty.
    """
    lines: list[list[Any]] = [['image', 'method', *scores.metrics]]
    for column, image in enumerate(scores.images):
        for index, row in enumerate(scores.rows):
            lines.append([image, row, *scores.values[index, column].tolist()])
    return to_csv(lines)


def differences_csv(differences: list[Difference]) -> str:
    """One line per metric and pair of rows, with the interval.

    Args:
        differences: What :func:`~mmsgdfuse.evaluation.comparison.paired_differences` found.

    Returns:
        CSV text with a head; undefined values are empty.
    """
    head = ['metric', 'method', 'minus', 'mean', 'low', 'high', 'count']
    return to_csv(
        [head, *([d.metric, d.row, d.other, d.mean, d.low, d.high, d.count] for d in differences)]
    )


def _plain(value: Any) -> Any:
    """What JSON can hold: undefined and infinite numbers become null."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_json(document: Any) -> str:
    """A document as JSON text; undefined and infinite numbers become null."""
    return json.dumps(_plain(document), indent=1, allow_nan=False) + '\n'


def evaluation_json(scores: Scores, differences: list[Difference]) -> str:
    """Everything that an evaluation found.

    Args:
        scores: Its values.
        differences: Their differences.

    Returns:
        JSON text. ``rows`` holds, by baseline and method, ``mean``, ``count`` and ``rank`` by
        metric, ``mean_rank``, ``amplifies_noise`` and ``per_image`` (values by metric, in the
        order of ``images``). Undefined and infinite values are null.
    """
    places, average_ranks = ranks(scores), mean_ranks(scores)
    rows = {}
    for row in scores.rows:
        summaries = {metric: scores.summary(row, metric) for metric in scores.metrics}
        rows[row] = dict(
            baseline=row in scores.baselines,
            mean={metric: summary.mean for metric, summary in summaries.items()},
            count={metric: summary.count for metric, summary in summaries.items()},
            rank=places[row],
            mean_rank=average_ranks[row],
            amplifies_noise=scores.amplifies_noise(row),
            per_image={metric: scores.of(row, metric).tolist() for metric in scores.metrics},
        )
        if 'QRG' in summaries:
            rows[row]['QRG_worst'] = summaries['QRG'].worst
    document = dict(
        metrics=scores.metrics,
        images=scores.images,
        rows=rows,
        differences=[
            dict(
                metric=d.metric,
                method=d.row,
                minus=d.other,
                mean=d.mean,
                low=d.low,
                high=d.high,
                count=d.count,
            )
            for d in differences
        ],
        left_out=[dict(image=p.image, message=p.message) for p in scores.problems],
        notes=scores.notes,
    )
    return to_json(document)

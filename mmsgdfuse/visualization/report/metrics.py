"""Metric tables of a page, from what tests and evaluations leave on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmsgdfuse.evaluation.comparison import Difference
from mmsgdfuse.evaluation.folders import Problem
from mmsgdfuse.evaluation.functional import METRIC_INFOS
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.tables import Cell, Table, difference_table, metric_table
from mmsgdfuse.visualization.report.errors import ReportError

_DIGITS = 3


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        ReportError: It is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f'{path}: cannot be read as JSON ({error}); write it anew') from error


def is_evaluation(document: Any) -> bool:
    """Whether a JSON document is one of tools/evaluate.py."""
    return isinstance(document, dict) and {'metrics', 'images', 'rows'} <= document.keys()


def is_test(document: Any) -> bool:
    """Whether a JSON document is one of tools/test.py."""
    return (
        isinstance(document, dict)
        and {'checkpoint', 'metrics'} <= document.keys()
        and isinstance(document['metrics'], dict)
    )


def evaluation_tables(path: Path, document: Mapping[str, Any]) -> list[Table]:
    """The tables of an evaluation: the means, then the differences of each method.

    Args:
        path: File that the document comes from, for messages.
        document: What tools/evaluate.py writes as ``evaluation.json``.

    Raises:
        ReportError: The document lacks something.
    """
    try:
        scores = _read_scores(document)
        differences = [_read_difference(entry) for entry in document['differences']]
        return [
            metric_table(scores),
            *(difference_table(method, scores, differences) for method in scores.methods),
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportError(
            f'{path}: is no complete evaluation ({error!r}); write it anew with tools/evaluate.py'
        ) from error


def value_table(corner: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """A table of plain values, such as those of several tests.

    ``fusion/VIF`` is shown as VIF with the direction of better values, and what has no prefix
    (times) is left out. The counts ``<name>_count``, on which the metrics of a row mostly agree,
    become one column.

    Args:
        corner: Head of the column of labels.
        rows: Labels and values by metric.
    """
    labels = tuple(label for label, _ in rows)
    values = [_without_prefix(row) for _, row in rows]
    names = dict.fromkeys(name for row in values for name in row if not name.endswith('_count'))
    counts = [_counts(row) for row in values]
    head = [corner, *(_titled(name) for name in names)]
    cells = [[Cell(_format(row.get(name))) for name in names] for row in values]
    if any(counts):
        head.append('images')
        for line, count in zip(cells, counts):
            line.append(Cell(count))
    return Table(tuple(head), labels, tuple(tuple(line) for line in cells), 0, ())


def _without_prefix(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.rsplit('/', 1)[-1]: value for name, value in row.items() if '/' in name}


def _counts(row: Mapping[str, Any]) -> str:
    found = sorted(
        {
            int(value)
            for name, value in row.items()
            if name.endswith('_count') and isinstance(value, (int, float)) and math.isfinite(value)
        }
    )
    return ' .. '.join(dict.fromkeys(str(count) for count in found[:1] + found[-1:]))


def _titled(name: str) -> str:
    return f'{name} {METRIC_INFOS[name].arrow}'.strip() if name in METRIC_INFOS else name


def _format(value: Any) -> str:
    if isinstance(value, (int, float)) and math.isfinite(value):
        return f'{value:.{_DIGITS}f}'
    return '\u2013'


def _read_scores(document: Mapping[str, Any]) -> Scores:
    rows = document['rows']
    baselines = tuple(name for name, row in rows.items() if row['baseline'])
    methods = tuple(name for name, row in rows.items() if not row['baseline'])
    values = [
        [rows[name]['per_image'][metric] for metric in document['metrics']]
        for name in (*baselines, *methods)
    ]
    return Scores(
        methods=methods,
        baselines=baselines,
        metrics=tuple(document['metrics']),
        images=tuple(document['images']),
        # (rows, metrics, images) -> (rows, images, metrics); null becomes NaN
        values=np.array(values, dtype=np.float64).transpose(0, 2, 1),
        problems=tuple(Problem(p['image'], p['message']) for p in document['left_out']),
        notes=tuple(document['notes']),
    )


def _read_difference(entry: Mapping[str, Any]) -> Difference:
    mean, low, high = (
        math.nan if entry[key] is None else float(entry[key]) for key in ('mean', 'low', 'high')
    )
    return Difference(
        entry['metric'], entry['method'], entry['minus'], mean, low, high, entry['count']
    )

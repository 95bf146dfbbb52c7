"""Cross-validation over the frames of a drive: its folds, and what came out of them.

Neighbouring frames show the same street, so they are never on both sides of a fold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, NamedTuple

import numpy as np

from mmsgdfuse.datasets.downstream import LabelError
from mmsgdfuse.evaluation.downstream import MEAN, SINGLE_INPUTS, DownstreamResult, value_of
from mmsgdfuse.evaluation.tables import Cell, Table, format_number, place_marks
from mmsgdfuse.utils.errors import InputError

# 00123N: number 123 of the recording, by night
_NUMBERED = re.compile(r'(\d+)([A-Za-z]*)')


def neighbourhoods(names: Sequence[str], span: int = 100, gap: int = 8) -> list[list[str]]:
    """Group frames that may show the same place.

    Frames are put in the order of their number; those by day and by night are apart. A group
    ends where it would come to reach over more than ``span`` numbers, but never between two
    frames that are less than ``gap`` numbers apart.

    Args:
        names: Frames without suffix: a number, and a letter or more for the light.
        span: Numbers from the first to the last frame of a group. Default 100.
        gap: Frames nearer than this are never separated. Default 8.

    Returns:
        The groups, each in the order of the numbers.

    Raises:
        LabelError: A name is not of this form.
        ValueError: ``span`` or ``gap`` is below 1.
    """
    if span < 1 or gap < 1:
        raise InputError(f'span and gap must be at least 1, found {span} and {gap}')
    frames = sorted((light_of(name), number_of(name), name) for name in names)
    groups: list[list[str]] = []
    first = last = ('', 0)
    for light, number, name in frames:
        apart = light != last[0] or (number - first[1] > span and number - last[1] >= gap)
        if apart or not groups:
            groups.append([])
            first = (light, number)
        groups[-1].append(name)
        last = (light, number)
    return groups


def light_of(name: str) -> str:
    """The letters of a frame's name: ``'N'`` of ``'00123N'``."""
    return _parts(name)[1]


def number_of(name: str) -> int:
    """The number of a frame in its recording: 123 of ``'00123N'``."""
    return int(_parts(name)[0])


def assign_folds(
    groups: Sequence[Sequence[str]], boxes: Mapping[str, Sequence[int]], folds: int
) -> list[list[str]]:
    """Share groups of frames out to folds that resemble each other.

    The largest group first, each goes where there is least yet of what it has most of: frames
    of its light, and boxes of each class.

    Args:
        groups: Frames that stay together, from :func:`neighbourhoods`.
        boxes: Class index of each box, by frame.
        folds: Number of folds, 2 or more.

    Returns:
        The frames of each fold, in the order of their numbers: each is tested once.

    Raises:
        ValueError: There are fewer than 2 folds, or fewer groups than folds.
    """
    if not 2 <= folds <= len(groups):
        raise InputError(
            f'folds must be within 2..{len(groups)}, the number of neighbourhoods, found {folds}; '
            'more of them come of a smaller span'
        )
    lights = sorted({light_of(name) for group in groups for name in group})
    labels = sorted({label for found in boxes.values() for label in found})
    counts = np.array(
        [
            [sum(light_of(name) == light for name in group) for light in lights]
            + [sum(list(boxes[name]).count(label) for name in group) for label in labels]
            for group in groups
        ],
        float,
    )
    shares = counts / counts.sum(0)
    loads = np.zeros((folds, shares.shape[1]))
    chosen: list[list[str]] = [[] for _ in range(folds)]
    for index in np.argsort(-shares.sum(1), kind='stable'):
        fold = int(np.argmin(loads @ shares[index]))
        loads[fold] += shares[index]
        chosen[fold] += groups[index]
    return [sorted(frames, key=lambda name: (number_of(name), name)) for frames in chosen]


class Spread(NamedTuple):
    """Mean and standard deviation over the folds, and how many folds have a value."""

    mean: float
    deviation: float
    folds: int


@dataclass(frozen=True)
class CrossValidation:
    """What a detector scored on each input.

    Attributes:
        inputs: Names of the inputs.
        folds: Number of folds.
        seeds: Seeds that each fold was trained with.
        columns: Metric and class (or :data:`MEAN`) of each score.
        values: Percent, (inputs, folds, seeds, columns); NaN where the frames of a fold have
            no box of a class.
    """

    inputs: tuple[str, ...]
    folds: int
    seeds: tuple[int, ...]
    columns: tuple[tuple[str, str], ...]
    values: np.ndarray

    def of_folds(self, name: str, column: tuple[str, str]) -> np.ndarray:
        """An input's score in each fold, (folds,), the mean over the seeds."""
        index = self.inputs.index(name), slice(None), slice(None), self.columns.index(column)
        return self.values[index].mean(axis=1)

    def spread(self, name: str, column: tuple[str, str]) -> Spread:
        """An input's score over the folds."""
        return _spread(self.of_folds(name, column))

    def difference(self, name: str, other: str, column: tuple[str, str]) -> tuple[Spread, int]:
        """What an input scores above another in the same folds, and in how many it does."""
        differences = self.of_folds(name, column) - self.of_folds(other, column)
        return _spread(differences), int((differences > 0).sum())


def gather(results: Mapping[tuple[str, int, int], DownstreamResult]) -> CrossValidation:
    """Put the results of all runs together.

    Args:
        results: By input, fold (from 0) and seed; one for each combination.

    Returns:
        The scores; AP50 and AP (over the overlaps 0.5 to 0.95) of every class and in the mean.
    """
    inputs, folds, seeds = (tuple(dict.fromkeys(part)) for part in zip(*results))
    first = next(iter(results.values()))
    labels = (*first.reported, MEAN)
    columns = tuple((metric, label) for metric in ('AP50', 'AP') for label in labels)
    values = np.empty((len(inputs), len(folds), len(seeds), len(columns)))
    for (name, fold, seed), result in results.items():
        index = inputs.index(name), folds.index(fold), seeds.index(seed)
        values[index] = [value_of(result, *column) for column in columns]
    return CrossValidation(inputs, len(folds), seeds, columns, values)


def score_table(scores: CrossValidation, digits: int = 1) -> Table:
    """Mean and standard deviation over the folds, one row per input.

    Args:
        scores: Of all runs.
        digits: Digits after the point. Default 1.

    Returns:
        The table; the two best means of each column are marked.
    """
    columns = []
    for column in scores.columns:
        spreads = [scores.spread(name, column) for name in scores.inputs]
        places = place_marks([spread.mean for spread in spreads], 1, [True] * len(spreads))
        columns.append(
            [Cell(_shown(spread, digits), place) for spread, place in zip(spreads, places)]
        )
    return Table(
        head=('input', *(' '.join(column) for column in scores.columns)),
        labels=scores.inputs,
        cells=tuple(zip(*columns)),
        rule_after=sum(name in SINGLE_INPUTS for name in scores.inputs),
        footnotes=(_footnote(scores),),
    )


def difference_table(name: str, scores: CrossValidation, digits: int = 1) -> Table:
    """What an input scores above each other one, fold by fold.

    Args:
        name: The input.
        scores: Of all runs.
        digits: Digits after the point. Default 1.

    Returns:
        One row per other input: mean and standard deviation of the differences within folds,
        and in how many folds the input is the better one.
    """
    others = tuple(other for other in scores.inputs if other != name)
    cells = []
    for other in others:
        row = []
        for column in scores.columns:
            spread, wins = scores.difference(name, other, column)
            row.append(Cell(f'{_shown(spread, digits, sign="+")} ({wins}/{spread.folds})'))
        cells.append(tuple(row))
    return Table(
        head=(f'{name} minus', *(' '.join(column) for column in scores.columns)),
        labels=others,
        cells=tuple(cells),
        rule_after=sum(other in SINGLE_INPUTS for other in others),
        footnotes=(
            f'{_footnote(scores)}, of the differences within a fold',
            f'in parentheses in how many folds {name} is better',
        ),
    )


def run_rows(scores: CrossValidation) -> list[list[Any]]:
    """Every score with its input, fold (from 1), seed, metric and class, below a head."""
    rows: list[list[Any]] = [['input', 'fold', 'seed', 'metric', 'class', 'percent']]
    for (i, f, s, c), value in np.ndenumerate(scores.values):
        where = [scores.inputs[i], f + 1, scores.seeds[s], *scores.columns[c]]
        rows.append([*where, float(value)])
    return rows


def summary_document(scores: CrossValidation) -> dict[str, Any]:
    """Means, standard deviations and paired differences by name, for a JSON file."""
    document: dict[str, Any] = dict(folds=scores.folds, seeds=scores.seeds, inputs={})
    for name in scores.inputs:
        entry: dict[str, Any] = dict(scores={}, minus={})
        for column in scores.columns:
            key = ' '.join(column)
            entry['scores'][key] = scores.spread(name, column)._asdict()
            for other in scores.inputs:
                if other != name:
                    spread, wins = scores.difference(name, other, column)
                    paired = entry['minus'].setdefault(other, {})
                    paired[key] = dict(spread._asdict(), better=wins)
        document['inputs'][name] = entry
    return document


def _parts(name: str) -> tuple[str, str]:
    match = _NUMBERED.fullmatch(name)
    if match is None:
        raise LabelError(
            f'{name}: expected a number and letters for the light, such as 00123N, from which '
            'neighbours are told; rename the frames'
        )
    return match[1], match[2]


def _spread(values: np.ndarray) -> Spread:
    found = [float(value) for value in values if not math.isnan(value)]
    return Spread(
        fmean(found) if found else math.nan,
        stdev(found) if len(found) > 1 else math.nan,
        len(found),
    )


def _shown(spread: Spread, digits: int, sign: str = '') -> str:
    mean = format_number(spread.mean, digits)
    if sign and spread.mean > 0:
        mean = sign + mean
    return f'{mean} ± {format_number(spread.deviation, digits)}'


def _footnote(scores: CrossValidation) -> str:
    seeds = f', each the mean of {len(scores.seeds)} seeds' if len(scores.seeds) > 1 else ''
    return f'percent, mean ± standard deviation over {scores.folds} folds{seeds}'

"""Which method is better, and how sure that is: paired differences and ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mmsgdfuse.evaluation.functional import METRIC_INFOS
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.utils.errors import InputError

_CHUNK = 500


@dataclass(frozen=True)
class Difference:
    """How much one row's metric exceeds another's, over the images where both have a value.

    Args:
        metric: Name of the metric.
        row: The row whose value is taken.
        other: The row whose value is subtracted.
        mean: Mean difference, in the metric's unit; NaN if no image has both.
        low: Lower end of the confidence interval.
        high: Upper end.
        count: Number of images that have both values.
    """

    metric: str
    row: str
    other: str
    mean: float
    low: float
    high: float
    count: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def _draw(images: int, resamples: int, seed: int) -> np.ndarray:
    """How often each image is drawn, uint8 (resamples, images); all metrics share the draws."""
    generator = np.random.default_rng(seed)
    share = np.full(images, 1 / images)
    # A draw of n images out of n takes one of them more than 255 times only in theory.
    return generator.multinomial(images, share, size=resamples).astype(np.uint8)


def _resampled_means(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Means of ``values`` (images, columns) over each draw, NaN left out."""
    defined = np.isfinite(values)
    filled = np.where(defined, values, 0.0)
    means = np.full((len(draws), values.shape[1]), np.nan)
    for start in range(0, len(draws), _CHUNK):
        chunk = draws[start : start + _CHUNK].astype(np.float64)
        counts = chunk @ defined
        out = means[start : start + _CHUNK]
        np.divide(chunk @ filled, counts, out=out, where=counts > 0)
    return means


def paired_differences(
    scores: Scores, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> list[Difference]:
    """Differences between any two rows with paired bootstrap intervals (percentile method).

    Images are drawn with replacement, the same for both rows, so that what makes an image easy
    or hard for every method cancels out.

    Args:
        scores: Values of an evaluation.
        resamples: Number of times that the images are drawn. Default 10,000.
        confidence: Share of the resampled means that the interval holds. Default 0.95.
        seed: Seed of the draws: the same seed gives the same intervals. Default 0.

    Returns:
        One difference per metric and pair of rows, the later row of the table minus the earlier.

    Raises:
        ValueError: ``resamples`` is below 1 or ``confidence`` not within 0..1.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    tails = _tails(resamples, confidence)
    draws = _draw(len(scores.images), resamples, seed)
    pairs = list(combinations(range(len(scores.rows)), 2))
    found = []
    for index, metric in enumerate(scores.metrics):
        by_row = scores.values[:, :, index]
        with np.errstate(invalid='ignore'):  # the difference of two infinite PSNR is undefined
            columns = np.stack([by_row[later] - by_row[earlier] for earlier, later in pairs], 1)
        means = _resampled_means(columns, draws)
        for column, (earlier, later) in enumerate(pairs):
            defined = columns[np.isfinite(columns[:, column]), column]
            drawn = means[~np.isnan(means[:, column]), column]
            low, high = np.quantile(drawn, tails) if len(drawn) else (math.nan, math.nan)
            found.append(
                Difference(
                    metric=metric,
                    row=scores.rows[later],
                    other=scores.rows[earlier],
                    mean=math.fsum(defined) / len(defined) if len(defined) else math.nan,
                    low=float(low),
                    high=float(high),
                    count=len(defined),
                )
            )
    return found


def _tails(resamples: int, confidence: float) -> list[float]:
    """The quantiles that an interval is between, of checked settings."""
    if resamples < 1:
        raise InputError(f'resamples must be at least 1, found {resamples}')
    if not 0 < confidence < 1:
        raise InputError(f'confidence must be within 0..1, found {confidence}')
    return [(1 - confidence) / 2, (1 + confidence) / 2]


def mean_intervals(
    scores: Scores, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> dict[str, dict[str, tuple[float, float]]]:
    """Bootstrap intervals of every mean (percentile method), of the same draws as the differences.

    Args:
        scores: Values of an evaluation.
        resamples: Number of times that the images are drawn. Default 10,000.
        confidence: Share of the resampled means that an interval holds. Default 0.95.
        seed: Seed of the draws. Default 0.

    Returns:
        Lower and upper end by metric, by row; NaN twice where no image has a value.

    Raises:
        InputError: ``resamples`` is below 1 or ``confidence`` not within 0..1.
    """
    tails = _tails(resamples, confidence)
    draws = _draw(len(scores.images), resamples, seed)
    found: dict[str, dict[str, tuple[float, float]]] = {row: {} for row in scores.rows}
    for index, metric in enumerate(scores.metrics):
        means = _resampled_means(scores.values[:, :, index].T, draws)
        for column, row in enumerate(scores.rows):
            drawn = means[~np.isnan(means[:, column]), column]
            low, high = np.quantile(drawn, tails) if len(drawn) else (math.nan, math.nan)
            found[row][metric] = float(low), float(high)
    return found


def differences_of(row: str, differences: list[Difference]) -> Iterator[Difference]:
    """The differences that a row has part in, seen from it: ``row`` minus the other one.

    Args:
        row: A method or baseline.
        differences: What :func:`paired_differences` found.

    Yields:
        The differences of the row, their signs turned where it was subtracted.
    """
    for difference in differences:
        if difference.row == row:
            yield difference
        elif difference.other == row:
            yield Difference(
                metric=difference.metric,
                row=row,
                other=difference.row,
                mean=-difference.mean,
                low=-difference.high,
                high=-difference.low,
                count=difference.count,
            )


def ranks(scores: Scores) -> dict[str, dict[str, float]]:
    """The place of every row in every metric, 1 being the best mean; equals share their mean.

    Metrics without a direction (QRG) have no ranks.

    Args:
        scores: Values of an evaluation.

    Returns:
        Rank by metric, by row; NaN where a row has no value.
    """
    from scipy.stats import rankdata  # takes longer to import than all the rest

    places: dict[str, dict[str, float]] = {row: {} for row in scores.rows}
    for metric in scores.metrics:
        direction = METRIC_INFOS[metric].direction
        if direction == 0:
            continue
        means = np.array([scores.summary(row, metric).mean for row in scores.rows])
        ranked = rankdata(-direction * means, nan_policy='omit')
        for row, place in zip(scores.rows, ranked):
            places[row][metric] = float(place)
    return places


def mean_ranks(scores: Scores) -> dict[str, float]:
    """The mean rank of every row over the metrics in which it has one.

    What is only a part or another unit of a metric (VIF_ir, VIF_vi, MI_bits) does not count.

    Args:
        scores: Values of an evaluation.

    Returns:
        Mean rank by row; NaN where a row has no rank at all.
    """
    result = {}
    for row, places in ranks(scores).items():
        own = [
            place
            for metric, place in places.items()
            if not METRIC_INFOS[metric].part_of and not math.isnan(place)
        ]
        result[row] = math.fsum(own) / len(own) if own else math.nan
    return result

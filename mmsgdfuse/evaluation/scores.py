"""The values of an evaluation, by method, image and metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmsgdfuse.evaluation.folders import Problem
from mmsgdfuse.evaluation.summary import Summary, summarise

#: A score counts only if the noise gain in quiet regions stays below this on average ...
QRG_MEAN_LIMIT = 1.05
#: ... and below this on every image.
QRG_IMAGE_LIMIT = 1.2


@dataclass(frozen=True)
class Scores:
    """What an evaluation found.

    Every method has a value for every image: an image that one of them lacks is left out for all,
    so that any two rows of a table are over the same images.

    Args:
        methods: Names of the methods that were evaluated, in the order given.
        baselines: Names of the trivial rules beside them.
        metrics: Names of the metrics.
        images: Names of the images.
        values: float64 array (len(rows), len(images), len(metrics)), NaN where undefined.
        problems: The images that were left out, and why.
        notes: What else the reader of the numbers must know.

    Raises:
        ValueError: The shape of ``values`` does not fit the names.
    """

    methods: tuple[str, ...]
    baselines: tuple[str, ...]
    metrics: tuple[str, ...]
    images: tuple[str, ...]
    values: np.ndarray
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expected = (len(self.rows), len(self.images), len(self.metrics))
        if self.values.shape != expected:
            raise ValueError(f'values must be {expected}, found {self.values.shape}')

    @property
    def rows(self) -> tuple[str, ...]:
        """All rows of a table: the baselines, then the methods."""
        return (*self.baselines, *self.methods)

    def of(self, row: str, metric: str) -> np.ndarray:
        """The values of one method and metric, float64 (len(images),)."""
        return self.values[self.rows.index(row), :, self.metrics.index(metric)]

    def summary(self, row: str, metric: str) -> Summary:
        """Mean, number of images that counted, and largest value."""
        return summarise(self.of(row, metric))

    def amplifies_noise(self, row: str) -> bool:
        """Whether a row's other scores must not be trusted: its QRG exceeds a limit."""
        if 'QRG' not in self.metrics:
            return False
        gain = self.summary(row, 'QRG')
        return gain.mean > QRG_MEAN_LIMIT or gain.worst > QRG_IMAGE_LIMIT

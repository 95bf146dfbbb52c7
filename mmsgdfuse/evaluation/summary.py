"""One number per metric out of the values of many images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """What a table says about a metric over a set of images.

    Args:
        mean: Mean over the images that have a value; NaN if none has.
        count: How many images have a value.
        worst: The largest value, which QRG is judged by; NaN if there is none.
    """

    mean: float
    count: int
    worst: float


def summarise(values: Iterable[float]) -> Summary:
    """Averages what is defined and counts it.

    The sum is exact, so that the result does not depend on the order of the images, and thus not
    on batch size or number of processes either.

    Args:
        values: One value per image, NaN where it is undefined.

    Returns:
        The mean of the defined values, their number, and the largest.

    Examples:
        >>> summarise([1.0, float('nan'), 2.0])
        Summary(mean=1.5, count=2, worst=2.0)
    """
    defined = [float(value) for value in values if not math.isnan(value)]
    if not defined:
        return Summary(math.nan, 0, math.nan)
    return Summary(math.fsum(defined) / len(defined), len(defined), max(defined))

"""Trivial fusion rules that every table carries, so that its numbers can be read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmsgdfuse.evaluation.functional.image import luma_thousandths, round_thousandths

#: What each rule makes of the exact luma of the infrared and of the visible image.
_RULES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    'visible': lambda ir, vis: vis,
    'infrared': lambda ir, vis: ir,
    'average': lambda ir, vis: (ir + vis) / 2,
    'maximum': np.maximum,
}

#: Names of the rules, in the order of the tables.
BASELINES = tuple(_RULES)


def baseline_image(name: str, ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
    """The luma that a trivial rule fuses a pair into.

    The rules work on the luma before it is rounded, and round once.

    Args:
        name: ``'visible'``, ``'infrared'``, ``'average'`` or ``'maximum'``.
        ir: Infrared image, uint8 (H, W), (H, W, 1) or (H, W, 3).
        vis: Visible image of the same size.

    Returns:
        uint8 array (H, W).

    Raises:
        ValueError: ``name`` is none of the four.

    Examples:
        >>> import numpy as np
        >>> ir, vis = np.full((2, 2), 10, np.uint8), np.full((2, 2), 20, np.uint8)
        >>> baseline_image('average', ir, vis).tolist()
        [[15, 15], [15, 15]]
    """
    if name not in _RULES:
        raise ValueError(f'baseline must be one of {BASELINES}, found {name!r}')
    return round_thousandths(_RULES[name](luma_thousandths(ir), luma_thousandths(vis)))

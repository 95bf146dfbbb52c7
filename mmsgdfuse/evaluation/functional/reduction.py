"""How the values against the two sources become one."""

from __future__ import annotations

#: What to report of the pair (value against infrared, value against visible).
REDUCTIONS = ('sum', 'mean', 'ir', 'vis')


def reduce_sources(ir: float, vis: float, reduction: str) -> float:
    """Reduces the value against the infrared and the one against the visible image.

    Toolboxes differ here and call all results by one name: a sum is twice a mean.

    Args:
        ir: Value with the infrared image as source.
        vis: Value with the visible image as source.
        reduction: ``'sum'``, ``'mean'``, or ``'ir'`` or ``'vis'`` for one source alone.

    Returns:
        The sum, the mean or one of the two.

    Raises:
        ValueError: ``reduction`` is none of the four.

    Examples:
        >>> reduce_sources(0.25, 0.75, 'mean')
        0.5
    """
    reduced = dict(sum=ir + vis, mean=(ir + vis) / 2, ir=ir, vis=vis)
    if reduction not in reduced:
        raise ValueError(f'reduction must be one of {REDUCTIONS}, found {reduction!r}')
    return reduced[reduction]

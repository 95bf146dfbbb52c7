"""Plots of a training log."""

from __future__ import annotations

import io
import math
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from mmsgdfuse.visualization.report.run import PhaseLog

# the same log gives the same bytes, and text looks the same wherever the page is opened
_STYLE: Any = {'svg.hashsalt': 'mmsgdfuse', 'svg.fonttype': 'path', 'font.size': 9}
_TOTAL = 'loss'


def draw_losses(phase: PhaseLog) -> bytes:
    """The losses of a phase over its iterations.

    The axis is logarithmic where all values are positive. Values that are not finite leave a
    gap.

    Args:
        phase: A phase with at least one loss.

    Returns:
        An SVG file.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.5, 3.2), layout='constrained')
        axes = figure.add_subplot()
        drawn: list[float] = []
        for name in _worth_drawing(phase.losses):
            points = [(entry['step'], entry[name]) for entry in phase.training if name in entry]
            drawn += [value for _, value in points if math.isfinite(value)]
            axes.plot(
                [step for step, _ in points],
                [value if math.isfinite(value) else math.nan for _, value in points],
                label=_literal(name.removeprefix('loss_') if name != _TOTAL else 'sum'),
                color='black' if name == _TOTAL else None,
                linewidth=1.8 if name == _TOTAL else 1.1,
                marker='.' if len(points) == 1 else None,
            )
        if drawn and min(drawn) > 0:
            axes.set_yscale('log')
            axes.yaxis.set_major_formatter(_PlainLogFormatter(labelOnlyBase=False))
            axes.yaxis.set_minor_formatter(_PlainLogFormatter(labelOnlyBase=False))
        axes.set_xlabel('iteration')
        axes.set_ylabel('loss')
        axes.grid(linewidth=0.4, alpha=0.6)
        axes.spines[['top', 'right']].set_visible(False)
        figure.legend(loc='outside right upper', frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format='svg', metadata={'Date': None})
    return buffer.getvalue()


class _PlainLogFormatter(LogFormatter):
    """Labels the ticks that Matplotlib would, as 0.2 instead of 2e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f'{x:g}' if super().__call__(x, pos) else ''


def _worth_drawing(losses: list[str]) -> list[str]:
    """All but the sum of a single loss, which is that loss."""
    return losses[1:] if len(losses) == 2 and losses[0] == _TOTAL else losses


def describe_gaps(phase: PhaseLog) -> list[str]:
    """A sentence for each loss that was not finite somewhere."""
    sentences = []
    for name in phase.losses:
        steps = [e['step'] for e in phase.training if name in e and not math.isfinite(e[name])]
        if steps:
            sentences.append(
                f'{name} was not finite in {len(steps)} of {len(phase.training)} entries, first '
                f'at iteration {steps[0]}'
            )
    return sentences


def _literal(text: str) -> str:
    """Text that Matplotlib neither sets as a formula nor leaves out of the legend."""
    text = text.replace('$', r'\$')
    return f' {text}' if text.startswith('_') else text

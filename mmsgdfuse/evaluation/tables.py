"""The result of an evaluation as a table for the terminal, Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable
from rich.text import Text

from mmsgdfuse.evaluation.comparison import Difference, differences_of, mean_ranks
from mmsgdfuse.evaluation.functional import METRIC_INFOS
from mmsgdfuse.evaluation.scores import QRG_IMAGE_LIMIT, QRG_MEAN_LIMIT, Scores
from mmsgdfuse.utils.text import printable

_NOISE_MARK = '\u2020'
_UNDEFINED = '\u2013'
_STYLES = {0: '', 1: 'bold green', 2: 'underline'}
_LATEX = {
    '\\': r'\textbackslash{}',
    '&': r'\&',
    '%': r'\%',
    '$': r'\$',
    '#': r'\#',
    '_': r'\_',
    '{': r'\{',
    '}': r'\}',
    '~': r'\textasciitilde{}',
    '^': r'\textasciicircum{}',
    '\u2191': r'$\uparrow$',
    '\u2193': r'$\downarrow$',
    _NOISE_MARK: r'\dag{}',
    _UNDEFINED: '--',
}


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Args:
        text: What it says.
        place: 1 if it is the best of its column, 2 if the second, else 0.
    """

    text: str
    place: int = 0


@dataclass(frozen=True)
class Table:
    """A table before it is set in one format or another.

    Args:
        head: Column heads, the first one over the row labels.
        labels: Row labels.
        cells: Entries by row, without the label.
        rule_after: Number of rows above the line that parts baselines from methods.
        footnotes: What the marks mean.
    """

    head: tuple[str, ...]
    labels: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    rule_after: int
    footnotes: tuple[str, ...]


def format_number(value: float, digits: int) -> str:
    """A value as tables show it; a dash for NaN."""
    if math.isnan(value):
        return _UNDEFINED
    return f'{value:.{digits}f}'


def place_marks(values: Sequence[float], direction: int, eligible: Sequence[bool]) -> list[int]:
    """1 for the best of the eligible values, 2 for the second best, 0 for the others."""
    if direction == 0:
        return [0] * len(values)
    ordered = sorted(
        {v for v, allowed in zip(values, eligible) if allowed and not math.isnan(v)},
        reverse=direction > 0,
    )[:2]
    return [
        ordered.index(v) + 1 if allowed and v in ordered else 0
        for v, allowed in zip(values, eligible)
    ]


def metric_table(scores: Scores, digits: int = 3) -> Table:
    """The mean of every metric, one row per baseline and method.

    The best two of each column are marked; a row that amplifies noise is marked with a dagger
    and cannot be among them. Where a mean is over fewer images than the table, their number
    follows in parentheses.

    Args:
        scores: Values of an evaluation.
        digits: Digits after the point. Default 3.

    Returns:
        The table, with QRG's worst image (if QRG is among the metrics) and the mean rank.
    """
    noisy = [scores.amplifies_noise(row) for row in scores.rows]
    columns: list[list[Cell]] = []
    head = [f'{len(scores.images)} images']
    fewer = False
    for metric in scores.metrics:
        info = METRIC_INFOS[metric]
        summaries = [scores.summary(row, metric) for row in scores.rows]
        places = place_marks([s.mean for s in summaries], info.direction, [not n for n in noisy])
        head.append(f'{metric} {info.arrow}'.strip())
        column = []
        for summary, place in zip(summaries, places):
            text = format_number(summary.mean, digits)
            if 0 < summary.count < len(scores.images):
                text += f' ({summary.count})'
                fewer = True
            column.append(Cell(text, place))
        columns.append(column)
        if metric == 'QRG':
            head.append('QRG worst')
            columns.append([Cell(format_number(s.worst, digits)) for s in summaries])
    average_ranks = mean_ranks(scores)
    head.append('mean rank')
    columns.append([Cell(format_number(average_ranks[row], 2)) for row in scores.rows])

    footnotes = []
    if any(noisy):
        footnotes.append(
            f'{_NOISE_MARK} amplifies noise in quiet regions (QRG above {QRG_MEAN_LIMIT} on '
            f'average or {QRG_IMAGE_LIMIT} on an image): its other values do not count'
        )
    if fewer:
        footnotes.append('(n): mean over the n images where the metric is defined')
    return Table(
        head=tuple(head),
        labels=tuple(
            f'{row} {_NOISE_MARK}' if marked else row for row, marked in zip(scores.rows, noisy)
        ),
        cells=tuple(zip(*columns)),
        rule_after=len(scores.baselines),
        footnotes=tuple(footnotes),
    )


def difference_table(
    row: str, scores: Scores, differences: list[Difference], digits: int = 3
) -> Table:
    """One row of the metric table minus every other one, with intervals.

    Args:
        row: The method that is compared.
        scores: Values of an evaluation.
        differences: Their :func:`~mmsgdfuse.evaluation.comparison.paired_differences`.
        digits: Digits after the point. Default 3.

    Returns:
        One row per other row; differences whose interval leaves out zero are starred.
    """
    seen_from = {(d.other, d.metric): d for d in differences_of(row, differences)}
    others = tuple(other for other in scores.rows if other != row)
    cells = []
    for other in others:
        texts = []
        for metric in scores.metrics:
            found = seen_from[other, metric]
            if math.isnan(found.mean):
                texts.append(Cell(_UNDEFINED))
                continue
            star = '*' if found.clear else ''
            texts.append(
                Cell(
                    f'{found.mean:+.{digits}f}{star} '
                    f'[{found.low:+.{digits}f}, {found.high:+.{digits}f}]'
                )
            )
        cells.append(tuple(texts))
    return Table(
        head=(
            f'{row} minus',
            *(f'{metric} {METRIC_INFOS[metric].arrow}'.strip() for metric in scores.metrics),
        ),
        labels=others,
        cells=tuple(cells),
        rule_after=len([other for other in others if other in scores.baselines]),
        footnotes=('* the paired bootstrap interval of the difference leaves out zero',),
    )


def to_rich(table: Table) -> RichTable:
    """A table for the terminal, turned: metrics down, methods across, as there are fewer.

    Args:
        table: The table.

    Returns:
        A rich table: the best in bold, the second underlined.
    """
    # As Text, for a name may hold brackets, which rich would take for its markup.
    caption = Text(printable('\n'.join(table.footnotes)))
    turned = RichTable(caption=caption if table.footnotes else None, caption_justify='left')
    turned.add_column(Text(printable(table.head[0])))
    for label in table.labels:
        turned.add_column(Text(printable(label)), justify='right')
    for name, entries in zip(table.head[1:], zip(*table.cells)):
        turned.add_row(
            Text(printable(name)),
            *(Text(printable(entry.text), _STYLES[entry.place]) for entry in entries),
        )
    return turned


def to_markdown(table: Table) -> str:
    """A table in Markdown: the best in bold, the second underlined.

    Args:
        table: The table; its names are shown as they are, whatever markup is in them.

    Returns:
        Lines of text, the footnotes below as a list.
    """
    marks = {0: '{}', 1: '**{}**', 2: '<u>{}</u>'}

    def line(entries: Sequence[str]) -> str:
        return f'| {" | ".join(entries)} |'

    lines = [
        line([_literal(entry) for entry in table.head]),
        line(['---'] + ['---:'] * (len(table.head) - 1)),
    ]
    for label, cells in zip(table.labels, table.cells):
        texts = [marks[cell.place].format(cell.text.replace('|', r'\|')) for cell in cells]
        lines.append(line([_literal(label), *texts]))
    if table.footnotes:
        lines += ['', *(f'- {note}' for note in table.footnotes)]
    return '\n'.join(lines) + '\n'


def _literal(text: str) -> str:
    """A name in Markdown: no tag, link or picture, and on one line."""
    text = ' '.join(text.split()).replace('<', '&lt;')
    return ''.join(f'\\{character}' if character in '|[]`' else character for character in text)


def _escape(text: str) -> str:
    return ''.join(_LATEX.get(character, character) for character in text)


def to_latex(table: Table) -> str:
    r"""A table in LaTeX (``\usepackage{booktabs}``): the best in bold, the second underlined.

    Args:
        table: The table.

    Returns:
        A ``tabular`` environment, the footnotes below as comments.
    """
    marks = {0: '%s', 1: r'\textbf{%s}', 2: r'\underline{%s}'}

    def line(entries: Sequence[str]) -> str:
        return ' & '.join(entries) + r' \\'

    lines = [
        rf'\begin{{tabular}}{{l{"r" * (len(table.head) - 1)}}}',
        r'\toprule',
        line([_escape(entry) for entry in table.head]),
        r'\midrule',
    ]
    for index, (label, cells) in enumerate(zip(table.labels, table.cells)):
        if 0 < index == table.rule_after:
            lines.append(r'\midrule')
        entries = [marks[cell.place] % _escape(cell.text) for cell in cells]
        lines.append(line([_escape(label), *entries]))
    lines += [r'\bottomrule', r'\end{tabular}']
    lines += [f'% {note}' for note in table.footnotes]
    return '\n'.join(lines) + '\n'

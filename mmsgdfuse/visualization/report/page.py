"""Putting a page together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmsgdfuse.evaluation.tables import Table
from mmsgdfuse.utils.inline import data_url
from mmsgdfuse.utils.page import Picture, render_page
from mmsgdfuse.visualization.report.curves import describe_gaps, draw_losses
from mmsgdfuse.visualization.report.metrics import evaluation_tables, value_table
from mmsgdfuse.visualization.report.run import PhaseLog
from mmsgdfuse.visualization.report.sources import Findings


def render_report(title: str, found: Findings, gallery: Sequence[Picture] = ()) -> str:
    """The page.

    All that comes from files is escaped, see :func:`~mmsgdfuse.utils.page.render_page`.

    Args:
        title: Heading.
        found: Training logs, tests and evaluations.
        gallery: Scenes to compare. Default: none.

    Returns:
        HTML text that refers to nothing outside of it; the same input gives the same text.

    Raises:
        ReportError: An evaluation is not complete.
    """
    return render_page(
        __package__,
        'report.html.j2',
        title=title,
        evaluations=[
            dict(path=str(path), tables=evaluation_tables(path, document), document=document)
            for path, document in found.evaluations.items()
        ],
        tests=_test_table(found),
        gallery=gallery,
        phases=[_describe(phase) for phase in found.phases],
    )


def _test_table(found: Findings) -> Table | None:
    if not found.tests:
        return None
    return value_table(
        'checkpoint', [(test['checkpoint'], test['metrics']) for test in found.tests.values()]
    )


def _describe(phase: PhaseLog) -> Mapping[str, Any]:
    validation = None
    if phase.validation:
        rows = [(f'epoch {entry["step"]}', entry) for entry in phase.validation]
        validation = value_table('validation', rows)
    plot = data_url(draw_losses(phase), 'image/svg+xml') if phase.losses else ''
    return dict(
        name=phase.name,
        facts=phase.facts(),
        plot=plot,
        gaps=describe_gaps(phase),
        validation=validation,
        config=phase.config_text,
    )

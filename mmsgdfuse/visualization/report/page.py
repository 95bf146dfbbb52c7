"""Putting a page together."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mmsgdfuse.evaluation.tables import Table
from mmsgdfuse.utils.inline import data_url
from mmsgdfuse.version import __version__
from mmsgdfuse.visualization.report.curves import describe_gaps, draw_losses
from mmsgdfuse.visualization.report.gallery import Picture
from mmsgdfuse.visualization.report.metrics import evaluation_tables, value_table
from mmsgdfuse.visualization.report.run import PhaseLog
from mmsgdfuse.visualization.report.sources import Findings

_TEMPLATES = 'templates'


def render_report(title: str, found: Findings, gallery: Sequence[Picture] = ()) -> str:
    """The page.

    All that comes from files is escaped. A content security policy forbids the page to load
    anything and to run any script but its own.

    Args:
        title: Heading.
        found: Training logs, tests and evaluations.
        gallery: Scenes to compare. Default: none.

    Returns:
        HTML text that refers to nothing outside of it; the same input gives the same text.

    Raises:
        ReportError: An evaluation is not complete.
    """
    style, script = (_own_file(name) for name in ('report.css', 'report.js'))
    environment = Environment(
        loader=PackageLoader('mmsgdfuse.visualization.report', _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template('report.html.j2').render(
        title=title,
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        policy=(
            "default-src 'none'; img-src data:; "
            f'style-src {_hash_source(style)}; script-src {_hash_source(script)}'
        ),
        evaluations=[
            dict(path=str(path), tables=evaluation_tables(path, document), document=document)
            for path, document in found.evaluations.items()
        ],
        tests=_test_table(found),
        gallery=gallery,
        layers=list(gallery[0].layers) if gallery else [],
        phases=[_describe(phase) for phase in found.phases],
    )


def _own_file(name: str) -> str:
    return files(__package__).joinpath(_TEMPLATES, name).read_text(encoding='utf-8')


def _hash_source(text: str) -> str:
    """How a content security policy names one inline script or style."""
    digest = hashlib.sha256(text.encode('utf-8')).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


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

"""Self-contained HTML pages: one look, one gallery, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mmsgdfuse.utils.text import printable
from mmsgdfuse.version import __version__

_TEMPLATES = 'templates'


@dataclass(frozen=True)
class Picture:
    """One scene of a gallery.

    Attributes:
        name: File name without suffix.
        width: Width in pixels on disk.
        height: Height.
        layers: Data URL by name: 'infrared', 'visible', then each method.
    """

    name: str
    width: int
    height: int
    layers: dict[str, str]


def render_page(
    package: str,
    template: str,
    styles: tuple[str, ...] = (),
    scripts: tuple[str, ...] = (),
    **data: Any,
) -> str:
    """A page from a package's own templates and what all pages share.

    All that ``data`` holds is escaped. A content security policy forbids the page to load anything
    and to run any script but its own. The template finds ``style``, ``script``, ``policy`` and
    ``version`` beside the data, and the macros of ``gallery.html.j2``.

    Args:
        package: Package with a folder ``templates``.
        template: Name of the page's template in it.
        styles: Style sheets in it that follow the shared one. Default: none.
        scripts: Scripts in it that follow the gallery's. Default: none.
        **data: What the template shows.

    Returns:
        HTML text that refers to nothing outside of it; the same input gives the same text.
    """
    style = '\n'.join([_file(__name__, 'page.css'), *(_file(package, name) for name in styles)])
    script = '\n'.join([_file(__name__, 'gallery.js'), *(_file(package, n) for n in scripts)])
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader(package, _TEMPLATES), PackageLoader(__name__, _TEMPLATES)]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        policy=(
            "default-src 'none'; img-src data:; "
            f'style-src {_hash_source(style)}; script-src {_hash_source(script)}'
        ),
        **data,
    )
    return printable(text)


def _file(package: str, name: str) -> str:
    return files(package).joinpath(_TEMPLATES, name).read_text(encoding='utf-8')


def _hash_source(text: str) -> str:
    """How a content security policy names one inline script or style."""
    digest = hashlib.sha256(text.encode('utf-8')).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"

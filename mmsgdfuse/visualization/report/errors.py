"""The error that every part of the report raises."""

from __future__ import annotations

from mmsgdfuse.utils.errors import MMSGDFuseError


class ReportError(MMSGDFuseError, ValueError):
    """A page cannot be made of what was given; the message names the file and the remedy."""

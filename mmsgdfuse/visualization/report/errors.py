"""The error that every part of the report raises."""

from __future__ import annotations


class ReportError(ValueError):
    """A page cannot be made of what was given; the message names the file and the remedy."""

"""The base class of this package's own errors."""

from __future__ import annotations


class MMSGDFuseError(Exception):
    """Base class of the errors that this package raises for bad input."""

"""The base of the package's own errors."""


class MMSGDFuseError(Exception):
    """Base class of the errors that this package raises for bad input."""

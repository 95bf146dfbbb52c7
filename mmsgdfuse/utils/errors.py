"""The base class of this package's own errors."""


class MMSGDFuseError(Exception):
    """Base class of the errors that this package raises for bad input.

    The message names the file or the argument and the remedy, so that a command-line tool prints
    it alone. Any other exception is a fault of the program and keeps its traceback.
    """

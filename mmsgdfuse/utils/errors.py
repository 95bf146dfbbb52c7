"""The base class of this package's own errors."""


class MMSGDFuseError(Exception):
    """Base class of the errors that this package raises for bad input.

    The message names the file or the argument and the remedy, so that a command-line tool prints
    it alone. Any other exception is a fault of the program and keeps its traceback.
    """


class InputError(MMSGDFuseError, ValueError):
    """An argument, an option or the content of a file that cannot be used."""


class MissingPackageError(MMSGDFuseError, ImportError):
    """A package that only some users need is not installed; the message says how to get it."""


class InputTypeError(MMSGDFuseError, TypeError):
    """An argument, or an entry of a config, of a type that cannot be used."""

"""Text from outside, made fit to be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""A text that can be encoded as UTF-8; what a file name has beyond it is shown as an escape.

    Python keeps the bytes of a file name that is not UTF-8 as lone surrogates, which no text
    file and no strict terminal takes.

    Examples:
        >>> printable('caf\udce9.png')
        'caf\\udce9.png'
    """
    return text.encode('utf-8', 'backslashreplace').decode('utf-8')

"""The errors of image files."""

from __future__ import annotations

from mmsgdfuse.utils.errors import MMSGDFuseError


class ImageFileError(MMSGDFuseError, OSError):
    """An image file that cannot be used; the message names it and says what to do."""


class ContentError(Exception):
    """What is wrong with an image's bytes; whoever knows the path makes an ImageFileError of it."""


def truncated(content: bytes) -> ContentError:
    """The error of a file that breaks off."""
    return ContentError(
        f'is truncated ({len(content)} bytes are not all of it); copy or download it again'
    )


def damaged(what: str) -> ContentError:
    """The error of a file whose bytes are not what was written."""
    return ContentError(f'damaged ({what}); copy or download it again')

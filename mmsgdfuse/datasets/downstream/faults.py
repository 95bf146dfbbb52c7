"""What can be wrong with labels, and how it is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmsgdfuse.utils.errors import MMSGDFuseError

UNREADABLE = 'unreadable'
WRONG_CLASS = 'wrong class'
OUTSIDE = 'outside the image'
ZERO_SIZE = 'zero size'
DUPLICATE = 'duplicate'
NO_LABEL = 'image without label'
NO_IMAGE = 'label without image'
WRONG_SIZE = 'wrong size'
BAD_IMAGE = 'unfit image'


class LabelError(MMSGDFuseError, ValueError):
    """Labels, or a folder, that cannot be used; the message says what was expected and found."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and where.

    Args:
        kind: One of this module's constants; faults are counted by it.
        path: The file.
        message: What was expected, what was found, and the remedy.
        line: Line of the file, from 1. None: the file as a whole.
    """

    kind: str
    path: Path
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f'{self.path}:{self.line}' if self.line else str(self.path)
        return f'{place}: {self.kind}: {self.message}'


def count_kinds(faults: Iterable[Fault]) -> dict[str, int]:
    """Number of faults by kind, the most frequent first."""
    return dict(Counter(fault.kind for fault in faults).most_common())

"""The time at which a camera or a recorder made a file, read from the file's name."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECOND = 10**9

# A fraction follows a point or the second itself; digits behind a dash may be a running number.
_CALENDAR = re.compile(
    r'(?<!\d)((?:19|20)\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[-_T .]?(\d\d)[-_:.]?(\d\d)[-_:.]?(\d\d)'
    r'(?:[.,]?(\d{1,9}))?(?!\d)'
)
_SECONDS = re.compile(r'(?<!\d)(\d{9,10})(?:\.(\d{1,9})|_(\d{9}))(?!\d)')
_WHOLE = re.compile(r'(?<!\d)(\d{19}|\d{16}|\d{13}|\d{10})(?!\d)')


def parse_timestamp(name: str) -> int | None:
    """The time that a file name tells.

    Known are calendar times of at least a second's resolution (``DJI_20230512143015_0001_T``,
    ``2023-05-12T14-30-15.250``, ``20230512_143015``) and times since 1970 as ROS and its tools
    write them: seconds with a fraction (``1683901815.250``, ``1683901815_250000000``), or whole
    seconds, milliseconds, microseconds or nanoseconds (10, 13, 16 or 19 digits).

    Args:
        name: File name without suffix.

    Returns:
        Nanoseconds since 1970, a calendar time taken as UTC; None where the name tells no time.

    Examples:
        >>> parse_timestamp('DJI_20230512143015_0001_T')
        1683901815000000000
        >>> parse_timestamp('left_1683901815.25')
        1683901815250000000
        >>> parse_timestamp('FLIR_00002') is None
        True
    """
    found = _CALENDAR.search(name)
    if found:
        try:
            moment = datetime(*map(int, found.groups()[:6]), tzinfo=timezone.utc)  # type: ignore[misc, arg-type]
        except ValueError:  # such as month 13: the digits are no date
            pass
        else:
            elapsed = moment - _EPOCH
            return (elapsed.days * 86400 + elapsed.seconds) * _SECOND + _fraction(found[7])
    found = _SECONDS.search(name)
    if found:
        return int(found[1]) * _SECOND + _fraction(found[2] or found[3])
    found = _WHOLE.search(name)
    if found:
        return int(found[1]) * 10 ** (19 - len(found[1]))
    return None


def _fraction(digits: str | None) -> int:
    """Nanoseconds of the digits behind a decimal point."""
    return int((digits or '0').ljust(9, '0'))

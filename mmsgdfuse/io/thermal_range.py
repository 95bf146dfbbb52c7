"""How the values of a thermal sensor become grey levels.

A camera writes raw counts, kelvin, degrees or a finished picture, and the file seldom says which.
The functions here look at the values that a frame uses and give a :class:`RangeMapping`, which
says what was done and can be applied to other frames of the same camera.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from mmsgdfuse.utils.errors import InputError

COUNTS, CELSIUS, KELVIN = 'counts', 'celsius', 'kelvin'
UNITS = (COUNTS, CELSIUS, KELVIN)

SCALINGS = ('auto', 'full', 'minmax', 'percentile')
"""How a range is chosen; 8-bit images are never changed by any of them."""

MIN_SPAN = {COUNTS: 128.0, CELSIUS: 4.0, KELVIN: 4.0}
"""Least width of an automatic range; a frame without contrast is not stretched to its noise."""

# tenths of a degree, the usual unit of signed files
_MIN_SPAN_SIGNED = 40.0

# a frame that uses this share of its depth is a finished picture and stays as it is
_FULL_SHARE = 0.75

# single pixels this far, in units of the range, beyond all others are taken for defects
_DEFECT_SHARE = 0.1


class RangeError(ValueError):
    """Values that have no range by themselves; the message says how to state one."""


@dataclass(frozen=True)
class RangeMapping:
    """A linear map from sensor values to grey levels.

    Attributes:
        low: Value that becomes 0, in ``unit``.
        high: Value that becomes 255, in ``unit``.
        unit: 'counts', 'celsius' or 'kelvin'.
        how: How the range was found: 'as stored' (8 bits), 'full', 'minmax', 'percentile', 'auto'
            or 'given'.
        polarity: 'white-hot', or 'black-hot' where the levels were turned round.
        palette: Name of the false colours that were taken out; '' if there were none.
    """

    low: float
    high: float
    unit: str = COUNTS
    how: str = 'auto'
    polarity: str = 'white-hot'
    palette: str = ''

    @property
    def changes_nothing(self) -> bool:
        """Whether the picture is used as it is stored."""
        return self.how == 'as stored' and self.polarity == 'white-hot' and not self.palette

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Map values to grey levels.

        Args:
            values: Array of any shape and real dtype, in :attr:`unit`.

        Returns:
            Array of the same shape: uint8 as it is where the image was stored in 8 bits, else
            float32 in 0..255. What lies outside of the range is clipped; NaN becomes 0.
        """
        if self.how == 'as stored' and values.dtype == np.uint8:
            levels = values
        else:
            # a constant frame has no range to stretch and becomes 0
            width = self.high - self.low
            factor = 255.0 / width if width > 0 else 0.0
            # float64 for the difference: float32 has no hundredths of a count at 2**24
            levels = ((values.astype(np.float64) - self.low) * factor).astype(np.float32)
            levels = np.clip(np.nan_to_num(levels, nan=0.0, posinf=255.0, neginf=0.0), 0, 255)
        return levels if self.polarity == 'white-hot' else turned(levels)

    def __str__(self) -> str:
        text = self._range_text()
        if self.palette:
            text = f'{self.palette} colours turned into grey, {text}'
        return text if self.polarity == 'white-hot' else f'{text}, black-hot turned round'

    def _range_text(self) -> str:
        if self.how == 'as stored':
            return '8 bits as stored'
        unit = {COUNTS: '', CELSIUS: ' degrees Celsius', KELVIN: ' kelvin'}[self.unit]
        return f'{self.low:.6g}..{self.high:.6g}{unit} -> 0..255 ({self.how})'


AS_STORED = RangeMapping(0.0, 255.0, how='as stored')


def turned(levels: np.ndarray) -> np.ndarray:
    """The other polarity: grey level v becomes 255 - v; uint8 or float32 of any shape."""
    return 255 - levels if levels.dtype == np.uint8 else np.float32(255) - levels


def find_range(
    values: np.ndarray,
    scaling: str = 'auto',
    percentiles: tuple[float, float] = (0.5, 99.5),
    unit: str | None = None,
) -> RangeMapping:
    """Choose the range of one frame.

    Args:
        values: (H, W) or (H, W, 1) of any real dtype.
        scaling: ``'auto'``: what the frame uses, see :func:`used_range`; a finished picture stays
            as it is: one of 8 bits, one of 8 bits stored in 16 (values up to 255, or
            multiples of 257), and one that uses three quarters of its depth. ``'full'``: all
            values of the dtype. ``'minmax'``: the frame's least and greatest value.
            ``'percentile'``: its percentiles.
        percentiles: Lower and upper percentile in 0..100 for ``'percentile'``.
        unit: 'counts', 'celsius' or 'kelvin' where the file says so. Default: integers are
            counts; what a float holds is told from its values, see :func:`guess_unit`.

    Raises:
        RangeError: No value is finite, or the values are floating point within 0..1.
        ValueError: An argument is not one of those above.
    """
    check_scaling(scaling, percentiles)
    if values.dtype == np.uint8:
        return AS_STORED
    if values.dtype == bool:
        raise RangeError('is bool; give grey levels, counts or temperatures')
    floating = np.issubdtype(values.dtype, np.floating)
    finite = values[np.isfinite(values)] if floating else values.reshape(-1)
    if not finite.size:
        raise RangeError('has no finite value')
    least, greatest = float(finite.min()), float(finite.max())
    low, high = used_range(values)
    if floating and unit is None and low >= 0 and high <= 1:
        raise RangeError(
            f'is floating point within 0..1 ({least:.3g}..{greatest:.3g}), which is a scaled '
            'picture; state its range, such as (0, 1)'
        )
    unit = unit or guess_unit(values.dtype, low, high)
    if scaling == 'minmax':
        return RangeMapping(least, greatest, unit, 'minmax')
    if scaling == 'percentile':
        low, high = np.percentile(finite, percentiles)
        return RangeMapping(float(low), float(high), unit, 'percentile')
    whole = _whole_range(values.dtype)
    if scaling == 'full':
        if whole is None:
            raise RangeError(f"has {values.dtype} values, which have no full range; use 'auto'")
        return RangeMapping(*whole, unit, 'full')
    picture = _finished_picture(values.dtype, finite, high - low)
    if picture is not None and unit == COUNTS:
        return RangeMapping(*picture, unit, 'full')
    span = _MIN_SPAN_SIGNED if _is_signed(values.dtype) and unit == COUNTS else MIN_SPAN[unit]
    return RangeMapping(low, max(high, low + span), unit, 'auto')


def used_range(values: np.ndarray) -> tuple[float, float]:
    """The values that a frame uses, without defective pixels and empty areas.

    A median filter of 3x3 pixels takes out hot and dead pixels, pairs of them and single lines; it
    leaves a hot thing of two pixels by three. Values up to a tenth of that range beyond it count,
    too; what lies farther out is a defect. Areas at 0, or at the dtype's greatest value, are no
    scene where they lie farther from all other values than those do from each other, as the
    border of a warped image does.

    Args:
        values: (H, W) or (H, W, 1) of any real dtype; NaN and infinities are left out.

    Returns:
        The least and the greatest value in use; equal for a constant frame.

    Raises:
        RangeError: No value is finite.
    """
    frame = values.reshape(values.shape[:2])
    known = np.isfinite(frame)
    if not known.any():
        raise RangeError('has no finite value')
    offset = float(np.median(frame[known]))
    # medianBlur takes float32; around the median it resolves any sensor's values
    centred = np.where(known, frame, offset).astype(np.float64) - offset
    smooth = cv2.medianBlur(centred.astype(np.float32), 3)[known].astype(np.float64) + offset
    scene = _without_empty(smooth, 0.0)
    if np.issubdtype(frame.dtype, np.integer):
        scene = _without_empty(scene, float(np.iinfo(frame.dtype).max))
    low, high = float(scene.min()), float(scene.max())
    reach = _DEFECT_SHARE * (high - low)
    near = frame[known].astype(np.float64)
    near = near[(near >= low - reach) & (near <= high + reach)]
    return (float(near.min()), float(near.max())) if near.size else (low, high)


def guess_unit(dtype: np.dtype, least: float, greatest: float) -> str:
    """What values mean that come without a word: 'counts', 'celsius' or 'kelvin'.

    Only floating point is judged: within -100..180 it is taken for degrees Celsius, within
    180..400 for kelvin; integers and everything else are counts. The unit changes the least width
    of a range and what is reported, not the picture.
    """
    if not np.issubdtype(dtype, np.floating):
        return COUNTS
    if least >= -100 and greatest <= 180:
        return CELSIUS
    if least >= 180 and greatest <= 400:
        return KELVIN
    return COUNTS


def join_ranges(mappings: Iterable[RangeMapping]) -> RangeMapping:
    """One range for the frames of a sequence: from the least low to the greatest high.

    Raises:
        ValueError: There is no mapping, or they have different units.
    """
    mappings = list(mappings)
    if not mappings:
        raise InputError('a common range needs at least one frame')
    units = {mapping.unit for mapping in mappings}
    if len(units) > 1:
        raise InputError(f'frames with different units ({sorted(units)}) have no common range')
    if all(mapping == mappings[0] for mapping in mappings):
        return mappings[0]
    low = min(mapping.low for mapping in mappings)
    return replace(mappings[0], low=low, high=max(m.high for m in mappings), how='auto')


def given_range(low: float, high: float, unit: str = COUNTS) -> RangeMapping:
    """A range that the user states.

    Raises:
        ValueError: ``low`` is not below ``high``, or one is not finite.
    """
    if not (np.isfinite([low, high]).all() and low < high):
        raise InputError(f'a range must be LOW < HIGH, both finite, found {low:g} and {high:g}')
    return RangeMapping(float(low), float(high), unit, 'given')


def picture_depth(values: np.ndarray) -> int:
    """Bits per sample that a visible picture in a 16-bit file uses: 8, 10, 12, 14 or 16.

    A camera of 12 bits leaves the upper ones empty. A picture scaled up from 8 bits uses all 16.

    Args:
        values: uint16 of any shape.
    """
    greatest = int(values.max())
    return next((bits for bits in (8, 10, 12, 14) if greatest < 1 << bits), 16)


def check_scaling(scaling: str, percentiles: tuple[float, float]) -> None:
    """Raise ValueError unless the arguments are what :func:`find_range` takes."""
    if scaling not in SCALINGS:
        raise InputError(f'scaling must be one of {SCALINGS}, found {scaling!r}')
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise InputError(f'percentiles must be increasing within 0..100, found {percentiles}')


def _is_signed(dtype: np.dtype) -> bool:
    return bool(np.issubdtype(dtype, np.signedinteger))


def _whole_range(dtype: np.dtype) -> tuple[float, float] | None:
    """0 and the greatest value of an unsigned dtype; None for one without a picture's range."""
    if np.issubdtype(dtype, np.unsignedinteger):
        return 0.0, float(np.iinfo(dtype).max)
    return None


def _finished_picture(
    dtype: np.dtype, values: np.ndarray, used: float
) -> tuple[float, float] | None:
    """Full range of a picture whose levels were chosen already; None for sensor values.

    Args:
        dtype: How the file stores its values.
        values: The finite ones.
        used: Width of their range without defects.
    """
    least, greatest = float(values.min()), float(values.max())
    if _is_signed(dtype) or least < 0:
        return None
    if np.issubdtype(dtype, np.floating):
        return (0.0, 255.0) if greatest <= 255 and used >= _FULL_SHARE * 255 else None
    if greatest <= 255:
        return 0.0, 255.0
    if dtype == np.uint16 and not (values % 257).any():
        return 0.0, 65535.0
    for bits in (10, 12, 14, 16, 32):
        top = float((1 << bits) - 1)
        if greatest <= top:
            return (0.0, top) if used >= _FULL_SHARE * top else None
    return None


def _without_empty(values: np.ndarray, empty: float) -> np.ndarray:
    """Leave out the values that are exactly ``empty`` where those are apart from the rest."""
    others = values[values != empty]
    if not others.size or others.size == values.size:
        return values
    least, greatest = others.min(), others.max()
    distance = max(least - empty, empty - greatest)
    return others if distance > greatest - least else values

"""Radiometric JPEG: the frame of a thermal camera inside of a JPEG file.

FLIR cameras write a preview as JPEG and, into its APP1 segments, a file of their own (FFF): a
directory of records, one of which is the sensor's frame and another the camera's calibration.
The layout is FLIR's, as documented by ExifTool (https://exiftool.org/TagNames/FLIR.html); the
temperature follows from the calibration by Planck's law as FLIR states it. DJI cameras keep their
frame in a form that only DJI's own library reads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

_RAW_DATA, _CAMERA_INFO = 0x01, 0x20
_ABSOLUTE_ZERO = -273.15


class RadiometricError(ValueError):
    """A radiometric JPEG that cannot be used; the message says why and what to do."""


class Calibration(NamedTuple):
    """What turns a FLIR camera's counts into temperatures.

    Attributes:
        r1: Planck constant R1.
        b: Planck constant B, kelvin.
        f: Planck constant F.
        o: Planck constant O, counts.
        r2: Planck constant R2.
        emissivity: Of the object, in (0, 1].
        reflected: Apparent temperature of what the object reflects, kelvin.
    """

    r1: float
    b: float
    f: float
    o: float
    r2: float
    emissivity: float = 1.0
    reflected: float = 293.15

    @property
    def usable(self) -> bool:
        """Whether the constants describe a camera; some files hold zeros."""
        known = np.isfinite(self).all() and min(self.r1, self.b, self.r2) > 0
        return bool(known and 0 < self.emissivity <= 1 and self.reflected > 0)

    def celsius(self, counts: np.ndarray) -> np.ndarray:
        """Temperatures of counts, degrees Celsius, float32 of the same shape.

        The air is taken for transparent. Counts below the calibrated range become NaN.
        """
        mirrored = self.r1 / (self.r2 * (np.exp(self.b / self.reflected) - self.f)) - self.o
        signal = (counts.astype(np.float64) - (1 - self.emissivity) * mirrored) / self.emissivity
        with np.errstate(divide='ignore', invalid='ignore'):
            kelvin = self.b / np.log(self.r1 / (self.r2 * (signal + self.o)) + self.f)
        kelvin[~(kelvin > 0)] = np.nan
        return (kelvin + _ABSOLUTE_ZERO).astype(np.float32)


class RadiometricFrame(NamedTuple):
    """The sensor's frame of a radiometric JPEG.

    Attributes:
        counts: uint16 (H, W).
        calibration: The camera's constants; None where the file has none that are usable.
    """

    counts: np.ndarray
    calibration: Calibration | None

    def values(self) -> np.ndarray:
        """Degrees Celsius, float32 (H, W), or the counts where there is no calibration."""
        return self.counts if self.calibration is None else self.calibration.celsius(self.counts)


def read_radiometric(content: bytes) -> RadiometricFrame | None:
    """The thermal frame inside of a JPEG file.

    Args:
        content: The whole file.

    Returns:
        The frame, or None for a file without FLIR's segments.

    Raises:
        RadiometricError: FLIR's part is damaged, or the file is a radiometric JPEG by DJI.
    """
    if not content.startswith(b'\xff\xd8'):
        return None
    chunks: dict[int, bytes] = {}
    announced, dji, hidden = 0, False, 0
    for marker, body in _segments(content):
        if marker == 0xE1 and body.startswith(b'FLIR\0') and len(body) > 8:
            chunks[body[6]] = body[8:]
            announced = body[7] + 1
        dji |= marker == 0xE1 and b'DJI' in body
        hidden += len(body) if marker == 0xE3 else 0
    if chunks:
        if sorted(chunks) != list(range(announced)):
            raise RadiometricError(
                f'has {len(chunks)} of {announced} parts of its thermal frame; copy the file '
                'again from the camera'
            )
        return _parse_fff(b''.join(chunks[index] for index in sorted(chunks)))
    # a plane of 16 bits; DJI's visible cameras write nothing like it
    if dji and hidden >= 2 * 160 * 120:
        raise RadiometricError(
            "is a radiometric JPEG by DJI, whose frame only DJI's Thermal SDK reads; convert it "
            'with the dji_irp of that SDK (-a measure, a plane of int16 tenths of a degree or of '
            'float32 degrees) and read the result as raw values, such as 640x512,int16le, or '
            'save the preview as PNG'
        )
    return None


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment before the image data."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in (0xD9, 0xDA):
            return
        (length,) = struct.unpack_from('>H', content, at + 2)
        yield marker, content[at + 4 : at + 2 + length]
        at += 2 + length


def _parse_fff(data: bytes) -> RadiometricFrame:
    try:
        records = _records(data)
        if _RAW_DATA not in records:
            raise RadiometricError('has no thermal frame in its FLIR segments')
        counts = _raw_frame(records[_RAW_DATA])
        info = records.get(_CAMERA_INFO)
        calibration = None if info is None else _calibration(info)
    except struct.error:
        raise RadiometricError(
            'has a damaged FLIR part; copy the file again from the camera'
        ) from None
    usable = calibration is not None and calibration.usable
    return RadiometricFrame(counts, calibration if usable else None)


def _records(data: bytes) -> dict[int, bytes]:
    """The first record of each type."""
    if not data.startswith((b'FFF\0', b'AFF\0')):
        raise RadiometricError('has FLIR segments that are no FFF file')
    order = next((o for o in '><' if 100 <= struct.unpack_from(f'{o}I', data, 0x14)[0] < 200), '')
    if not order:
        raise RadiometricError('has an FFF file of an unknown version')
    directory, count = struct.unpack_from(f'{order}II', data, 0x18)
    records: dict[int, bytes] = {}
    for index in range(min(count, 4096)):
        entry = directory + 32 * index
        (kind,) = struct.unpack_from(f'{order}H', data, entry)
        offset, length = struct.unpack_from(f'{order}II', data, entry + 0x0C)
        if kind and length and offset + length <= len(data):
            records.setdefault(kind, data[offset : offset + length])
    return records


def _byte_order(record: bytes) -> str:
    """Order of a record's numbers: its first one is small."""
    return '<' if struct.unpack_from('<H', record)[0] < 0x100 else '>'


def _raw_frame(record: bytes) -> np.ndarray:
    order = _byte_order(record)
    width, height = struct.unpack_from(f'{order}2x2H', record)
    pixels = record[0x20:]
    if pixels.startswith((b'\x89PNG', b'II*\0', b'MM\0*')):
        frame = cv2.imdecode(np.frombuffer(pixels, np.uint8), cv2.IMREAD_UNCHANGED)
        if frame is None or frame.dtype != np.uint16 or frame.ndim != 2:
            raise RadiometricError(
                'has a thermal frame that cannot be decoded; copy the file again from the camera'
            )
        # cameras store little-endian values in PNG, whose numbers are big-endian
        return frame if _roughness(frame) <= _roughness(frame.byteswap()) else frame.byteswap()
    if len(pixels) < 2 * width * height or not width * height:
        raise RadiometricError(
            f'has {len(pixels)} bytes for a thermal frame of {width}x{height}; copy the file '
            'again from the camera'
        )
    values = np.frombuffer(pixels, f'{order}u2', count=width * height)
    return values.reshape(height, width).astype(np.uint16)


def _roughness(frame: np.ndarray) -> float:
    """Mean difference of neighbours; far greater where bytes are in the wrong order."""
    return float(np.abs(np.diff(frame.astype(np.float32), axis=1)).mean())


def _calibration(record: bytes) -> Calibration:
    order = _byte_order(record)
    emissivity, reflected = (
        struct.unpack_from(f'{order}f', record, offset)[0] for offset in (0x20, 0x28)
    )
    r1, b, f = struct.unpack_from(f'{order}3f', record, 0x58)
    o, r2 = struct.unpack_from(f'{order}if', record, 0x308)
    return Calibration(r1, b, f, o, r2, emissivity, reflected)

"""Writers of files as thermal cameras write them, made from a picture of grey levels."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tifffile

PLANCK = dict(r1=16500.0, b=1430.0, f=1.0, o=-5600, r2=0.0125)


def stretched(levels: np.ndarray) -> np.ndarray:
    """The picture with its least level at 0 and its greatest at 255, as every range puts it."""
    values = levels.astype(np.float64)
    values = (values - values.min()) / (values.max() - values.min())
    return np.rint(values * 255).astype(np.uint8)


def flir_counts(celsius: np.ndarray) -> np.ndarray:
    """Counts of a black body at these temperatures, by Planck's law."""
    radiance = np.exp(PLANCK['b'] / (celsius + 273.15)) - PLANCK['f']
    return np.rint(PLANCK['r1'] / (PLANCK['r2'] * radiance) - PLANCK['o']).astype(np.uint16)


def flir_jpeg(
    counts: np.ndarray, preview: np.ndarray, kind: str = 'png', calibrated: bool = True,
    order: str = '>', chunk: int = 60_000,
) -> bytes:  # fmt: skip
    """A radiometric JPEG: FFF with the counts as 'png' (bytes swapped), 'tiff' or 'raw'."""
    height, width = counts.shape
    if kind == 'png':
        body = cv2.imencode('.png', counts.byteswap())[1].tobytes()
    elif kind == 'tiff':
        body = cv2.imencode('.tiff', counts)[1].tobytes()
    else:
        body = counts.astype('<u2').tobytes()
    raw = struct.pack('<3H26x', 2, width, height) + body
    info = bytearray(0x400)
    struct.pack_into('<H', info, 0, 2)
    if calibrated:
        struct.pack_into('<f', info, 0x20, 1.0)
        struct.pack_into('<f', info, 0x28, 293.15)
        struct.pack_into('<3f', info, 0x58, PLANCK['r1'], PLANCK['b'], PLANCK['f'])
        struct.pack_into('<if', info, 0x308, PLANCK['o'], PLANCK['r2'])
    start = 0x40 + 2 * 32
    head = b'FFF\0' + b'TEST'.ljust(16, b'\0') + struct.pack(f'{order}3I', 101, 0x40, 2)
    data = head.ljust(0x40, b'\0')
    for record, offset, length in ((1, start, len(raw)), (0x20, start + len(raw), len(info))):
        data += struct.pack(f'{order}2H4I', record, 1, 100, 1, offset, length).ljust(32, b'\0')
    data += raw + bytes(info)
    chunks = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    segments = b''
    for index, part in enumerate(chunks):
        body = b'FLIR\0\x01' + bytes([index, len(chunks) - 1]) + part
        segments += b'\xff\xe1' + struct.pack('>H', len(body) + 2) + body
    jpeg = cv2.imencode('.jpg', preview)[1].tobytes()
    return jpeg[:2] + segments + jpeg[2:]


def dji_jpeg(preview: np.ndarray) -> bytes:
    """What marks a radiometric JPEG by DJI: its name, and a plane in APP3."""
    segments = b''
    for marker, body in ((0xE1, b'Exif\0\0DJI'), (0xE3, bytes(40_000)), (0xE3, bytes(40_000))):
        segments += bytes([0xFF, marker]) + struct.pack('>H', len(body) + 2) + body
    jpeg = cv2.imencode('.jpg', preview)[1].tobytes()
    return jpeg[:2] + segments + jpeg[2:]


def coloured(levels: np.ndarray, palette: int) -> np.ndarray:
    """False colours of one of OpenCV's palettes, BGR."""
    return cv2.applyColorMap(levels, palette)


def _image(suffix: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Path]:
    def write(folder: Path, levels: np.ndarray, stem: str = 'ir') -> Path:
        path = Path(folder) / f'{stem}{suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        image = change(levels)
        if suffix == '.tiff':
            tifffile.imwrite(path, image, byteorder='>' if image.dtype.byteorder == '>' else '<')
        else:
            assert cv2.imwrite(str(path), image)
        return path

    return write


def _flir(folder: Path, levels: np.ndarray, stem: str = 'ir') -> Path:
    path = Path(folder) / f'{stem}.jpg'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(flir_jpeg(flir_counts(10 + levels / 10), 255 - levels))
    return path


def _scaled(low: float, step: float, dtype: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda levels: np.rint(low + step * levels.astype(np.float64)).astype(dtype)


def _floating(low: float, step: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda levels: (low + step * levels.astype(np.float64)).astype(np.float32)


KINDS: dict[str, Callable[..., Path]] = {
    'narrow counts': _image('.png', _scaled(51241, 940 / 255, 'u2')),
    'kelvin x 100': _image('.tiff', _scaled(28500, 3000 / 255, 'u2')),
    'kelvin x 64': _image('.png', _scaled(285 * 64, 30 * 64 / 255, 'u2')),
    '14 bits': _image('.tiff', _scaled(0, 16383 / 255, 'u2')),
    '12 bits': _image('.png', _scaled(0, 4095 / 255, 'u2')),
    '10 bits': _image('.png', _scaled(0, 1023 / 255, 'u2')),
    '8 bits in 16': _image('.png', _scaled(0, 1, 'u2')),
    '16 bits': _image('.png', _scaled(0, 257, 'u2')),
    'big-endian': _image('.tiff', _scaled(28500, 3000 / 255, '>u2')),
    'float kelvin': _image('.tiff', _floating(285, 0.12)),
    'float degrees': _image('.tiff', _floating(-5, 0.12)),
    'float counts': _image('.tiff', _floating(7000, 4)),
    'int16 tenths': _image('.tiff', _scaled(-50, 400 / 255, 'i2')),
    'inferno': _image('.png', lambda levels: coloured(levels, cv2.COLORMAP_INFERNO)),
    'jet': _image('.png', lambda levels: coloured(levels, cv2.COLORMAP_JET)),
    'rainbow': _image('.png', lambda levels: coloured(levels, cv2.COLORMAP_RAINBOW)),
    'inferno JPEG': _image('.jpg', lambda levels: coloured(levels, cv2.COLORMAP_INFERNO)),
    'FLIR JPEG': _flir,
}
"""Writer by kind: ``write(folder, levels, stem='ir')`` gives the path of a file whose grey levels
are those of ``levels``, which must use 0..255."""

# grey levels in the mean; JPEG blurs the colours of a palette
TOLERANCE = {'inferno JPEG': 5.0, 'int16 tenths': 1.0}

"""Bytes of an image file become pixels as they are stored."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from mmsgdfuse.io import tiff
from mmsgdfuse.io.errors import ContentError, damaged
from mmsgdfuse.io.headers import Header
from mmsgdfuse.io.jpeg import check_coded_data

# an arithmetic or prefix coder does not give that many zeros in a row
_ZERO_RUN = 128
_PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error,
    EOFError, Image.DecompressionBombError,
)  # fmt: skip


def decode(content: bytes, header: Header) -> tuple[np.ndarray, np.ndarray | None, int | None]:
    """Decode an image whose header has been checked.

    Args:
        content: The whole file.
        header: What :func:`~mmsgdfuse.io.headers.parse_header` made of it.

    Returns:
        Colours (H, W, 1) or (H, W, 3), RGB, of the dtype of the file; alpha (H, W) or None; the
        value that the file declares as its highest, or None. The orientation is not applied.

    Raises:
        ContentError: The data are damaged, or of a kind that is not read.
    """
    if header.format == 'PNM':
        return _decode_pnm(content, header)
    if header.format == 'TIFF':
        pixels = _decode_tiff(content, header)
    elif header.format == 'PNG' and 'tRNS' in header.places:
        pixels = _decode_keyed_png(content, header)
    else:
        if header.format == 'JPEG':
            check_coded_data(content)
        elif header.format == 'WEBP':
            _check_zero_runs(content, header)
        pixels = _decode_opencv(content)
    if pixels.shape[:2] != (header.height, header.width):
        raise damaged(f'it declares {header.width}x{header.height} pixels and has others')
    return (*_split(pixels, header), None)


def _split(pixels: np.ndarray, header: Header) -> tuple[np.ndarray, np.ndarray | None]:
    if pixels.ndim == 2:
        return pixels[..., None], None
    colours, alpha = pixels, None
    if pixels.shape[2] in (2, 4):
        colours, alpha = pixels[..., :-1], pixels[..., -1]
        # the fourth byte of most BMP files is not used
        if header.format == 'BMP' and not alpha.any():
            alpha = None
    if header.grey:
        colours = colours[..., :1]
    return np.ascontiguousarray(colours), alpha


def _decode_opencv(content: bytes) -> np.ndarray:
    """Colours in the order RGB; OpenCV does not apply EXIF's orientation with this flag."""
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise damaged(str(error.err or error).strip()) from None
    if image is None:
        raise damaged('its pixels cannot be decoded')
    if image.ndim == 3 and image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if image.ndim == 3 and image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    return image


def _decode_keyed_png(content: bytes, header: Header) -> np.ndarray:
    """A PNG one of whose colours, or palette entries, may be transparent."""
    start, end = header.places['tRNS']
    table = content[start + 8 : end - 4]
    plain = _decode_opencv(content[:start] + content[end:])
    bits, colour = content[24], content[25]
    if colour == 3:
        indices = _decode_pillow(content, PngImagePlugin.PngImageFile)
        alphas = np.full(256, 255, np.uint8)
        alphas[: len(table)] = np.frombuffer(table, np.uint8)[:256]
        alpha = alphas[indices]
    else:
        if len(table) < (2 if colour == 0 else 6):
            raise damaged('a short tRNS chunk')
        key = np.frombuffer(table[: 2 if colour == 0 else 6], '>u2').astype(np.int64)
        if bits < 8:  # decoded to 0..255
            key = key * (255 // ((1 << bits) - 1))
        same = (plain.reshape(*plain.shape[:2], -1) == key).all(axis=2)
        alpha = np.where(same, 0, np.iinfo(plain.dtype).max)
    planes = plain[..., None] if plain.ndim == 2 else plain
    return np.concatenate([planes, alpha[..., None].astype(planes.dtype)], axis=2)


def _decode_tiff(content: bytes, header: Header) -> np.ndarray:
    page = header.pages[0]
    if error := tiff.unsupported(page):
        raise error
    tiff.check_page(page, content)
    plain = tiff.plain_page(content, page)
    bits = page.value(tiff.BITS, 1)
    # Pillow takes libtiff's errors for what they are; OpenCV reads what Pillow has no mode for
    if bits <= 8 and page.value(tiff.SAMPLE_FORMAT, 1) == 1:
        try:
            pixels = _decode_pillow(plain, TiffImagePlugin.TiffImageFile)
        except ContentError as error:
            if 'unknown pixel mode' not in str(error):
                raise
            pixels = _decode_opencv(plain)
    else:
        pixels = _decode_opencv(plain)
    if page.value(tiff.PHOTOMETRIC, 1) == tiff.MIN_IS_WHITE and pixels.dtype.kind in 'iu':
        # ~v is max - v for unsigned types, and min + max - v for signed ones
        pixels = ~pixels
    return pixels


def _decode_pillow(content: bytes, plugin: type) -> np.ndarray:
    """Pixels by one of Pillow's readers; not by Image.open, whose limit is the whole process's."""
    try:
        image = plugin(io.BytesIO(content))
        image.load()
    except _PILLOW_ERRORS as error:
        raise damaged(str(error) or type(error).__name__) from None
    if image.mode == '1':
        image = image.convert('L')
    elif (image.mode == 'P' and plugin is not PngImagePlugin.PngImageFile) or image.mode in (
        'YCbCr',
        'RGBX',
        'LAB',
    ):
        image = image.convert('RGB')
    return np.array(image)


def _check_zero_runs(content: bytes, header: Header) -> None:
    for kind in ('VP8 ', 'VP8L'):
        start, end = header.places.get(kind, (0, 0))
        if content.find(bytes(_ZERO_RUN), start, end) >= 0:
            raise damaged('zeros in its coded data')


def _decode_pnm(content: bytes, header: Header) -> tuple[np.ndarray, None, int]:
    start, highest = header.places['pixels']
    kind = int(content[1:2])
    channels = 3 if kind in (3, 6) else 1
    shape = (header.height, header.width, channels)
    count = header.height * header.width * channels
    dtype = np.uint8 if highest < 256 else np.uint16
    if kind in (5, 6):
        stored = np.frombuffer(content, '>u1' if highest < 256 else '>u2', count, start)
        pixels = stored.astype(dtype).reshape(shape)
    elif kind == 4:
        row = (header.width + 7) // 8
        packed = np.frombuffer(content, np.uint8, row * header.height, start)
        bits = np.unpackbits(packed.reshape(header.height, row), axis=1)[:, : header.width]
        return (1 - bits[..., None]) * np.uint8(255), None, 255
    else:
        text = content[start - 1 :]
        # the bits of P1 need no space between them
        words = list(b''.join(text.split()).decode('latin-1')) if kind == 1 else text.split()
        try:
            values = [int(word) for word in words[:count]]
        except ValueError:
            raise damaged('text where a number must be') from None
        if len(values) < count:
            raise damaged('fewer numbers than pixels')
        if max(values) > highest or min(values) < 0:
            raise damaged(f'values outside of 0..{highest}')
        pixels = np.array(values, dtype).reshape(shape)
        if kind == 1:
            return np.where(pixels == 0, 255, 0).astype(np.uint8), None, 255
    if int(pixels.max()) > highest:
        raise damaged(f'values above {highest}, which it declares as its highest')
    return pixels, None, highest

"""What an image file says of itself, and whether it goes on to its own end. No pixel is decoded.

Decoders differ in what they do with a file that breaks off: some return the rest as grey or black.
So each format is walked through here, from mark to mark.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field

from mmsgdfuse.io import tiff
from mmsgdfuse.io.errors import ContentError, damaged, truncated
from mmsgdfuse.io.jpeg import walk_jpeg
from mmsgdfuse.io.orientation import exif_orientation

# deflate makes at most 1032 bytes of one
_MOST_DEFLATED = 1100


@dataclass(frozen=True)
class Header:
    """What is known of an image before it is decoded.

    Args:
        format: ``'BMP'``, ``'JPEG'``, ``'PNG'``, ``'PNM'``, ``'TIFF'`` or ``'WEBP'``.
        width: Columns as stored.
        height: Rows as stored.
        orientation: EXIF's number, 1 to 8. Default 1.
        alpha: Whether there may be transparent pixels. Default False.
        grey: Whether colour channels, if there are several, are equal by the format. Default False.
        frames: Pictures in the file. Default 1.
        pages: The directories of a TIFF file. Default none.
        places: Where parts of the file begin and end, by name. Default none.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    alpha: bool = False
    grey: bool = False
    frames: int = 1
    pages: tuple[tiff.Page, ...] = ()
    places: dict[str, tuple[int, int]] = field(default_factory=dict)


def parse_header(content: bytes, page: int | None = None) -> Header:
    """Walk through an image file.

    Args:
        content: The whole file.
        page: The page of a TIFF file whose size is wanted. Default None: the largest one.

    Returns:
        What the file says of itself.

    Raises:
        ContentError: The file is no image, breaks off, has a wrong checksum, or no such page.
    """
    for start, parse in _PARSERS:
        if re.match(start, content, re.DOTALL):
            header = parse(content, page)
            break
    else:
        raise ContentError(
            'is not an image, or damaged from its beginning; copy or download it again'
        )
    if header.width < 1 or header.height < 1:
        raise damaged(f'its size is {header.width}x{header.height} pixels')
    if header.format != 'TIFF' and page not in (None, 0):
        raise ContentError(f'has one page, and page {page} is asked for; leave the option out')
    return header


def _parse_jpeg(content: bytes, _: int | None) -> Header:
    walk = walk_jpeg(content)
    return Header('JPEG', walk.width, walk.height, exif_orientation(walk.exif))


def _parse_png(content: bytes, _: int | None) -> Header:
    position = 8
    places: dict[str, tuple[int, int]] = {}
    view = memoryview(content)
    while 'IEND' not in places:
        if position + 12 > len(content):
            raise truncated(content)
        length, kind = struct.unpack_from('>I4s', content, position)
        end = position + 12 + length
        if not kind.isalpha():
            raise damaged('a chunk has no name')
        if end > len(content):
            raise truncated(content)
        if (
            zlib.crc32(view[position + 4 : end - 4])
            != struct.unpack_from('>I', content, end - 4)[0]
        ):
            raise damaged(f'wrong checksum of {kind.decode("ascii")}')
        places.setdefault(kind.decode('ascii'), (position, end))
        position = end
    if places.get('IHDR') != (8, 33) or 'IDAT' not in places:
        raise damaged('PNG without IHDR or IDAT')
    width, height, bits, colour = struct.unpack_from('>IIBB', content, 16)
    if width * height * bits > 8 * _MOST_DEFLATED * len(content):
        raise damaged('it declares more pixels than so few bytes can hold')
    start, end = places.get('eXIf', (0, 0))
    return Header(
        'PNG',
        width,
        height,
        exif_orientation(content[start + 8 : end - 4]),
        alpha=colour in (4, 6) or 'tRNS' in places,
        grey=colour in (0, 4),
        places=places,
    )


def _parse_webp(content: bytes, _: int | None) -> Header:
    end = 8 + int.from_bytes(content[4:8], 'little')
    if end > len(content):
        raise truncated(content)
    places: dict[str, tuple[int, int]] = {}
    position, frames = 12, 0
    while position + 8 <= end:
        kind, length = struct.unpack_from('<4sI', content, position)
        body = position + 8
        if body + length > end:
            raise damaged('a chunk goes beyond the end')
        if kind in (b'VP8 ', b'VP8L', b'VP8X', b'ALPH', b'EXIF', b'ANMF'):
            places.setdefault(kind.decode('ascii'), (body, body + length))
            frames += kind == b'ANMF'
        position = body + length + length % 2
    start, stop = places.get('EXIF', (0, 0))
    orientation = exif_orientation(content[start:stop])
    alpha = 'ALPH' in places
    if 'VP8X' in places:
        start, stop = places['VP8X']
        if stop - start < 10:
            raise damaged('a short VP8X chunk')
        alpha |= bool(content[start] & 0x10)
        width = 1 + int.from_bytes(content[start + 4 : start + 7], 'little')
        height = 1 + int.from_bytes(content[start + 7 : start + 10], 'little')
    elif 'VP8 ' in places:
        start, stop = places['VP8 ']
        if content[start + 3 : start + 6] != b'\x9d\x01\x2a' or stop - start < 10:
            raise damaged('no start of a VP8 frame')
        width, height = (side & 0x3FFF for side in struct.unpack_from('<HH', content, start + 6))
    elif 'VP8L' in places:
        start, stop = places['VP8L']
        if stop - start < 5 or content[start] != 0x2F:
            raise damaged('no start of a VP8L frame')
        bits = int.from_bytes(content[start + 1 : start + 5], 'little')
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        alpha |= bool(bits >> 28 & 1)
    else:
        raise damaged('WebP without an image')
    return Header('WEBP', width, height, orientation, alpha, frames=max(frames, 1), places=places)


def _parse_bmp(content: bytes, _: int | None) -> Header:
    if len(content) < 30:
        raise truncated(content)
    offset, size = struct.unpack_from('<II', content, 10)
    if size == 12:
        width, height, planes, bits = struct.unpack_from('<HHHH', content, 18)
        stored = compression = 0
        if planes != 1:
            raise damaged('a BMP header with a wrong number of planes')
    elif 40 <= size <= 1024 and len(content) >= 14 + size:
        width, height, planes, bits = struct.unpack_from('<iiHH', content, 18)
        compression, stored = struct.unpack_from('<II', content, 30)
        if planes != 1:
            raise damaged('a BMP header with a wrong number of planes')
    elif 40 <= size <= 1024:
        raise truncated(content)
    else:
        raise damaged('a BMP header of unknown size')
    if bits not in (1, 2, 4, 8, 16, 24, 32) or compression > 6:
        raise damaged('a BMP header with a wrong number of bits or an unknown compression')
    row = (abs(width) * bits + 31) // 32 * 4
    expected = stored if compression in (1, 2) else row * abs(height)
    if offset + expected > len(content):
        raise truncated(content)
    if offset < 14 + size:
        raise damaged('a BMP whose pixels begin within its header')
    return Header('BMP', width, abs(height), alpha=bits == 32)


def _parse_tiff(content: bytes, page: int | None) -> Header:
    pages = tiff.parse_pages(content)
    if not pages:
        raise damaged('TIFF without a page')
    if page is None:
        chosen = max(pages, key=lambda item: item.width * item.height)
    elif 0 <= page < len(pages):
        chosen = pages[page]
    else:
        raise ContentError(
            f'has no page {page}; its {len(pages)} pages are counted from 0 to {len(pages) - 1}'
        )
    return Header(
        'TIFF',
        chosen.width,
        chosen.height,
        chosen.orientation,
        alpha=chosen.value(tiff.SAMPLES, 1) in (2, 4),
        frames=len(pages),
        pages=tuple(sorted(pages, key=lambda item: item is not chosen)),
        places={'page': (pages.index(chosen), 0)},
    )


_PNM_HEAD = re.compile(rb'P([1-6])' + 3 * rb'(?:(?:\s|#[^\n\r]*[\n\r])+(\d{1,9}))?')


def _parse_pnm(content: bytes, _: int | None) -> Header:
    kind = content[1:2]
    numbers = 2 if kind in b'14' else 3
    match = _PNM_HEAD.match(content)
    if match is None or match[1 + numbers] is None:
        raise damaged('a PNM header without its numbers')
    width, height = int(match[2]), int(match[3])
    highest = 1 if numbers == 2 else int(match[4])
    if not 1 <= highest <= 65535:
        raise damaged(f'a PNM header whose highest value is {highest}')
    # of the white space after the header only one byte belongs to it
    start = match.end(1 + numbers) + 1
    channels = 3 if kind in b'36' else 1
    needed = width * height * channels
    if kind == b'4':
        needed = (width + 7) // 8 * height
    elif kind in b'56':
        needed *= 1 if highest < 256 else 2
    # a number in text takes at least one digit
    if start + needed > len(content):
        raise truncated(content)
    return Header('PNM', width, height, places={'pixels': (start, highest)})


_PARSERS = (
    (rb'\xff\xd8', _parse_jpeg),
    (rb'\x89PNG\r\n\x1a\n', _parse_png),
    (rb'RIFF....WEBP', _parse_webp),
    (rb'BM', _parse_bmp),
    (rb'II[\x2a\x2b]\0|MM\0[\x2a\x2b]', _parse_tiff),
    (rb'P[1-6][\s#]', _parse_pnm),
)

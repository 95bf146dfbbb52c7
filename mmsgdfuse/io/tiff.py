"""The directories of a TIFF file: what its pages are, and the same bytes with one page made plain.

Source: TIFF Revision 6.0, section 2; BigTIFF.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from mmsgdfuse.io.errors import ContentError, damaged, truncated

NEW_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 273, 274, 277, 278, 279
PLANAR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 284, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT = 338, 339
UNCOMPRESSED, DEFLATE = 1, (8, 32946)
MIN_IS_WHITE, PALETTE, CMYK = 0, 3, 5

_FORMATS = {1: 'B', 3: 'H', 4: 'I', 13: 'I', 16: 'Q', 18: 'Q'}  # the unsigned types
_USED = {
    NEW_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, ORIENTATION,
    SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS,
    TILE_COUNTS, EXTRA_SAMPLES, SAMPLE_FORMAT,
}  # fmt: skip


@dataclass
class Page:
    """One image file directory.

    Args:
        offset: Where it begins in the file.
        order: ``'<'`` or ``'>'``, as in :mod:`struct`.
        tags: The values of the tags that are used here.
        positions: Where the first value of each tag stands in the file, and its struct format.
    """

    offset: int
    order: str
    tags: dict[int, tuple[int, ...]] = field(default_factory=dict)
    positions: dict[int, tuple[int, str]] = field(default_factory=dict)

    def value(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        values = self.tags.get(tag)
        return values[0] if values else default

    @property
    def width(self) -> int:
        """Columns as stored."""
        return self.value(WIDTH, 0)

    @property
    def height(self) -> int:
        """Rows as stored."""
        return self.value(HEIGHT, 0)

    @property
    def orientation(self) -> int:
        """EXIF's number of the orientation; 1 where the tag is missing or no number of 1 to 8."""
        orientation = self.value(ORIENTATION, 1)
        return orientation if 1 <= orientation <= 8 else 1

    @property
    def parts(self) -> list[tuple[int, int]]:
        """Offset and length of each strip or tile."""
        if TILE_OFFSETS in self.tags:
            offsets, counts = self.tags[TILE_OFFSETS], self.tags.get(TILE_COUNTS, ())
        else:
            offsets, counts = self.tags.get(STRIP_OFFSETS, ()), self.tags.get(STRIP_COUNTS, ())
        return list(zip(offsets, counts))

    def part_bytes(self, index: int) -> int:
        """The number of bytes that a strip or tile has when it is not compressed."""
        samples = self.value(SAMPLES, 1)
        planes = samples if self.value(PLANAR, 1) == 2 else 1
        if TILE_OFFSETS in self.tags:
            columns, rows = self.value(TILE_WIDTH, 0), self.value(TILE_HEIGHT, 0)
        else:
            columns, strip = self.width, min(self.value(ROWS_PER_STRIP, self.height), self.height)
            strips = -(-self.height // max(strip, 1))
            last = index % max(strips, 1) == strips - 1
            rows = self.height - (strips - 1) * strip if last else strip
        bits = self.value(BITS, 1) * (samples // planes)
        return (columns * bits + 7) // 8 * rows

    def part_count(self) -> int:
        """The number of strips or tiles that the page must have."""
        planes = self.value(SAMPLES, 1) if self.value(PLANAR, 1) == 2 else 1
        if TILE_OFFSETS in self.tags:
            across = -(-self.width // max(self.value(TILE_WIDTH, 1), 1))
            return planes * across * -(-self.height // max(self.value(TILE_HEIGHT, 1), 1))
        rows = max(min(self.value(ROWS_PER_STRIP, self.height), self.height), 1)
        return planes * -(-self.height // rows)


def parse_pages(content: bytes, max_pages: int = 10_000) -> list[Page]:
    """The pages of a TIFF file in their order.

    Args:
        content: The file.
        max_pages: How many are looked at, at the most. Default 10,000.

    Raises:
        ContentError: The file breaks off within a directory, or is no TIFF.
    """
    order = {b'II': '<', b'MM': '>'}.get(content[:2])
    if order is None or len(content) < 8:
        raise damaged('it does not begin as TIFF')
    try:
        big = struct.unpack_from(order + 'H', content, 2)[0] == 43
        offset = struct.unpack_from(order + ('Q' if big else 'I'), content, 8 if big else 4)[0]
        pages: list[Page] = []
        seen = set()
        while offset and offset not in seen and len(pages) < max_pages:
            seen.add(offset)
            page, offset = _parse_page(content, offset, order, big)
            pages.append(page)
    except struct.error:
        raise truncated(content) from None
    return pages


def _parse_page(content: bytes, offset: int, order: str, big: bool) -> tuple[Page, int]:
    page = Page(offset, order)
    count_format, entry, word = ('Q', 20, 'Q') if big else ('H', 12, 'I')
    (count,) = struct.unpack_from(order + count_format, content, offset)
    start = offset + struct.calcsize(count_format)
    inline = struct.calcsize(word)
    for position in range(start, start + count * entry, entry):
        tag, kind, values = struct.unpack_from(f'{order}HH{word}', content, position)
        if tag not in _USED or kind not in _FORMATS:
            continue
        size = struct.calcsize(_FORMATS[kind]) * values
        place = position + 4 + inline
        if size > inline:
            (place,) = struct.unpack_from(order + word, content, place)
        if place + size > len(content):
            raise truncated(content)
        page.tags[tag] = struct.unpack_from(f'{order}{values}{_FORMATS[kind]}', content, place)
        page.positions[tag] = (place, order + _FORMATS[kind])
    (following,) = struct.unpack_from(order + word, content, start + count * entry)
    return page, following


def check_page(page: Page, content: bytes) -> None:
    """Raise ContentError unless all strips or tiles are there; deflated ones are unpacked."""
    parts = page.parts
    if len(parts) < page.part_count():
        raise damaged('strips or tiles are missing')
    for offset, count in parts:
        if offset + count > len(content) or not count:
            raise truncated(content)
    compression = page.value(COMPRESSION, UNCOMPRESSED)
    for index, (offset, count) in enumerate(parts[: page.part_count()]):
        expected = page.part_bytes(index)
        if compression == UNCOMPRESSED and count < expected:
            raise truncated(content)
        if compression in DEFLATE:
            _check_deflated(content[offset : offset + count], expected)


def _check_deflated(part: bytes, expected: int) -> None:
    unpacker = zlib.decompressobj()
    try:
        # one byte more than expected, so that the checksum at the end is looked at
        size = len(unpacker.decompress(part, expected + 1))
    except zlib.error as error:
        raise damaged(str(error)) from None
    if size < expected or not unpacker.eof:
        raise damaged('a strip or tile holds fewer pixels than it should')


def plain_page(content: bytes, page: Page) -> bytes:
    """The same file with this page first, no orientation, and zero as black.

    So a decoder that applies these things, or only some of them, has nothing to apply.
    """
    plain = bytearray(content)
    big = struct.unpack_from(page.order + 'H', content, 2)[0] == 43
    struct.pack_into(page.order + ('Q' if big else 'I'), plain, 8 if big else 4, page.offset)
    for tag, value in ((ORIENTATION, 1), (PHOTOMETRIC, 1)):
        wanted = tag == ORIENTATION or page.value(tag, 1) == MIN_IS_WHITE
        if tag in page.positions and wanted:
            position, form = page.positions[tag]
            struct.pack_into(form, plain, position, value)
    return bytes(plain)


def unsupported(page: Page) -> ContentError | None:
    """The error of a kind of page that no decoder here reads right."""
    if page.value(PHOTOMETRIC, 1) == CMYK:
        return ContentError('has CMYK colours; save it as grey or RGB')
    bits = page.value(BITS, 1)
    if page.value(SAMPLES, 1) == 2 and bits != 8:
        return ContentError(f'is grey with a second channel of {bits} bits; save it as grey')
    return None

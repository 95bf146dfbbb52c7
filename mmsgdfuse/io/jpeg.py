"""JPEG: its marks, and whether each part of its coded data ends where it should.

libjpeg goes on after an error in coded data and writes a warning that no caller sees. A hole or a
flipped bit shifts what follows, so that the decoder has blocks left at the end of the data, or data
left after the last block. Both can be seen by handing the data over bit by bit.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, field

from PIL import Image, JpegImagePlugin

from mmsgdfuse.io.errors import ContentError, damaged, truncated

_END, _SCAN, _TABLES, _RESTART = 0xD9, 0xDA, 0xC4, 0xDD
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_MARK = re.compile(rb'\xff+([\x01-\xfe])')
# longer than what a decoder may look ahead (8 bytes); shorter than what a shift leaves, mostly
_FILLER = b'\x55' * 16
_MAX_SEGMENTS = 2000


@dataclass
class JpegWalk:
    """What was met on the way through a JPEG file.

    Args:
        width: Columns.
        height: Rows.
        frame: The mark of the frame: 0xC0 to 0xCF.
        frame_start: Where that mark stands.
        sampling: Horizontal and vertical sampling factors of each component.
        exif: The first EXIF block; empty where there is none.
        end: Where the image ends; bytes after it belong to something else.
        scans: For each scan where its header begins, and its segments of coded data between restart
            marks, each as (start, end).
        interval: Blocks between restart marks; 0 where there are none.
        zero_is_flat: Whether zero bytes may stand for blocks without detail, in all channels.
    """

    width: int = 0
    height: int = 0
    frame: int = 0
    frame_start: int = 0
    sampling: tuple[tuple[int, int], ...] = ()
    exif: bytes = b''
    end: int = 0
    scans: list[tuple[int, list[tuple[int, int]]]] = field(default_factory=list)
    interval: int = 0
    zero_is_flat: bool = True


def walk_jpeg(content: bytes) -> JpegWalk:
    """Go from mark to mark until the end of the image.

    Raises:
        ContentError: The file breaks off, or something else stands where a mark must be.
    """
    walk = JpegWalk()
    position = 2
    while True:
        match = _MARK.match(content, position)
        if match is None:
            if position + 2 > len(content):
                raise truncated(content)
            raise damaged('bytes that belong to no part of a JPEG')
        mark, start = match[1][0], match.end()
        if mark == _END:
            break
        if mark == 0xD8:
            raise damaged('a JPEG begins within a JPEG')
        if mark == 0x01 or 0xD0 <= mark <= 0xD7:
            position = start
            continue
        if start + 2 > len(content):
            raise truncated(content)
        position = start + int.from_bytes(content[start : start + 2], 'big')
        if position > len(content):
            raise truncated(content)
        body = content[start + 2 : position]
        if mark == _SCAN:
            segments = _segments(content, position, walk.interval)
            walk.scans.append((match.start(), segments))
            position = segments[-1][1]
        else:
            _note_segment(walk, mark, body, match.start())
    if not walk.scans or not walk.frame:
        raise damaged('a JPEG without an image')
    walk.end = start
    return walk


def _note_segment(walk: JpegWalk, mark: int, body: bytes, position: int) -> None:
    if mark in _FRAMES:
        if walk.frame:
            raise damaged('a JPEG with two frame headers')
        if len(body) < 9 or len(body) < 6 + 3 * body[5]:
            raise damaged('a short frame header')
        bits, walk.height, walk.width = struct.unpack_from('>BHH', body)
        if bits != 8:
            raise ContentError(f'is a JPEG of {bits} bits; save it as PNG or TIFF')
        walk.frame, walk.frame_start = mark, position
        walk.sampling = tuple(
            (body[index] >> 4, body[index] & 15) for index in range(7, 6 + 3 * body[5], 3)
        )
    elif mark == _RESTART and len(body) >= 2:
        walk.interval = int.from_bytes(body[:2], 'big')
    elif mark == 0xE1 and body.startswith(b'Exif\0\0') and not walk.exif:
        walk.exif = body
    elif mark == _TABLES:
        index = 0
        while index + 17 < len(body):
            # the first symbol of a table has the code of zeros only; its low half is the size of
            # a coefficient, and a size of 0 ends the block
            if body[index] >> 4:
                walk.zero_is_flat &= body[index + 17] & 15 == 0 and body[index + 17] != 0xF0
            index += 17 + sum(body[index + 1 : index + 17])


def _segments(content: bytes, position: int, interval: int) -> list[tuple[int, int]]:
    """The coded data from here to the next mark that is no restart mark."""
    segments = []
    for match in _MARK.finditer(content, position):
        segments.append((position, match.start()))
        mark = match[1][0]
        if not 0xD0 <= mark <= 0xD7:
            return segments
        if not interval or mark != 0xD0 + (len(segments) - 1) % 8:
            raise damaged('a restart mark out of its order')
        position = match.end()
    raise truncated(content)


def check_coded_data(content: bytes) -> None:
    """Raise ContentError where the coded data of a JPEG do not end where its blocks do.

    Baseline files are decoded once more at an eighth of their size, in grey, which takes a part
    of the time of a full decoding. Progressive ones are decoded twice.
    """
    walk = walk_jpeg(content)
    for scan, segments in walk.scans:
        # a progressive encoder joins blocks without detail to runs, except in scans of means (DC)
        first = content[scan + 5 + 2 * content[scan + 4]]
        if first == 0 if walk.frame == 0xC2 else walk.zero_is_flat:
            continue
        if any(content.find(bytes(64), start, end) >= 0 for start, end in segments):
            raise damaged('zeros in its coded data')
    if walk.frame in (0xC0, 0xC1) and len(walk.scans) == 1:
        _check_baseline(content, walk)
    elif walk.frame == 0xC2:
        _check_progressive(content, walk)


def _check_baseline(content: bytes, walk: JpegWalk) -> None:
    _, segments = walk.scans[0]
    if not walk.interval:
        _check_segment(content[: segments[0][1]])
        return
    across, down = _blocks(walk)
    if len(segments) != -(-across * down // walk.interval):
        raise damaged('restart marks are missing')
    if len(segments) > _MAX_SEGMENTS or walk.interval * 8 * walk.sampling[0][0] > 65535:
        return
    head = bytearray(content[: segments[0][0]])
    horizontal = max(sides[0] for sides in walk.sampling) * 8
    vertical = max(sides[1] for sides in walk.sampling) * 8
    if len(walk.sampling) == 1:
        horizontal = vertical = 8
    for index, (start, end) in enumerate(segments):
        blocks = min(walk.interval, across * down - index * walk.interval)
        # each segment is a JPEG of its own, one row of blocks high
        struct.pack_into('>HH', head, walk.frame_start + 5, vertical, blocks * horizontal)
        _check_segment(bytes(head) + content[start:end])


def _blocks(walk: JpegWalk) -> tuple[int, int]:
    """The number of coded units (MCU) across and down."""
    if len(walk.sampling) == 1:
        return -(-walk.width // 8), -(-walk.height // 8)
    horizontal = max(sides[0] for sides in walk.sampling) * 8
    vertical = max(sides[1] for sides in walk.sampling) * 8
    return -(-walk.width // horizontal), -(-walk.height // vertical)


def _check_segment(beginning: bytes) -> None:
    """The bytes up to the end of coded data: enough with a few more, and not without the last."""
    image = _open(beginning)
    image.draft('L', (max(image.width // 8, 1), max(image.height // 8, 1)))
    image.load_prepare()
    decoder = Image._getdecoder(image.mode, 'jpeg', image.tile[0][3], image.decoderconfig)
    try:
        decoder.setimage(image.im, (0, 0, *image.size))
        used, error = decoder.decode(beginning[:-1])
        if used < 0:
            raise damaged('data left over after its last block' if not error else 'bad coded data')
        used, error = decoder.decode(beginning[:-1][used:] + beginning[-1:] + _FILLER)
        if used >= 0 or error:
            raise damaged('blocks without data')
    finally:
        decoder.cleanup()


def _check_progressive(content: bytes, walk: JpegWalk) -> None:
    """More data after each scan must change nothing."""
    pieces, position = [], 0
    for _, segments in walk.scans:
        for _, end in segments:
            pieces += [content[position:end], _FILLER * 4]
            position = end
    pieces.append(content[position : walk.end])
    plain, padded = _open(content), _open(b''.join(pieces))
    try:
        same = plain.tobytes() == padded.tobytes()
    except OSError as error:
        raise damaged(str(error)) from None
    if not same:
        raise damaged('blocks without data')


def _open(content: bytes) -> JpegImagePlugin.JpegImageFile:
    # not by Image.open, whose limit of pixels is one for the whole process
    try:
        return JpegImagePlugin.JpegImageFile(io.BytesIO(content))
    except (OSError, SyntaxError, ValueError, struct.error, IndexError, KeyError) as error:
        raise damaged(str(error) or 'a faulty header') from None

"""Mutate small images of every format and see what reading them gives.

    python tests/fuzz/fuzz_images.py --count 1000 --seed 0

Each mutated file is read by ``read_image`` and ``probe_image`` in this process. The outcome is
``right`` (the undamaged pixels), ``refused`` (an ImageFileError that names the file), ``silent``
(other pixels, no error) or ``unnamed`` (any other error, or an answer that the two do not share).
A crash ends the process, and faulthandler says where.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.io.images import ImageFileError, probe_image, read_image, read_raw

OUTCOMES = ('right', 'refused', 'silent', 'unnamed')


def base_images() -> dict[str, bytes]:
    """Small undamaged files by the name of their kind."""
    scene = synthetic_scene(size=(96, 128))
    colour, grey = scene.vis, scene.ir
    deep = grey.astype(np.uint16) * 257

    def pillow(image: np.ndarray, form: str, **options) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, form, **options)
        return buffer.getvalue()

    def tiff(image: np.ndarray, **options) -> bytes:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, image, metadata=None, **options)
        return buffer.getvalue()

    return {
        'PNG, 8 bits': pillow(colour, 'PNG'),
        'PNG, 16 bits': pillow(deep, 'PNG'),
        'JPEG, baseline': pillow(colour, 'JPEG', quality=95),
        'JPEG, restart marks': pillow(colour, 'JPEG', quality=95, restart_marker_rows=1),
        'JPEG, progressive': pillow(colour, 'JPEG', quality=95, progressive=True),
        'WebP, lossy': pillow(colour, 'WEBP', quality=95),
        'WebP, lossless': pillow(colour, 'WEBP', lossless=True),
        'BMP': pillow(colour, 'BMP'),
        'TIFF, raw': tiff(colour),
        'TIFF, deflate': tiff(deep, compression='zlib', predictor=True),
        'TIFF, LZW': pillow(colour, 'TIFF', compression='tiff_lzw'),
        'TIFF, tiles': tiff(deep, tile=(32, 32)),
        'TIFF, big-endian': tiff(deep, byteorder='>'),
        'TIFF, float32': tiff(grey.astype(np.float32) / 8 + 273),
        'PGM': pillow(grey, 'PPM'),
    }


def flip_bytes(content: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """One to eight bytes get other values."""
    for position in rng.integers(0, len(content), rng.integers(1, 9)):
        content[position] ^= int(rng.integers(1, 256))
    return content


def edit_header(content: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """One to four bytes of the first 64."""
    for position in rng.integers(2, min(64, len(content)), rng.integers(1, 5)):
        content[position] = int(rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))]))
    return content


def punch_hole(content: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """Up to 4 KiB of zeros somewhere after the header."""
    length = int(rng.integers(64, max(65, min(4096, len(content) // 2))))
    start = int(rng.integers(min(200, len(content) - 1), len(content)))
    end = min(start + length, len(content))
    content[start:end] = bytes(end - start)
    return content


def scramble(content: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """Up to 1 KiB of random bytes somewhere after the header."""
    length = int(rng.integers(16, 1025))
    start = int(rng.integers(min(200, len(content) - 1), len(content)))
    end = min(start + length, len(content))
    content[start:end] = rng.bytes(end - start)
    return content


def truncate(content: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """The end is missing."""
    return content[: int(rng.integers(0, len(content)))]


def zero_tail(content: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """An interrupted copy into a file of the full length."""
    start = int(rng.integers(len(content) // 4, len(content)))
    content[start:] = bytes(len(content) - start)
    return content


def swap_format(content: bytearray, rng: np.random.Generator, others: list[bytes]) -> bytearray:
    """The beginning of another format."""
    other = others[int(rng.integers(len(others)))]
    length = int(rng.integers(4, 64))
    content[:length] = other[:length]
    return content


def append_bytes(content: bytearray, rng: np.random.Generator, _: list[bytes]) -> bytearray:
    """A camera's own block after the end."""
    return content + rng.bytes(int(rng.integers(1, 4096)))


MUTATIONS = (
    flip_bytes, edit_header, punch_hole, scramble, truncate, zero_tail, swap_format, append_bytes
)  # fmt: skip


def classify(path: Path, expected: np.ndarray, raw: bool) -> tuple[str, str]:
    """The outcome of reading one file, and what went wrong if it is ``unnamed``."""
    try:
        image = read_raw(path).pixels if raw else read_image(path)
    except ImageFileError as error:
        if str(path) not in str(error):
            return 'unnamed', repr(error)
        image = None
    except Exception as error:  # noqa: BLE001  (whatever it is, it is a finding)
        return 'unnamed', repr(error)
    try:
        size = probe_image(path)
    except ImageFileError as error:
        if str(path) not in str(error):
            return 'unnamed', repr(error)
        if image is not None and not raw:
            return 'unnamed', f'read, but the probe says {error}'
        size = None
    except Exception as error:  # noqa: BLE001
        return 'unnamed', repr(error)
    if image is None:
        return 'refused', ''
    if size is not None and size != image.shape[:2]:
        return 'unnamed', f'probed as {size}, read as {image.shape[:2]}'
    same = image.dtype == expected.dtype and np.array_equal(image, expected)
    return ('right' if same else 'silent'), ''


def fuzz(count: int, seed: int) -> tuple[dict[str, Counter], list[str]]:
    """Outcomes by the kind of file, and a line for each unnamed one."""
    rng = np.random.default_rng(seed)
    bases = base_images()
    outcomes: dict[str, Counter] = {kind: Counter() for kind in bases}
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        expected = {}
        for kind, content in bases.items():
            path = Path(folder) / 'sound'
            path.write_bytes(content)
            expected[kind] = read_raw(path).pixels
        for index in range(count):
            kind = list(bases)[index % len(bases)]
            mutate = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
            content = bytes(mutate(bytearray(bases[kind]), rng, list(bases.values())))
            path = Path(folder) / f'{index:05d}'
            path.write_bytes(content)
            outcome, message = classify(path, expected[kind], 'float' in kind)
            outcomes[kind][outcome] += 1
            outcomes[kind][f'{outcome}, {mutate.__name__}'] += 1
            if outcome == 'unnamed':
                findings.append(f'{index} {kind} {mutate.__name__}: {message}')
            path.unlink()
    return outcomes, findings


def table(outcomes: dict[str, Counter]) -> str:
    """Outcomes as a Markdown table; the last column says which mutations went unnoticed."""
    lines = [
        '| format | right | refused by name | silently other pixels | unnamed | by |',
        '|---|---:|---:|---:|---:|---|',
    ]
    total: Counter = Counter()
    for kind, counts in outcomes.items():
        total.update(counts)
        silent = ', '.join(
            f'{name.split(", ")[1]} {number}'
            for name, number in sorted(counts.items())
            if name.startswith('silent, ')
        )
        lines.append(_row(kind, counts, silent))
    return '\n'.join([*lines, _row('all', total, '')])


def _row(kind: str, counts: Counter, silent: str) -> str:
    return ' | '.join([f'| {kind}', *(str(counts[name]) for name in OUTCOMES), f'{silent} |'])


def main() -> None:
    """Run the fuzz and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--count', type=int, default=1000, help='mutated files (default 1000)')
    parser.add_argument('--seed', type=int, default=0, help='of the mutations (default 0)')
    arguments = parser.parse_args()
    faulthandler.enable()
    outcomes, findings = fuzz(arguments.count, arguments.seed)
    sys.stdout.write('\n'.join([table(outcomes), *findings]) + '\n')
    raise SystemExit(bool(findings))


if __name__ == '__main__':
    main()

"""Reading and writing image files: the one place that knows about formats and bit depths.

Everything above this module sees RGB arrays of shape (H, W, C) with values in 0..255.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmsgdfuse.utils.files import atomic_path

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')

_ALPHA = (
    'has an alpha channel (transparency), which fusion cannot use; '
    'flatten the image and save it as grey or RGB'
)


class ImageFileError(OSError):
    """An image file that cannot be used; the message names it and says what to do."""


def list_images(folder: str | os.PathLike, recursive: bool = False) -> list[Path]:
    """The image files of a folder, sorted by path; hidden files are left out.

    Args:
        folder: Folder to look into.
        recursive: Whether to descend into subfolders. Default False.

    Returns:
        Paths whose suffix, in any case, is one of :data:`IMAGE_SUFFIXES`. May be empty.

    Raises:
        FileNotFoundError: The folder does not exist.
        NotADirectoryError: It is a file.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f'{folder}: no such folder; check the path')
    if not folder.is_dir():
        raise NotADirectoryError(f'{folder}: is a file, not a folder of images')
    found = folder.rglob('*') if recursive else folder.iterdir()
    return sorted(
        path
        for path in found
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith('.')
        and path.is_file()
    )


def read_samples(path: str | os.PathLike) -> np.ndarray:
    """Read an image as it is stored: no scaling, no rotation by EXIF, no gamma.

    Args:
        path: PNG, JPEG, BMP, TIFF or WebP file, grey or colour.

    Returns:
        Array (H, W, 1) or (H, W, 3), RGB, of any real dtype.

    Raises:
        ImageFileError: The file is missing, empty, truncated, no image, or has an alpha channel.
    """
    path = Path(path)
    with _content(path) as content:
        _check_complete(path, content)
        data = np.frombuffer(content, dtype=np.uint8).copy()
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ImageFileError(
            f'{path}: damaged, or not one of {_suffixes()}; copy or download it again'
        )
    if image.ndim == 2:
        return image[..., None]
    if image.shape[2] == 3:
        return np.ascontiguousarray(image[..., ::-1])
    raise ImageFileError(f'{path}: {_ALPHA}')


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read a picture of 8 or 16 bits as it is stored, see :func:`read_samples`.

    Returns:
        uint8 or uint16 array (H, W, 1) or (H, W, 3), RGB.

    Raises:
        ImageFileError: See :func:`read_samples`; also for samples that are neither 8 nor 16 bits.
    """
    image = read_samples(path)
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageFileError(
            f'{path}: has {image.dtype} samples; save it with 8 or 16 bits per channel'
        )
    return image


def read_visible(path: str | os.PathLike) -> np.ndarray:
    """Read a visible image; grey ones get three equal channels.

    Args:
        path: Image file, see :func:`read_image`.

    Returns:
        (H, W, 3) RGB: uint8, or float32 in 0..255 if the file has 16 bits; see
        :class:`mmsgdfuse.io.infrared.VisibleReader`.

    Raises:
        ImageFileError: See :func:`read_image`.
    """
    from mmsgdfuse.io.infrared import VisibleReader  # stands above this module

    return VisibleReader().read(path).pixels


def read_infrared(
    path: str | os.PathLike,
    scaling: str = 'auto',
    percentiles: tuple[float, float] = (0.5, 99.5),
) -> np.ndarray:
    """Read an infrared image; false colours are turned into grey.

    Args:
        path: Image file, see :class:`mmsgdfuse.io.infrared.InfraredReader`.
        scaling: What becomes of more than 8 bits: 'auto' (default), 'full', 'minmax' or
            'percentile'; see :func:`mmsgdfuse.io.thermal_range.find_range`.
        percentiles: Lower and upper percentile in 0..100 for 'percentile'.

    Returns:
        (H, W, 1): uint8, or float32 in 0..255 if the file has more than 8 bits.

    Raises:
        ImageFileError: The file cannot be read, or its values have no range by themselves.
        ValueError: ``scaling`` is none of these, or the percentiles are not increasing.
    """
    from mmsgdfuse.io.infrared import InfraredReader  # stands above this module

    return InfraredReader(scaling, percentiles).read(path).pixels


def read_labels(path: str | os.PathLike) -> np.ndarray:
    """Read a map of class ids.

    Args:
        path: 8-bit grey image file of a lossless format.

    Returns:
        uint8 (H, W, 1).

    Raises:
        ImageFileError: See :func:`read_image`; also for colour and 16 bits.
    """
    labels = read_image(path)
    if labels.shape[2] != 1 or labels.dtype != np.uint8:
        raise ImageFileError(
            f'{path}: a label map must be 8-bit grey with the class id as grey level, found '
            f'{labels.dtype} with {labels.shape[2]} channels; save ids, not their colours'
        )
    return labels


def probe_image(path: str | os.PathLike) -> tuple[int, int]:
    """Size of an image, having made sure that the file is complete; only TIFF is decoded.

    Args:
        path: Image file, see :func:`read_image`.

    Returns:
        Height and width in pixels.

    Raises:
        ImageFileError: The file is missing, empty, truncated, no image or has alpha.
    """
    path = Path(path)
    with _content(path) as content:
        _check_complete(path, content)
    with Image.open(path) as header:
        if header.format == 'TIFF':  # may keep its parts in any order
            return read_samples(path).shape[:2]
        if 'A' in header.getbands() or 'transparency' in header.info:
            raise ImageFileError(f'{path}: {_ALPHA}')
        return header.height, header.width


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write an image so that the file is either whole or not there; JPEG and WebP lose detail.

    Args:
        path: File to write; the suffix gives the format, and missing folders are made.
        image: uint8 array (H, W), (H, W, 1) or (H, W, 3), RGB.

    Raises:
        TypeError: ``image`` is not such an array.
        ValueError: The suffix is not one of :data:`IMAGE_SUFFIXES`.
    """
    path = Path(path)
    image = np.asarray(image)
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or image.shape[2:] not in ((), (1,), (3,))
    ):
        raise TypeError(
            'image must be uint8 of shape (H, W), (H, W, 1) or (H, W, 3), '
            f'found {image.dtype} {image.shape}'
        )
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f'{path}: the suffix must be one of {_suffixes()}')
    if image.shape[2:] == (3,):
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(path.suffix.lower(), image)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _suffixes() -> str:
    return ', '.join(IMAGE_SUFFIXES)


@contextmanager
def _content(path: Path) -> Iterator[mmap.mmap]:
    """The bytes of a file; pages that are not looked at are not read from disk."""
    try:
        with path.open('rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            yield view
    except FileNotFoundError:
        raise ImageFileError(f'{path}: no such file; check the path') from None
    except IsADirectoryError:
        raise ImageFileError(f'{path}: is a folder, not an image file') from None
    except ValueError:  # mmap's word for a file of no bytes
        raise ImageFileError(f'{path}: is empty (0 bytes); copy or download it again') from None


def _check_complete(path: Path, content: mmap.mmap) -> None:
    """Raise ImageFileError unless the file begins as an image and goes on to its own end.

    Decoders differ in this: some return the rest of a truncated image as grey or black.
    """
    try:
        with Image.open(path) as header:
            end = _expected_end(header, content)
    except (OSError, SyntaxError, ValueError):  # what Pillow's parsers raise
        raise ImageFileError(
            f'{path}: is not an image, or damaged from its beginning; it should be one of '
            f'{_suffixes()}. Copy or download it again'
        ) from None
    if end is None or end > len(content):
        raise ImageFileError(
            f'{path}: is truncated ({len(content)} bytes are not all of it); '
            'copy or download it again'
        )


def _expected_end(header: Image.Image, content: mmap.mmap) -> int | None:
    """Where the file must end at the earliest; None where it breaks off before that."""
    if header.format in ('JPEG', 'MPO'):
        end = content.rfind(b'\xff\xd9')
        # the end of an embedded thumbnail comes before the scan of the image itself
        return None if end < 0 or content.find(b'\xff\xda', end) >= 0 else end + 2
    if header.format == 'PNG':
        end = content.rfind(b'IEND')
        return None if end < 0 else end + 8
    if header.format == 'WEBP':
        return 8 + int.from_bytes(content[4:8], 'little')
    if header.format == 'BMP':
        pixels = int.from_bytes(content[10:14], 'little')
        stored = int.from_bytes(content[34:38], 'little')  # 0 is allowed if not compressed
        row = (header.width * int.from_bytes(content[28:30], 'little') + 31) // 32 * 4
        return pixels + (stored or row * header.height)
    return 0  # TIFF: libtiff itself refuses to read beyond the end

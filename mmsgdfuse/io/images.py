"""Reading image files: the one place above which nobody knows of formats and bit depths.

Everything above this module sees RGB arrays of shape (H, W, C) with values in 0..255, turned as the
file's orientation says.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmsgdfuse.io.decoding import decode
from mmsgdfuse.io.errors import ContentError, ImageFileError
from mmsgdfuse.io.headers import Header, parse_header
from mmsgdfuse.io.limits import check_size
from mmsgdfuse.io.orientation import apply_orientation, oriented_size
from mmsgdfuse.io.suffixes import IMAGE_SUFFIXES
from mmsgdfuse.io.thermal_range import SCALINGS as INFRARED_SCALINGS
from mmsgdfuse.io.thermal_range import check_scaling
from mmsgdfuse.io.writing import write_image

__all__ = [
    'IMAGE_SUFFIXES',
    'INFRARED_SCALINGS',
    'ImageFile',
    'ImageFileError',
    'RawImage',
    'check_scaling',
    'list_images',
    'load_image',
    'probe_image',
    'read_image',
    'read_infrared',
    'read_labels',
    'read_raw',
    'read_visible',
    'split_rgbt',
    'without_alpha',
    'write_image',
]

_ALPHA = (
    'has an alpha channel (transparency), which fusion cannot use; '
    'flatten the image and save it as grey or RGB. If the fourth channel is a thermal image, as in '
    'MFNet, do not flatten: mmsgdfuse.io.images.split_rgbt gives the visible and the thermal image'
)


@dataclass(frozen=True)
class RawImage:
    """An image as its file stores it, turned by its orientation.

    Args:
        path: The file.
        pixels: (H, W, 1) or (H, W, 3), RGB, of any real dtype.
        format: ``'BMP'``, ``'JPEG'``, ``'PNG'``, ``'PNM'``, ``'TIFF'`` or ``'WEBP'``.
        alpha: (H, W) of the same dtype, or None where there is none.
        maximum: The value that the file declares as its highest (PNM), or None.
        orientation: EXIF's number, 1 to 8, which has been applied.
        page: The page that was read, from 0.
        pages: Pictures in the file.
        notes: What a caller should tell: an orientation that was applied, pages left out.
    """

    path: Path
    pixels: np.ndarray
    format: str
    alpha: np.ndarray | None = None
    maximum: int | None = None
    orientation: int = 1
    page: int = 0
    pages: int = 1
    notes: tuple[str, ...] = ()

    @property
    def orientation_applied(self) -> bool:
        """Whether the picture was turned or mirrored."""
        return self.orientation != 1


@dataclass(frozen=True)
class ImageFile:
    """A picture of 8 or 16 bits without transparency, and what there is to say of it.

    Args:
        path: The file.
        pixels: uint8 or uint16 (H, W, 1) or (H, W, 3), RGB.
        format: See :class:`RawImage`.
        orientation: See :class:`RawImage`.
        page: See :class:`RawImage`.
        pages: See :class:`RawImage`.
        notes: See :class:`RawImage`; also an opaque alpha channel that was dropped.
    """

    path: Path
    pixels: np.ndarray
    format: str
    orientation: int = 1
    page: int = 0
    pages: int = 1
    notes: tuple[str, ...] = ()

    @property
    def orientation_applied(self) -> bool:
        """Whether the picture was turned or mirrored."""
        return self.orientation != 1


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


def read_raw(
    path: str | os.PathLike, page: int | None = None, max_pixels: int | None = None
) -> RawImage:
    """Read an image with whatever samples it has: for counts and temperatures.

    Args:
        path: PNG, JPEG, BMP, TIFF, WebP, PGM or PPM file.
        page: Page of a TIFF file, from 0. Default None: the largest, the first of equal ones.
        max_pixels: The most pixels that the file may declare. Default None: the environment
            variable ``MMSGDFUSE_MAX_PIXELS``, else 512,000,000.

    Returns:
        The image; its orientation is applied, its alpha channel is kept apart.

    Raises:
        ImageFileError: The file is missing, unreadable, empty, truncated, damaged, no image,
            larger than the limit, or has no such page.
        ValueError: The limit is not a positive integer.
    """
    path = Path(path)
    content = _read_content(path)
    try:
        header = parse_header(content, page)
        check_size(header.width, header.height, max_pixels)
        pixels, alpha, maximum = decode(content, header)
    except ContentError as error:
        raise ImageFileError(f'{path}: {error}') from None
    except MemoryError:
        raise ImageFileError(
            f'{path}: there is not enough memory for it; close other programs, or make it smaller'
        ) from None
    number = header.places['page'][0] if header.format == 'TIFF' else 0
    return RawImage(
        path=path,
        pixels=apply_orientation(pixels, header.orientation),
        format=header.format,
        alpha=None if alpha is None else apply_orientation(alpha, header.orientation),
        maximum=maximum,
        orientation=header.orientation,
        page=number,
        pages=header.frames,
        notes=_notes(header, page, number),
    )


def load_image(
    path: str | os.PathLike, page: int | None = None, max_pixels: int | None = None
) -> ImageFile:
    """Read a picture, and say what was done to it.

    Args:
        path: PNG, JPEG, BMP, TIFF, WebP, PGM or PPM file of 8 or 16 bits, grey or colour.
        page: See :func:`read_raw`. Default None.
        max_pixels: See :func:`read_raw`. Default None.

    Returns:
        The picture. A fully opaque alpha channel is dropped. PGM and PPM whose highest value is
        another than 255 or 65535 are scaled to it.

    Raises:
        ImageFileError: See :func:`read_raw`; also for transparent pixels, and for samples that are
            neither 8 nor 16 bits.
    """
    raw = read_raw(path, page, max_pixels)
    if raw.pixels.dtype not in (np.uint8, np.uint16):
        raise ImageFileError(
            f'{raw.path}: has {raw.pixels.dtype} samples; save it with 8 or 16 bits per channel'
        )
    image = without_alpha(raw)
    if image.pixels.dtype == np.uint8:
        return image
    return replace(image, pixels=_scaled_to_depth(image.pixels, raw.maximum))


def without_alpha(raw: RawImage) -> ImageFile:
    """An image whose alpha channel, where it has one, says nothing.

    Args:
        raw: Image with samples of any dtype.

    Returns:
        The same pixels; of 8 bits they are scaled to the highest value that the file declares.

    Raises:
        ImageFileError: Pixels are transparent.
    """
    pixels, notes = raw.pixels, raw.notes
    if raw.alpha is not None:
        integer = np.issubdtype(raw.alpha.dtype, np.integer)
        if (raw.alpha != (np.iinfo(raw.alpha.dtype).max if integer else 1)).any():
            raise ImageFileError(f'{raw.path}: {_ALPHA}')
        notes = (*notes, 'an alpha channel that is opaque everywhere was dropped')
    if pixels.dtype == np.uint8:
        pixels = _scaled_to_depth(pixels, raw.maximum)
    return ImageFile(raw.path, pixels, raw.format, raw.orientation, raw.page, raw.pages, notes)


def read_image(
    path: str | os.PathLike, page: int | None = None, max_pixels: int | None = None
) -> np.ndarray:
    """Read an image as it is meant to be seen: turned by its orientation; no scaling, no gamma.

    Args:
        path: See :func:`load_image`.
        page: See :func:`read_raw`. Default None.
        max_pixels: See :func:`read_raw`. Default None.

    Returns:
        uint8 or uint16 array (H, W, 1) or (H, W, 3), RGB.

    Raises:
        ImageFileError: See :func:`load_image`.
    """
    return load_image(path, page, max_pixels).pixels


def split_rgbt(
    path: str | os.PathLike, max_pixels: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split a four-channel file, RGB and thermal in the place of alpha, as MFNet has them.

    Args:
        path: Image file of four channels.
        max_pixels: See :func:`read_raw`. Default None.

    Returns:
        The visible image (H, W, 3) and the infrared image (H, W, 1), uint8 or uint16.

    Raises:
        ImageFileError: See :func:`read_raw`; also where there are not four channels.
    """
    raw = read_raw(path, None, max_pixels)
    if raw.alpha is None or raw.pixels.shape[2] != 3:
        raise ImageFileError(
            f'{raw.path}: has no fourth channel to split off; give infrared and visible files'
        )
    return raw.pixels, raw.alpha[..., None]


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


def probe_image(path: str | os.PathLike, max_pixels: int | None = None) -> tuple[int, int]:
    """Size of an image, having made sure that the file is complete.

    Only TIFF, and files that may have transparent pixels, are decoded; so damage within the coded
    data of JPEG and WebP is found by :func:`read_image` alone.

    Args:
        path: Image file, see :func:`load_image`.
        max_pixels: See :func:`read_raw`. Default None.

    Returns:
        Height and width in pixels, as :func:`read_image` gives them.

    Raises:
        ImageFileError: The file is missing, empty, truncated, no image, has transparent pixels, or
            is larger than the limit.
    """
    path = Path(path)
    content = _read_content(path)
    try:
        header = parse_header(content)
        check_size(header.width, header.height, max_pixels)
    except ContentError as error:
        raise ImageFileError(f'{path}: {error}') from None
    if header.format == 'TIFF' or header.alpha:
        return load_image(path, max_pixels=max_pixels).pixels.shape[:2]
    return oriented_size(header.height, header.width, header.orientation)


def _scaled_to_depth(pixels: np.ndarray, maximum: int | None) -> np.ndarray:
    full = np.iinfo(pixels.dtype).max
    if maximum in (None, full):
        return pixels
    return np.rint(pixels.astype(np.float32) * np.float32(full / maximum)).astype(pixels.dtype)


def _read_content(path: Path) -> bytes:
    """All bytes of a file. Never a memory map: a file that shrinks would end the process."""
    try:
        # a pipe or a device may never end
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise ImageFileError(f'{path}: is no regular file; save the image to one')
        content = path.read_bytes()
    except FileNotFoundError:
        raise ImageFileError(f'{path}: no such file; check the path') from None
    except IsADirectoryError:
        raise ImageFileError(f'{path}: is a folder, not an image file') from None
    except PermissionError:
        raise ImageFileError(f'{path}: may not be read; check its permissions') from None
    except ImageFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise ImageFileError(f'{path}: cannot be read ({error}); check the path') from None
    if not content:
        raise ImageFileError(f'{path}: is empty (0 bytes); copy or download it again')
    return content


def _notes(header: Header, asked: int | None, page: int) -> tuple[str, ...]:
    notes = []
    if header.orientation != 1:
        notes.append(f'turned by its orientation tag ({header.orientation})')
    if header.frames > 1 and asked is None:
        which = 'the largest' if header.format == 'TIFF' else 'the first'
        notes.append(
            f'{header.frames} pictures in the file, of which {which} (page {page}) is read'
        )
    return tuple(notes)

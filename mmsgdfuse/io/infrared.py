"""The one door through which infrared and visible images come in, from files and from arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from mmsgdfuse.io import palettes
from mmsgdfuse.io.errors import ImageFileError
from mmsgdfuse.io.flir import RadiometricError, read_radiometric
from mmsgdfuse.io.images import list_images, load_image, probe_image, read_raw, without_alpha
from mmsgdfuse.io.polarity import POLARITIES, looks_black_hot
from mmsgdfuse.io.raw_planes import RawPlane
from mmsgdfuse.io.thermal_range import (
    AS_STORED,
    CELSIUS,
    COUNTS,
    KELVIN,
    RangeError,
    RangeMapping,
    check_scaling,
    find_range,
    given_range,
    guess_unit,
    join_ranges,
    picture_depth,
    used_range,
)
from mmsgdfuse.utils.errors import InputError

SCOPES = ('image', 'folder')
AUTO, LUMA = 'auto', 'luma'

# grey levels in floating point
_LEVELS = RangeMapping(0.0, 255.0, how='full')

_JPEG = ('.jpg', '.jpeg')


class FalseColourError(ImageFileError):
    """An infrared image in colours that no known palette explains."""


class LoadedImage(NamedTuple):
    """An image as the pipeline takes it, and how it came about.

    Attributes:
        pixels: (H, W, 1) infrared or (H, W, 3) visible RGB: uint8, or float32 in 0..255.
        mapping: How the values became grey levels.
        notices: Sentences that a user should read; they do not name the file.
    """

    pixels: np.ndarray
    mapping: RangeMapping
    notices: tuple[str, ...] = ()


class _Plane(NamedTuple):
    """Infrared values before the range: (H, W), any real dtype."""

    values: np.ndarray
    unit: str | None = None
    palette: str = ''
    notices: tuple[str, ...] = ()


@dataclass
class InfraredReader:
    """Reads infrared images of every kind that cameras write as grey levels.

    Args:
        scaling: How more than 8 bits become 0..255: 'auto', 'full', 'minmax' or 'percentile', see
            :func:`~mmsgdfuse.io.thermal_range.find_range`. Images of 8 bits are never changed.
            Default 'auto'.
        percentiles: Lower and upper percentile in 0..100 for 'percentile'. Default (0.5, 99.5).
        range: Values that become 0 and 255 in place of ``scaling``: counts, or degrees Celsius for
            a radiometric JPEG; kelvin or degrees for floating point, as the file has them.
            Default None.
        scope: What one range is for: 'image', or 'folder': all images of the file's folder with
            its suffix, so that the frames of a sequence do not flicker. Default 'image'.
        polarity: 'white-hot', 'black-hot' (levels are turned round), or 'auto', which turns a
            picture that is clearly black-hot. Default 'white-hot', with a notice for one that
            looks black-hot.
        palette: What becomes of false colours: 'auto' finds the palette or refuses the image,
            'luma' takes the luma of whatever colours there are, a palette's name
            (:func:`~mmsgdfuse.io.palettes.palette_names`) or the path of a picture of the
            camera's temperature scale says which it is. Default 'auto'.
        raw: Layout of files without header, such as '640x512,uint16le'. Default None.

    Raises:
        ValueError: An argument is not one of those above.
    """

    scaling: str = AUTO
    percentiles: tuple[float, float] = (0.5, 99.5)
    range: tuple[float, float] | None = None
    scope: str = 'image'
    polarity: str = 'white-hot'
    palette: str | os.PathLike = AUTO
    raw: str | RawPlane | None = None

    def __post_init__(self) -> None:
        check_scaling(self.scaling, self.percentiles)
        self._given = None if self.range is None else given_range(*self.range)
        for name, value, allowed in (
            ('scope', self.scope, SCOPES),
            ('polarity', self.polarity, POLARITIES),
        ):
            if value not in allowed:
                raise InputError(f'{name} must be one of {allowed}, found {value!r}')
        self._layout = RawPlane.parse(self.raw) if isinstance(self.raw, str) else self.raw
        self._table: np.ndarray | None = None
        if self.palette not in (AUTO, LUMA):
            self._table = (
                palettes.read_palette_strip(self.palette)
                if Path(self.palette).is_file()
                else palettes.palette_table(str(self.palette))
            )
        self._common: dict[Path, RangeMapping] = {}
        self._fitted: RangeMapping | None = None

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any] | InfraredReader | None, **defaults: Any
    ) -> InfraredReader:
        """A reader from a config's dict; ``defaults`` count where the dict is silent.

        Raises:
            ValueError: The dict has other keys than the arguments of this class.
        """
        if isinstance(options, InfraredReader):
            return options
        options = {**defaults, **(options or {})}
        known = list(cls.__dataclass_fields__)
        unknown = set(options) - set(known)
        if unknown:
            raise InputError(f'reading infrared has the options {known}, found {sorted(unknown)}')
        return cls(**options)

    def __repr__(self) -> str:
        changed = ', '.join(
            f'{name}={getattr(self, name)!r}'
            for name, field in self.__dataclass_fields__.items()
            if getattr(self, name) != field.default
        )
        return f'{type(self).__name__}({changed})'

    def read(self, path: str | os.PathLike) -> LoadedImage:
        """Read a file.

        Args:
            path: Image file of 8 to 32 bits, grey or in false colours, integer or floating point;
                radiometric JPEG by FLIR; or a file of raw values where ``raw`` is given.

        Raises:
            FalseColourError: Its colours are those of no known palette.
            ImageFileError: It cannot be read, or its values have no range by themselves.
        """
        path = Path(path)
        try:
            plane = self._load(path)
            common = self._folder_range(path, plane) if self.scope == 'folder' else None
            return self._finish(plane, common)
        except palettes.UnknownPaletteError as error:
            raise FalseColourError(f'{path}: {error}') from None
        except (RadiometricError, RangeError) as error:
            raise ImageFileError(f'{path}: {error}') from None

    def from_array(
        self, values: np.ndarray, unit: str | None = None, levels: bool = False
    ) -> LoadedImage:
        """Take an array as if it came from a file.

        Args:
            values: (H, W), (H, W, 1) or RGB (H, W, 3) of any real dtype.
            unit: 'counts', 'celsius' or 'kelvin' where it is known.
            levels: Whether the values are grey levels in 0..255 already. Default False.

        Raises:
            FalseColourError: Its colours are those of no known palette.
            ValueError: Its values have no range by themselves.
        """
        try:
            plane = self._plane(values)
            return self._finish(plane._replace(unit=unit), _LEVELS if levels else None)
        except palettes.UnknownPaletteError as error:
            raise FalseColourError(f'ir: {error}') from None

    def fit(self, paths: Iterable[str | os.PathLike]) -> RangeMapping | None:
        """Find one range for the files of a sequence, which later files are read with.

        It replaces that of the folder where ``scope`` is 'folder'.

        Args:
            paths: The infrared files; those that cannot be read are left out.

        Returns:
            The range; None where every file has 8 bits or none can be read.
        """
        self._fitted = self._shared(paths)
        return self._fitted

    def _shared(self, paths: Iterable[str | os.PathLike]) -> RangeMapping | None:
        mappings = []
        for path in paths:
            try:
                plane = self._load(Path(path))
                mappings.append(self._mapping(plane))
            except (OSError, ValueError):  # named when it is this file's turn
                continue
        changed = [mapping for mapping in mappings if mapping.how != AS_STORED.how]
        if not changed:
            return None
        full = [mapping for mapping in changed if mapping.how == 'full']
        return full[0] if full else join_ranges(changed)

    def _folder_range(self, path: Path, plane: _Plane) -> RangeMapping | None:
        if plane.values.dtype == np.uint8 or self._given is not None:
            return None
        folder = path.parent
        if self._fitted is not None:
            return self._fitted
        if folder not in self._common:
            files = sorted(folder.glob(f'*{path.suffix}')) if self._layout else list_images(folder)
            found = self._shared(file for file in files if file.suffix == path.suffix)
            self._common[folder] = found or self._mapping(plane)
        return self._common[folder]

    def _load(self, path: Path) -> _Plane:
        if self._layout is not None:
            try:
                return self._plane(self._layout.read(path))
            except (OSError, ValueError) as error:
                raise ImageFileError(str(error)) from None
        if path.suffix.lower() in _JPEG and path.is_file():
            frame = read_radiometric(path.read_bytes())
            if frame is not None:
                unit = COUNTS if frame.calibration is None else CELSIUS
                found = 'counts, for it holds no calibration' if unit == COUNTS else 'degrees'
                notice = f'the thermal frame inside of the JPEG was read, in {found}'
                return _Plane(frame.values(), unit, notices=(notice,))
        raw = read_raw(path)
        image = without_alpha(raw)
        plane = self._plane(image.pixels)
        return plane._replace(notices=(*image.notes, *plane.notices))

    def _plane(self, image: np.ndarray) -> _Plane:
        if image.ndim == 2 or image.shape[2] == 1:
            return _Plane(image.reshape(image.shape[:2]))
        if not _differing_channels(image):
            return _Plane(np.ascontiguousarray(image[..., 0]))
        shallow = image
        if image.dtype != np.uint8:
            floating = np.issubdtype(image.dtype, np.floating)
            mapping = _LEVELS if floating else find_range(image.reshape(len(image), -1), 'full')
            shallow = np.rint(mapping.apply(image)).astype(np.uint8)
        if self.palette == LUMA or not palettes.has_colour(shallow):
            share = palettes.coloured_share(shallow)
            notices: tuple[str, ...] = ()
            if self.palette != LUMA and share > 0:
                overlay = 'perhaps an overlay (scale, logo, crosshair), and count as heat'
                notices = (f'{share:.2%} of the pixels are coloured, {overlay}',)
            if np.issubdtype(image.dtype, np.floating):
                image = image.astype(np.float32)
            return _Plane(
                cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), None, '', notices
            )
        return self._without_colours(np.ascontiguousarray(shallow))

    def _without_colours(self, image: np.ndarray) -> _Plane:
        if self._table is not None:
            heat = palettes.invert_palette(image, self._table)
            return _Plane(heat[..., 0], palette=str(self.palette))
        remedy = (
            "save it in grey (white-hot), name its palette or give a picture of the camera's "
            "temperature scale as palette, or take the luma for heat with palette 'luma'"
        )
        try:
            match = palettes.match_palette(image)
        except palettes.UnknownPaletteError as error:
            raise palettes.UnknownPaletteError(f'{error}; {remedy}') from None
        if match is None:
            raise palettes.UnknownPaletteError(
                f'is an infrared image in colours of no known palette; {remedy}'
            )
        heat = palettes.invert_palette(image, palettes.palette_table(match.name))
        notice = f'false colours of palette {match.name!r} were turned into grey'
        return _Plane(heat[..., 0], palette=match.name, notices=(notice,))

    def _mapping(self, plane: _Plane) -> RangeMapping:
        """The range of one plane, in which the polarity is not seen to."""
        if plane.values.dtype == np.uint8:
            return replace(AS_STORED, palette=plane.palette)
        if self._given is not None:
            unit = plane.unit or guess_unit(plane.values.dtype, *used_range(plane.values))
            return replace(self._given, unit=unit, palette=plane.palette)
        found = find_range(plane.values, self.scaling, self.percentiles, plane.unit)
        return replace(found, palette=plane.palette)

    def _finish(self, plane: _Plane, common: RangeMapping | None = None) -> LoadedImage:
        notices = list(plane.notices)
        mapping = common or self._mapping(plane)
        if self._given is not None and plane.values.dtype == np.uint8:
            notices.append('an image of 8 bits stays as it is; the given range was not used')
        levels = mapping.apply(plane.values)
        if self.polarity == 'black-hot':
            mapping = replace(mapping, polarity='black-hot')
        elif looks_black_hot(levels):
            if self.polarity == AUTO:
                mapping = replace(mapping, polarity='black-hot')
                notices.append('looks black-hot and was turned round')
            else:
                notices.append(
                    'looks black-hot (hot is dark), but is taken for white-hot; set the polarity '
                    "to 'black-hot' if it is not"
                )
        if mapping.polarity == 'black-hot':
            levels = mapping.apply(plane.values)
        if levels.min() == levels.max():
            notices.append('is constant: every pixel has the same value')
        return LoadedImage(levels[..., None], mapping, tuple(notices))


@dataclass
class VisibleReader:
    """Reads visible images as RGB.

    Args:
        bits: Bits per sample that files of 16 bits use, 8 to 16, for cameras that leave the upper
            bits empty. Default None: the fewest of 8, 10, 12, 14 and 16 that hold the image's
            greatest value, with a notice if that is not 16.

    Raises:
        ValueError: ``bits`` is none of these.
    """

    bits: int | None = None

    def __post_init__(self) -> None:
        if self.bits is not None and not 8 <= self.bits <= 16:
            raise InputError(f'bits must be within 8..16, found {self.bits}')

    def read(self, path: str | os.PathLike) -> LoadedImage:
        """Read a file of 8 or 16 bits; grey ones get three equal channels.

        Raises:
            ImageFileError: It cannot be read, or holds something other than 8 or 16 bits.
        """
        image = load_image(path)
        loaded = self.from_array(image.pixels)
        return loaded._replace(notices=(*image.notes, *loaded.notices))

    def from_array(self, image: np.ndarray) -> LoadedImage:
        """Take uint8 or uint16 (H, W), (H, W, 1) or RGB (H, W, 3)."""
        if image.ndim == 2:
            image = image[..., None]
        if image.shape[2] == 1:
            image = np.repeat(image, 3, axis=2)
        if image.dtype == np.uint8:
            return LoadedImage(image, AS_STORED)
        bits = self.bits or picture_depth(image)
        mapping = RangeMapping(0.0, float((1 << bits) - 1), how='full')
        notices: tuple[str, ...] = ()
        if self.bits is None and bits < 16:
            dark = 'state its bits if it is a dark picture of more'
            notices = (f'uses {bits} of its 16 bits and was read so; {dark}',)
        return LoadedImage(mapping.apply(image), mapping, notices)


def infrared_size(path: str | os.PathLike) -> tuple[int, int]:
    """Height and width of an infrared file, which is checked as by :func:`probe_image`.

    The thermal frame inside of a radiometric JPEG may have another size than its preview.

    Raises:
        ImageFileError: See :func:`~mmsgdfuse.io.images.probe_image`.
    """
    size = probe_image(path)
    if Path(path).suffix.lower() not in _JPEG:
        return size
    try:
        frame = read_radiometric(Path(path).read_bytes())
    except RadiometricError as error:
        raise ImageFileError(f'{path}: {error}') from None
    return size if frame is None else frame.counts.shape[:2]


def is_grey(image: np.ndarray) -> bool:
    """Whether an image (H, W, 1) or RGB (H, W, 3) in 0..255 has no colour."""
    if image.ndim == 2 or image.shape[2] == 1:
        return True
    return not palettes.has_colour(np.clip(np.rint(image), 0, 255).astype(np.uint8))


def explain_swap(error: FalseColourError, vis: np.ndarray, name: str) -> ImageFileError:
    """The error of a pair whose infrared image has natural colours: swapped, if vis is grey.

    Args:
        error: What reading the infrared image gave.
        vis: The visible image, (H, W, 3) in 0..255.
        name: What to call it.
    """
    if not is_grey(vis):
        return error
    return ImageFileError(
        f'{str(error).split(": ")[0]}: is an infrared image in natural colours beside a grey '
        f'visible image ({name}); are the two swapped? Exchange them, or take its luma with '
        "palette 'luma'"
    )


def _differing_channels(image: np.ndarray) -> bool:
    return bool((image[..., :1] != image[..., 1:]).any())


__all__ = [
    'CELSIUS', 'COUNTS', 'KELVIN', 'LUMA', 'SCOPES', 'FalseColourError', 'InfraredReader',
    'LoadedImage', 'VisibleReader', 'explain_swap', 'infrared_size', 'is_grey',
]  # fmt: skip

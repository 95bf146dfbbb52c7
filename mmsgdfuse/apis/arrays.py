"""What callers hand over, in the one form that the pipeline works on."""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from mmsgdfuse.io import InfraredReader, LoadedImage, RangeMapping, VisibleReader
from mmsgdfuse.io.images import read_labels
from mmsgdfuse.io.masks import mask_levels
from mmsgdfuse.io.thermal_range import AS_STORED
from mmsgdfuse.utils.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from torch import Tensor

TAKEN = (
    'taken are: a path; a numpy array (H, W), (H, W, 1) or RGB (H, W, 3), uint8, uint16, or '
    'floating point in 0..255 or with a stated value_range; a PIL image; a torch tensor of these '
    'types, (H, W), (C, H, W) or (H, W, C)'
)

# a picture in 0..255 that ends below is more likely temperatures
_DARK = 64.0


def is_path(source: Any) -> bool:
    """Whether a source is the path of a file."""
    return isinstance(source, str | os.PathLike)


def load_infrared(
    source: Any, reader: InfraredReader, value_range: tuple[float, float] | None = None
) -> LoadedImage:
    """An infrared image (H, W, 1) from whatever a caller may give.

    Args:
        source: See :data:`TAKEN`; int16 as well.
        reader: What reads files and maps more than 8 bits.
        value_range: Values of a floating-point array that mean 0 and 255.

    Raises:
        ImageFileError: A file cannot be read.
        TypeError: It is of another type or dtype.
        ValueError: Its shape or its values are others.
    """
    if is_path(source):
        return reader.read(source)
    image = as_array('ir', source)
    if np.issubdtype(image.dtype, np.floating):
        if value_range is None and reader.range is not None:
            return reader.from_array(image)
        image, mapping = _float_levels('ir', image, value_range)
        loaded = reader.from_array(image, levels=True)
        found = replace(loaded.mapping, low=mapping.low, high=mapping.high, how=mapping.how)
        return LoadedImage(loaded.pixels, found, loaded.notices)
    if image.dtype not in (np.uint8, np.uint16, np.int16):
        raise InputTypeError(f'ir must be of another type than {image.dtype}; {TAKEN}')
    return reader.from_array(image)


def load_visible(
    source: Any, reader: VisibleReader, value_range: tuple[float, float] | None = None
) -> LoadedImage:
    """A visible image (H, W, 3) from whatever a caller may give; see :func:`load_infrared`."""
    if is_path(source):
        return reader.read(source)
    image = as_array('vis', source)
    if np.issubdtype(image.dtype, np.floating):
        image, mapping = _float_levels('vis', image, value_range)
        return LoadedImage(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image, mapping)
    if image.dtype not in (np.uint8, np.uint16):
        raise InputTypeError(f'vis must be of another type than {image.dtype}; {TAKEN}')
    return reader.from_array(image)


def load_mask(name: str, source: Any, shape: tuple[int, int]) -> np.ndarray:
    """A mask as float32 (H, W, 1) in [0, 1].

    Args:
        name: What to call an array in an error message.
        source: Path of an 8-bit grey file, or array (H, W) or (H, W, 1), PIL image or torch tensor
            (H, W), (1, H, W) or (H, W, 1): bool, floating point in [0, 1], or uint8 in 0..255.
            Of uint8 with the levels 0 and 1 alone, 1 is all of it, with a warning.
        shape: (H, W) that it must have.

    Raises:
        ImageFileError: A file cannot be read.
        TypeError: The dtype is another one.
        ValueError: The shape or the range is.
    """
    if is_path(source):
        mask, name = read_labels(source), os.fspath(source)
    else:
        mask = as_array(name, source)
    if mask.shape != (*shape, 1):
        raise InputError(f'{name} must have the size of the pair, {shape}, found {mask.shape}')
    if mask.dtype == np.uint8:
        return mask_levels(mask, name)
    if mask.dtype != bool and not np.issubdtype(mask.dtype, np.floating):
        raise InputTypeError(f'{name} must be bool, floating point or uint8, found {mask.dtype}')
    if not (mask.min() >= 0 and mask.max() <= 1):
        raise InputError(f'{name} must lie in [0, 1], found {mask.min():g}..{mask.max():g}')
    return mask.astype(np.float32)


def as_array(name: str, source: Any) -> np.ndarray:
    """An array, PIL image or tensor as numpy array (H, W, 1) or (H, W, 3) with its own dtype.

    Raises:
        TypeError: ``source`` is none of these.
        ValueError: Its shape is another one, or it is partly transparent.
    """
    if isinstance(source, Image.Image):
        image = _from_pil(name, source)
    elif _is_tensor(source):
        image = _from_tensor(source)
    elif isinstance(source, np.ndarray):
        image = source
    else:
        raise InputTypeError(f'{name} is a {type(source).__name__}; {TAKEN}')
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise InputError(f'{name} must be one image, found the shape {_shape(source)}; {TAKEN}')
    return image


def _shape(source: Any) -> tuple[int, ...]:
    """Shape of an array or tensor as the caller gave it; (H, W, bands) of a PIL image."""
    if isinstance(source, Image.Image):
        return (source.height, source.width, len(source.getbands()))
    return tuple(source.shape)


def _from_pil(name: str, image: Image.Image) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode in ('P', 'PA') or 'transparency' in image.info:
        image = image.convert('RGBA')
    if image.mode in ('RGBA', 'LA'):
        if np.asarray(image.getchannel('A')).min() < 255:
            raise InputError(f'{name} is partly transparent; flatten it and give it without alpha')
        image = image.convert('RGB' if image.mode == 'RGBA' else 'L')
    if image.mode.startswith('I;16'):
        return np.asarray(image).astype(np.uint16)
    if image.mode == 'I':  # how Pillow holds some files of 16 bits
        values = np.asarray(image)
        if values.min() >= 0 and values.max() <= 65535:
            return values.astype(np.uint16)
    if image.mode not in ('L', 'RGB', 'F', '1'):
        raise InputTypeError(f'{name} is a PIL image of mode {image.mode}; convert it to L or RGB')
    return np.asarray(image)


def _is_tensor(source: Any) -> bool:
    torch = sys.modules.get('torch')  # whoever has a tensor has imported it
    return torch is not None and isinstance(source, torch.Tensor)


def _from_tensor(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) in ('torch.float16', 'torch.bfloat16'):
        tensor = tensor.float()
    if tensor.ndim == 3 and tensor.shape[0] in (1, 3) and tensor.shape[2] not in (1, 3):
        tensor = tensor.permute(1, 2, 0)  # (C, H, W) -> (H, W, C)
    return np.ascontiguousarray(tensor.numpy())


def _float_levels(
    name: str, image: np.ndarray, value_range: tuple[float, float] | None
) -> tuple[np.ndarray, RangeMapping]:
    """A floating-point image as float32 in 0..255, and how its values were mapped."""
    least, greatest = float(image.min()), float(image.max())
    low, high = (0.0, 255.0) if value_range is None else value_range
    # a NaN fails both comparisons
    if not (least >= low and greatest <= high):
        remedy = (
            f'{least:g} and {greatest:g} mean black and white? Give value_range=(low, high) for '
            'floating point of another range'
        )
        raise InputError(
            f'{name} must lie in {low:g}..{high:g}, found {least:g}..{greatest:g}; {remedy}'
        )
    if value_range is None and 0 < greatest <= 1:
        raise InputError(
            f'{name} is floating point within 0..1 and would be black in 0..255; give '
            'value_range=(0, 1), or multiply it by 255'
        )
    if value_range is None and greatest < _DARK and name == 'ir' and greatest > 0:
        warnings.warn(
            f'ir is floating point that uses {least:g}..{greatest:g} of 0..255 and will be dark; '
            'give value_range if these are degrees, kelvin or counts',
            stacklevel=5,
        )
    if value_range is None:
        return image.astype(np.float32), AS_STORED
    mapping = RangeMapping(float(low), float(high), how='given')
    return mapping.apply(image), mapping

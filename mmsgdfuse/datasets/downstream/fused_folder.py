"""Whether a folder really holds fused images of some pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmsgdfuse.datasets.downstream.faults import LabelError
from mmsgdfuse.utils.image_io import (
    ImageFileError,
    list_images,
    probe_image,
    read_infrared,
    read_visible,
)

_SHOWN = 3


def check_fused_folder(
    fused: str | Path, ir: str | Path, vis: str | Path, names: Sequence[str] | None = None
) -> None:
    """Refuse a folder that does not hold fused images of the pairs in two others.

    Fusing leaves neither image as it was; one that equals its infrared or visible image pixel
    by pixel was copied. A single one may be by chance, such as an all-black infrared image, so
    more than half of them must.

    Args:
        fused: Folder of what is said to be fused images.
        ir: Folder of the infrared images of the same names, up to the suffix.
        vis: Folder of the visible images.
        names: Images, without suffix, that must be there. None: one per pair.

    Raises:
        LabelError: The folder is one of the sources, lacks images, holds some of another size,
            or more than half of its images are those of a source. The message says what was
            expected and what was found.
    """
    fused = Path(fused)
    sources = dict(infrared=Path(ir), visible=Path(vis))
    for role, folder in sources.items():
        if fused.resolve() == folder.resolve():
            raise LabelError(
                f'{fused}: expected fused images, found the folder of the {role} images itself; '
                'fuse the pairs with tools/fuse.py and give the folder that it wrote'
            )
    try:
        found = {path.stem: path for path in list_images(fused)}
        partners = {
            role: {path.stem: path for path in list_images(folder)}
            for role, folder in sources.items()
        }
    except OSError as error:
        raise LabelError(str(error)) from error
    if names is None:
        names = sorted(set(partners['infrared']) & set(partners['visible']))
    _refuse_gaps(fused, found, names)
    copies: dict[str, list[str]] = {role: [] for role in sources}
    for name in names:
        for role, files in partners.items():
            if name not in files:
                raise LabelError(f'{found[name]}: has no {role} partner in {sources[role]}')
        _refuse_size(found[name], partners['visible'][name])
        for role, files in partners.items():
            if _same_pixels(found[name], files[name], role):
                copies[role].append(name)
    for role, copied in copies.items():
        if 2 * len(copied) > len(names):
            raise LabelError(
                f'{fused}: expected fused images, found that {len(copied)} of {len(names)} are '
                f'the {role} images of {sources[role]}, pixel by pixel ({_some(copied)}); fuse '
                'the pairs with tools/fuse.py and give the folder that it wrote'
            )


def _refuse_gaps(fused: Path, found: dict[str, Path], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in found]
    if missing or not names:
        raise LabelError(
            f'{fused}: expected a fused image for each of {len(names)} pairs, found '
            f'{len(names) - len(missing)} of them; missing: {_some(missing) or "all"}'
        )


def _refuse_size(path: Path, partner: Path) -> None:
    try:
        size, expected = probe_image(path), probe_image(partner)
    except ImageFileError as error:
        raise LabelError(str(error)) from error
    if size != expected:
        raise LabelError(
            f'{path}: expected the size of {partner}, {expected[1]}x{expected[0]}, found '
            f'{size[1]}x{size[0]}; the labels would not fit'
        )


def _same_pixels(path: Path, partner: Path, role: str) -> bool:
    read = read_infrared if role == 'infrared' else read_visible
    if path.stat().st_size == partner.stat().st_size and path.read_bytes() == partner.read_bytes():
        return True
    image = read_visible(path)
    if role == 'infrared' and not (image == image[..., :1]).all():
        return False  # coloured: the luma alone would not be the image
    return np.array_equal(read(path), read(partner))


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:_SHOWN]) + (', ...' if len(names) > _SHOWN else '')

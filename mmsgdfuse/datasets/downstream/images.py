"""The images that labels belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mmsgdfuse.datasets.downstream.faults import BAD_IMAGE, NO_IMAGE, Fault
from mmsgdfuse.datasets.pairing import check_pair
from mmsgdfuse.utils.image_io import list_images


def image_faults(pair: Mapping[str, str]) -> list[Fault]:
    """What is wrong with the images of a pair.

    One list of file names serves both folders downstream, so the suffixes must agree too.
    """
    ir, vis = Path(pair['ir_path']), Path(pair['vis_path'])
    faults = [Fault(BAD_IMAGE, vis, message) for message in check_pair(pair)]
    if ir.name != vis.name:
        message = f'expected an infrared image of the same file name, found {ir.name}; convert one'
        faults.append(Fault(BAD_IMAGE, vis, message))
    return faults


def orphans(labels: Iterable[Path], folders: Sequence[Path]) -> list[Fault]:
    """A fault for each label file that has no image in any of the folders, if there are some."""
    if not folders:
        return []
    known = {image.stem for folder in folders for image in list_images(folder)}
    message = f'expected an image of that name in {" or ".join(map(str, folders))}; remove one'
    return [Fault(NO_IMAGE, path, message) for path in labels if path.stem not in known]

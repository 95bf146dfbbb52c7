"""The images that labels belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mmsgdfuse.datasets.downstream.faults import BAD_IMAGE, NO_IMAGE, NO_LABEL, Fault
from mmsgdfuse.datasets.pairing import check_pair
from mmsgdfuse.utils.image_io import list_images


def labelled(
    pairs: Iterable[Mapping[str, str]],
    labels: Path,
    suffix: str,
    faults: list[Fault],
    remedy: str = 'add it',
) -> Iterator[tuple[Path, Path]]:
    """The visible image and the label file of each pair that is fit and has one.

    Args:
        pairs: As :func:`mmsgdfuse.datasets.pairing.find_pairs` returns them.
        labels: Folder of the label files, named after the images.
        suffix: Of the label files.
        faults: Gets what is wrong with the other pairs.
        remedy: What to do about a label file that is missing. Default 'add it'.
    """
    for pair in pairs:
        image = Path(pair['vis_path'])
        unfit = image_faults(pair)
        if unfit:
            faults += unfit
            continue
        path = labels / f'{image.stem}{suffix}'
        if path.is_file():
            yield image, path
        else:
            faults.append(Fault(NO_LABEL, image, f'expected {path}; {remedy}'))


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

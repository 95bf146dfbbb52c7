"""Maps of class ids: what mmseg would stumble over, found before it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmsgdfuse.datasets.downstream.faults import (
    UNREADABLE,
    WRONG_CLASS,
    WRONG_SIZE,
    Fault,
    LabelError,
)
from mmsgdfuse.datasets.downstream.images import labelled, orphans
from mmsgdfuse.utils.image_io import ImageFileError, list_images, probe_image, read_labels

IGNORED = 255


@dataclass
class MapReport:
    """What a data set's maps hold.

    Attributes:
        classes: In the order of the class id.
        pixels: Number of pixels by class.
        images: Number of images that show the class.
        checked: Number of maps that were read.
        faults: What is wrong.
    """

    classes: tuple[str, ...]
    pixels: np.ndarray
    images: np.ndarray
    checked: int = 0
    faults: list[Fault] = field(default_factory=list)


def check_maps(
    pairs: Iterable[Mapping[str, str]],
    labels: Path,
    classes: Sequence[str],
    folders: Sequence[Path] = (),
) -> MapReport:
    """Read the map of every pair and count what it holds.

    Args:
        pairs: As :func:`mmsgdfuse.datasets.pairing.find_pairs` returns them.
        labels: Folder of 8-bit grey PNG files named after the images.
        classes: Names in the order of the class id; 255 is ignored.
        folders: Image folders that the label folder may serve; a map that none of them has an
            image for is a fault. Default: not looked for.

    Returns:
        Counts and faults.

    Raises:
        LabelError: ``labels`` is no folder.
    """
    if not labels.is_dir():
        raise LabelError(f'{labels}: no such folder of label maps; check the path')
    count = len(classes)
    report = MapReport(tuple(classes), np.zeros(count, np.int64), np.zeros(count, np.int64))
    for image, path in labelled(pairs, labels, '.png', report.faults):
        try:
            ids = read_labels(path)[..., 0]
        except ImageFileError as error:
            message = str(error).removeprefix(f'{path}: ')
            report.faults.append(Fault(UNREADABLE, path, message))
            continue
        report.checked += 1
        report.faults += _map_faults(path, ids, image, classes)
        found = np.bincount(ids.ravel(), minlength=count)[:count]
        report.pixels += found
        report.images += found > 0
    report.faults += orphans(list_images(labels), folders)
    return report


def _map_faults(path: Path, ids: np.ndarray, image: Path, classes: Sequence[str]) -> list[Fault]:
    faults = []
    size = probe_image(image)
    if ids.shape != size:
        faults.append(
            Fault(
                WRONG_SIZE,
                path,
                f"expected the image's {size[1]}x{size[0]}, found {ids.shape[1]}x{ids.shape[0]}",
            )
        )
    unknown = sorted(set(np.unique(ids).tolist()) - {*range(len(classes)), IGNORED})
    if unknown:
        shown = ', '.join(map(str, unknown[:5])) + (', ...' if len(unknown) > 5 else '')
        faults.append(
            Fault(
                WRONG_CLASS,
                path,
                f'expected ids 0..{len(classes) - 1} or {IGNORED} (ignored), found {shown}; save '
                'class ids, not grey levels or colours',
            )
        )
    return faults

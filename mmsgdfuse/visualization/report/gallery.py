"""The images of a page: both sources and the results, ready to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmsgdfuse.evaluation.folders import Sample, match_folders
from mmsgdfuse.utils.image_io import read_infrared, read_visible
from mmsgdfuse.utils.inline import image_url
from mmsgdfuse.utils.page import Picture
from mmsgdfuse.visualization.report.errors import ReportError

SOURCES = ('infrared', 'visible')


def build_gallery(
    ir: Path,
    vis: Path,
    fused: Mapping[str, Path],
    count: int = 12,
    names: Sequence[str] | None = None,
    max_width: int = 640,
) -> list[Picture]:
    """Read scenes for the gallery.

    Files belong together if their names agree up to the suffix.

    Args:
        ir: Folder of infrared images.
        vis: Folder of visible images.
        fused: Folder of fused images by method.
        count: Scenes at most, evenly spread over the folder. Default 12.
        names: The scenes to show, in this order, instead.
        max_width: Wider images are scaled down to this many pixels. Default 640.

    Raises:
        EvaluationError: A folder is missing or empty, or holds a name twice.
        ImageFileError: An image cannot be read.
        ReportError: No scene is complete, one that was asked for is not, or the sizes differ.
    """
    samples, problems = match_folders(ir, vis, fused)
    if names is not None:
        complete = {sample.name: sample for sample in samples}
        missing = [name for name in names if name not in complete]
        if missing:
            raise ReportError(
                f'{missing[0]}: has no file of that name in each of '
                f'{", ".join(str(folder) for folder in (ir, vis, *fused.values()))}'
            )
        samples = [complete[name] for name in names]
    elif not samples:
        raise ReportError(f'{problems[0].message}; nor has any other image')
    else:
        spread = np.linspace(0, len(samples) - 1, min(count, len(samples)))
        samples = [samples[index] for index in spread.round().astype(int)]
    return [_read(sample, max_width) for sample in samples]


def _read(sample: Sample, max_width: int) -> Picture:
    files = dict(zip(SOURCES, (sample.ir, sample.vis)), **sample.fused)
    layers: dict[str, str] = {}
    shape: tuple[int, ...] = ()
    for name, path in files.items():
        image = read_infrared(path) if name == SOURCES[0] else read_visible(path)
        shape = shape or image.shape[:2]
        if image.shape[:2] != shape:
            raise ReportError(
                f'{path}: is {image.shape[1]}x{image.shape[0]}, but {sample.ir} is '
                f'{shape[1]}x{shape[0]}; only images of one size can be compared'
            )
        layers[name] = image_url(np.rint(image).astype(np.uint8), max_width)
    return Picture(sample.name, shape[1], shape[0], layers)

"""How the public data sets arrange their labels, and what their classes are called."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mmsgdfuse.datasets.downstream.faults import LabelError
from mmsgdfuse.datasets.layouts import LAYOUTS, Layout


class DetectionSet(NamedTuple):
    """Where a data set keeps its boxes.

    Attributes:
        layout: Of its images.
        labels: Folder of the label files below the root; ``{split}`` stands for the split.
        format: ``'yolo'`` or ``'voc'``.
        classes: In the order of the class index.
        splits: Names of the splits; empty if the publisher gives none.
        first_pixel: See :func:`mmsgdfuse.datasets.downstream.read_voc`.
    """

    layout: Layout
    labels: str
    format: str
    classes: tuple[str, ...]
    splits: tuple[str, ...] = ()
    first_pixel: int = 1


class SegmentationSet(NamedTuple):
    """Where a data set keeps its maps of class ids.

    Attributes:
        layout: Of its images.
        labels: Folder of the maps below the root; ``{split}`` stands for the split.
        classes: In the order of the class id.
        palette: A colour (R, G, B) per class.
        splits: Names of the splits.
    """

    layout: Layout
    labels: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    splits: tuple[str, ...]


_TRAIN_TEST = ('train', 'test')

# MSRS: boxes of github.com/Lele-3/MSRS-detection-label (the fusion version), one folder beside
# each split's images. M3FD: classes in the order of github.com/JinyuanLiu-CV/TarDAL
# (loader/m3fd.py); the publisher gives no split. LLVIP: github.com/bupt-ai-cz/LLVIP, whose own
# conversion (toolbox/xml2txt_yolov5.py) takes xmax - xmin for the width, so pixels count from 0.
DETECTION_SETS = dict(
    MSRS=DetectionSet(
        LAYOUTS['MSRS'], '{split}/labels', 'yolo', ('person', 'bicycle', 'car'), _TRAIN_TEST
    ),
    M3FD=DetectionSet(
        LAYOUTS['M3FD'],
        'Annotation',
        'voc',
        ('People', 'Car', 'Bus', 'Lamp', 'Motorcycle', 'Truck'),
    ),
    LLVIP=DetectionSet(LAYOUTS['LLVIP'], 'Annotations', 'voc', ('person',), _TRAIN_TEST, 0),
)

# MSRS: ids and colours of github.com/Linfeng-Tang/MSRS (visualize.py), there called unlabelled,
# which the paper's Table 4 calls background. FMB: ids and colours that its publisher gives in
# github.com/JinyuanLiu-CV/SegMiF, issue 10; 0 is what was not labelled, and names are those of
# the paper of Liu et al., ICCV 2023.
SEGMENTATION_SETS = dict(
    MSRS=SegmentationSet(
        LAYOUTS['MSRS'],
        '{split}/Segmentation_labels',
        (
            'background', 'car', 'person', 'bike', 'curve', 'car stop', 'guardrail',
            'color cone', 'bump',
        ),
        (
            (0, 0, 0), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 192), (128, 128, 0),
            (64, 64, 128), (192, 128, 128), (192, 64, 0),
        ),
        _TRAIN_TEST,
    ),
    FMB=SegmentationSet(
        LAYOUTS['FMB'],
        '{split}/Label',
        (
            'background', 'road', 'sidewalk', 'building', 'traffic light', 'traffic sign',
            'vegetation', 'sky', 'person', 'car', 'truck', 'bus', 'motorcycle', 'bicycle', 'pole',
        ),
        (
            (0, 0, 0), (179, 228, 228), (181, 57, 133), (67, 162, 177), (200, 178, 50),
            (132, 45, 199), (66, 172, 84), (179, 73, 79), (76, 99, 166), (66, 121, 253),
            (137, 165, 91), (155, 97, 152), (105, 153, 140), (222, 215, 158), (135, 113, 90),
        ),
        _TRAIN_TEST,
    ),
)  # fmt: skip


def read_classes(path: str | Path) -> tuple[str, ...]:
    """Class names from a text file, one per line: ``name`` or ``index name``.

    Args:
        path: Text file, such as the ``det_classes.txt`` of MSRS's boxes.

    Returns:
        The names in the order of their index.

    Raises:
        FileNotFoundError: The file does not exist.
        LabelError: It is empty, names a class twice, or its indices are not 0, 1, 2, ...
    """
    lines = [line.split() for line in Path(path).read_text(encoding='utf-8').splitlines()]
    lines = [line for line in lines if line]
    if lines and all(line[0].isdecimal() and len(line) > 1 for line in lines):
        indices = [int(line[0]) for line in lines]
        if sorted(indices) != list(range(len(lines))):
            raise LabelError(
                f'{path}: expected the indices 0..{len(lines) - 1} once each, found {indices}'
            )
        lines = [line[1:] for _, line in sorted(zip(indices, lines))]
    names = tuple(' '.join(line) for line in lines)
    if not names or len(set(names)) < len(names):
        raise LabelError(f'{path}: expected class names, each once, one per line; found {names}')
    return names

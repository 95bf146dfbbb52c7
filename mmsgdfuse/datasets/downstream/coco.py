"""All boxes of a data set, and the COCO document that mmdet and pycocotools read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mmsgdfuse.datasets.downstream.boxes import BOX_FORMATS, Box, read_voc
from mmsgdfuse.datasets.downstream.faults import Fault, LabelError
from mmsgdfuse.datasets.downstream.images import labelled, orphans
from mmsgdfuse.utils.image_io import probe_image

# what annotation programs leave in the folder of YOLO labels
_NOT_LABELS = ('classes.txt',)


@dataclass
class DetectionLabels:
    """The boxes of a data set.

    Attributes:
        classes: In the order of the class index.
        sizes: (height, width) by image file name.
        boxes: Boxes by image file name; an empty list for an image that shows no object.
        faults: What is wrong. Boxes that cannot be used are left out, others clipped.
    """

    classes: tuple[str, ...]
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def collect_boxes(
    pairs: Iterable[Mapping[str, str]],
    labels: Path,
    box_format: str,
    classes: Sequence[str],
    first_pixel: int = 1,
    folders: Sequence[Path] = (),
) -> DetectionLabels:
    """Read and check the boxes of image pairs.

    Args:
        pairs: As :func:`mmsgdfuse.datasets.pairing.find_pairs` returns them.
        labels: Folder of the label files, named after the images.
        box_format: ``'yolo'`` or ``'voc'``.
        classes: Names in the order of the class index.
        first_pixel: See :func:`read_voc`. Default 1.
        folders: Image folders that the label folder may serve; a label that none of them has
            an image for is a fault. Default: not looked for.

    Returns:
        The labels. Images whose label file is missing or cannot be read are left out, since
        taken as empty they would teach that nothing is there.

    Raises:
        LabelError: Another format, or ``labels`` is no folder.
    """
    if box_format not in BOX_FORMATS:
        raise LabelError(f'format must be one of {list(BOX_FORMATS)}, found {box_format!r}')
    if not labels.is_dir():
        raise LabelError(f'{labels}: no such folder of labels; check the path')
    suffix, read = BOX_FORMATS[box_format]
    if read is read_voc:
        read = partial(read_voc, first_pixel=first_pixel)
    result = DetectionLabels(tuple(classes))
    remedy = 'add it, empty if the image shows no object'
    for image, path in labelled(pairs, labels, suffix, result.faults, remedy):
        size = probe_image(image)
        boxes, faults = read(path, classes, size)
        result.faults += faults
        if any(fault.line is None and not boxes for fault in faults):
            continue
        result.sizes[image.name], result.boxes[image.name] = size, boxes
    files = [path for path in sorted(labels.glob(f'*{suffix}')) if path.name not in _NOT_LABELS]
    result.faults += orphans(files, folders)
    return result


def to_coco(labels: DetectionLabels, description: str = '') -> dict[str, Any]:
    """The labels in COCO's form.

    Args:
        labels: From :func:`collect_boxes`.
        description: Goes into ``info``. Default ''.

    Returns:
        ``info``, ``licenses``, ``images``, ``categories`` and ``annotations``. All ids begin at
        1: pycocotools takes a matched annotation with the id 0 for an unmatched one. Difficult
        objects are ``iscrowd``, as mmdet's converter of PASCAL VOC has them.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, name in enumerate(sorted(labels.sizes), 1):
        height, width = labels.sizes[name]
        images.append(dict(id=number, file_name=name, width=width, height=height))
        for box in labels.boxes[name]:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=box.label + 1,
                    bbox=[round(side, 3) for side in (box.x, box.y, box.width, box.height)],
                    area=round(box.width * box.height, 3),
                    iscrowd=int(box.difficult),
                    segmentation=[],
                )
            )
    categories = [
        dict(id=number, name=name, supercategory='')
        for number, name in enumerate(labels.classes, 1)
    ]
    return dict(
        info=dict(description=description),
        licenses=[],
        images=images,
        categories=categories,
        annotations=annotations,
    )

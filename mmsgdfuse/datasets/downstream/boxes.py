"""Bounding boxes from YOLO text and PASCAL VOC XML.

Readers return every box that can be used and a fault for every one that cannot, so that a user
hears of all of them at once. Coordinates are continuous: a box that covers the whole image is
(0, 0, width, height).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.parsers import expat

from mmsgdfuse.datasets.downstream.faults import (
    DUPLICATE,
    OUTSIDE,
    UNREADABLE,
    WRONG_CLASS,
    WRONG_SIZE,
    ZERO_SIZE,
    Fault,
)

# what a coordinate may lie outside the image without a word: labels are rounded to pixels
_ROUNDING = 1.0
# mmdet's CocoDataset leaves out narrower boxes without a word
_MIN_SIDE = 1.0
# objects may have parts, which have names and boxes of their own
_OF_AN_OBJECT = re.compile(r'annotation/object/(bndbox/)?\w+')
# an annotation has four levels
_MAX_DEPTH = 16
# digits of a side in pixels; Python refuses to read numbers of thousands of digits
_SIDE_DIGITS = 9
_VOC_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


@dataclass(frozen=True)
class Box:
    """One labelled object.

    Args:
        label: Index of its class.
        x: Left edge in pixels.
        y: Upper edge.
        width: In pixels.
        height: In pixels.
        line: Line of the label file that it is from.
        difficult: Whether scores leave it out. Default False.
    """

    label: int
    x: float
    y: float
    width: float
    height: float
    line: int
    difficult: bool = False


Reader = Callable[[Path, Sequence[str], tuple[int, int]], tuple[list[Box], list[Fault]]]


def read_yolo(
    path: Path, classes: Sequence[str], size: tuple[int, int]
) -> tuple[list[Box], list[Fault]]:
    """Read lines of ``class cx cy w h``, centre and size as shares of the image's.

    Args:
        path: Text file; an empty one says that the image shows no object.
        classes: Names by class index.
        size: Height and width of the image in pixels.

    Returns:
        The boxes, clipped to the image, and the faults.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [], [_unreadable(path, f'is not text ({error}); copy it again')]
    height, width = size
    boxes, faults = [], []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        try:
            label, (cx, cy, w, h) = int(fields[0]), _floats(fields[1:])
        except ValueError:
            faults.append(
                _unreadable(path, f'expected "class cx cy w h", found {line.strip()!r}', number)
            )
            continue
        if not 0 <= label < len(classes):
            expected = f'expected 0..{len(classes) - 1} ({", ".join(classes)}), found {label}'
            faults.append(Fault(WRONG_CLASS, path, expected, number))
            continue
        boxes.append(
            Box(label, (cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height, number)
        )
    return _check_boxes(path, boxes, faults, size)


def read_voc(
    path: Path, classes: Sequence[str], size: tuple[int, int], first_pixel: int = 1
) -> tuple[list[Box], list[Fault]]:
    """Read the objects of a PASCAL VOC annotation.

    Args:
        path: XML file.
        classes: Class names as the file has them.
        size: Height and width of the image in pixels, which the file's ``size`` must equal.
        first_pixel: What the file calls the leftmost pixel. 1 (default) as in PASCAL VOC, where
            ``xmax`` is the last pixel of the object; with 0 it is the edge behind it.

    Returns:
        The boxes, clipped to the image, and the faults. Objects marked ``difficult`` are among
        the boxes.
    """
    try:
        elements = _xml_elements(path.read_bytes())
    except (OSError, expat.ExpatError) as error:
        return [], [_unreadable(path, f'is not well-formed XML ({error}); copy it again')]
    except ValueError as error:
        return [], [_unreadable(path, f'is no VOC annotation: {error}; write it anew')]
    names = {element.path for element in elements}
    if 'annotation' not in names:
        found = elements[-1].path if elements else 'nothing'
        return [], [_unreadable(path, f'expected a VOC annotation, found {found}')]

    boxes: list[Box] = []
    faults: list[Fault] = []
    stated = _stated_size(elements)
    if stated is not None and stated != size:
        faults.append(
            Fault(
                WRONG_SIZE,
                path,
                f"expected the image's {size[1]}x{size[0]}, found {stated[1]}x{stated[0]}; the "
                'boxes are read in pixels of the image as it is',
            )
        )
    fields: dict[str, str] = {}
    for element in elements:  # an element comes after those within it
        if element.path == 'annotation/object':
            _add_object(fields, element.line, path, classes, first_pixel, boxes, faults)
            fields = {}
        elif _OF_AN_OBJECT.fullmatch(element.path):
            fields[element.path.rsplit('/', 1)[1]] = element.text
    return _check_boxes(path, boxes, faults, size)


BOX_FORMATS: dict[str, tuple[str, Reader]] = {
    'yolo': ('.txt', read_yolo),
    'voc': ('.xml', read_voc),
}


@dataclass
class _Element:
    path: str
    line: int
    text: str = ''


def _xml_elements(content: bytes) -> list[_Element]:
    """Elements in the order of their ends; expat knows the line, which ElementTree forgets."""
    parser = expat.ParserCreate()
    opened: list[_Element] = []
    closed: list[_Element] = []

    def refuse_entity(*_declaration: object) -> None:
        # a few lines of entities that name one another expand to gigabytes
        raise ValueError('it declares entities')

    def start(name: str, _attributes: object) -> None:
        if len(opened) == _MAX_DEPTH:
            raise ValueError(f'its elements are nested more than {_MAX_DEPTH} levels deep')
        parent = f'{opened[-1].path}/' if opened else ''
        opened.append(_Element(parent + name, parser.CurrentLineNumber))

    def end(_name: str) -> None:
        closed.append(opened.pop())

    def text(data: str) -> None:
        opened[-1].text += data

    parser.EntityDeclHandler = refuse_entity
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.Parse(content, True)
    return closed


def _stated_size(elements: Sequence[_Element]) -> tuple[int, int] | None:
    sides = {element.path: element.text.strip() for element in elements}
    height = sides.get('annotation/size/height', '')
    width = sides.get('annotation/size/width', '')
    if not all(side.isdecimal() and len(side) <= _SIDE_DIGITS for side in (height, width)):
        return None
    return int(height), int(width)


def _add_object(
    fields: dict[str, str],
    line: int,
    path: Path,
    classes: Sequence[str],
    first_pixel: int,
    boxes: list[Box],
    faults: list[Fault],
) -> None:
    name = fields.get('name', '').strip()
    if name not in classes:
        expected = f'expected one of {", ".join(classes)}, found {name!r}'
        faults.append(Fault(WRONG_CLASS, path, expected, line))
        return
    corners = [fields.get(corner, '') for corner in _VOC_CORNERS]
    try:
        left, top, right, bottom = _floats(corners)
    except ValueError:
        expected = f'expected numbers in {", ".join(_VOC_CORNERS)}, found {corners}'
        faults.append(_unreadable(path, expected, line))
        return
    boxes.append(
        Box(
            classes.index(name),
            left - first_pixel,
            top - first_pixel,
            right - left + first_pixel,
            bottom - top + first_pixel,
            line,
            fields.get('difficult', '').strip() == '1',
        )
    )


def _floats(texts: Sequence[str]) -> tuple[float, float, float, float]:
    """Four finite numbers; ValueError for anything else."""
    a, b, c, d = (float(text) for text in texts)
    if not all(map(math.isfinite, (a, b, c, d))):
        raise ValueError
    return a, b, c, d


def _unreadable(path: Path, message: str, line: int | None = None) -> Fault:
    return Fault(UNREADABLE, path, message, line)


def _check_boxes(
    path: Path, boxes: list[Box], faults: list[Fault], size: tuple[int, int]
) -> tuple[list[Box], list[Fault]]:
    kept: dict[tuple, Box] = {}
    for box in boxes:
        key = (box.label, *(round(side, 2) for side in (box.x, box.y, box.width, box.height)))
        clipped, fault = _fit(path, box, size)
        if key in kept:
            fault = Fault(
                DUPLICATE, path, f'the same box and class as in line {kept[key].line}', box.line
            )
        elif clipped is not None:
            kept[key] = clipped
        if fault is not None:
            faults.append(fault)
    return list(kept.values()), sorted(faults, key=lambda fault: fault.line or 0)


def _fit(path: Path, box: Box, size: tuple[int, int]) -> tuple[Box | None, Fault | None]:
    """The box within the image; None where nothing is left. And what is wrong with it."""
    height, width = size
    left, top = max(box.x, 0.0), max(box.y, 0.0)
    right, bottom = min(box.x + box.width, width), min(box.y + box.height, height)
    shown = f'{box.width:.1f}x{box.height:.1f} pixels at ({box.x:.1f}, {box.y:.1f})'
    if box.width < _MIN_SIDE or box.height < _MIN_SIDE:
        expected = f'expected at least {_MIN_SIDE:g} pixel each way, found {shown}'
        return None, Fault(ZERO_SIZE, path, expected, box.line)
    excess = max(left - box.x, top - box.y, box.x + box.width - right, box.y + box.height - bottom)
    fault = None
    if excess > _ROUNDING:
        expected = f'expected boxes within {width}x{height}, found {shown}'
        fault = Fault(OUTSIDE, path, expected, box.line)
    if right - left < _MIN_SIDE or bottom - top < _MIN_SIDE:
        return None, fault
    return replace(box, x=left, y=top, width=right - left, height=bottom - top), fault

"""Rigs in files: YAML and JSON of this package, OpenCV's FileStorage, ROS's ``camera_info``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from mmsgdfuse.io.files import write_text
from mmsgdfuse.registration.rig import Lens, Rig
from mmsgdfuse.utils.errors import InputError

_MAX_BYTES = 1_000_000
# names of the same thing in files of other programs
_HOMOGRAPHY = ('homography', 'H', 'ir_to_vis', 'ir_to_vi')
_MATRIX = ('camera_matrix', 'cameraMatrix', 'K', 'k')
_COEFFICIENTS = (
    'distortion', 'distortion_coefficients', 'distCoeffs', 'dist_coeffs', 'D', 'd',
)  # fmt: skip
_ROTATION = ('rotation', 'R')
_TRANSLATION = ('translation', 'T', 't')
_FISHEYE_MODELS = ('equidistant', 'fisheye')


def load_rig(path: str | os.PathLike, distance: float | None = None) -> Rig:
    """Read a rig.

    A file has ``homography`` (or ``H``), nine numbers in rows; or ``infrared`` and ``visible``,
    each a mapping with ``camera_matrix`` and ``distortion`` or the path of such a file beside it,
    with ``rotation``, ``translation`` and ``distance``. ``ir_size`` and ``vis_size``, (height,
    width), are optional. docs/cameras.md has examples.

    Args:
        path: ``*.yaml``, ``*.yml``, ``*.json`` or ``*.xml``.
        distance: Replaces the file's ``distance``.

    Raises:
        InputError: The file is no rig; the message names the file and the entry.
        OSError: It cannot be read.
    """
    path = Path(path)
    content = _read(path)
    try:
        return _to_rig(content, path.parent, distance)
    except InputError as error:
        raise InputError(f'{path}: {error}') from None


def save_rig(path: str | os.PathLike, rig: Rig, report: Mapping[str, Any] | None = None) -> None:
    """Write a rig without lenses as YAML that :func:`load_rig` reads.

    Args:
        path: The file; it is replaced as a whole.
        rig: The rig.
        report: Numbers that are kept beside it under ``report``, plain values only.

    Raises:
        InputError: The rig has lenses; keep the files that it was made from.
    """
    if rig.ir_lens is not None:
        raise InputError('a rig with lenses is kept in the files of its calibration')
    content: dict[str, Any] = dict(homography=rig.homography.tolist())
    for name in ('ir_size', 'vis_size'):
        size = getattr(rig, name)
        if size is not None:
            content[name] = [int(side) for side in size]
    if report:
        content['report'] = dict(report)
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f'{path}: is too large for a rig; give a file of under a megabyte')
    text = path.read_text(encoding='utf-8', errors='replace')
    start = text.lstrip()[:200]
    try:
        if start.startswith(('%YAML:1.0', '<?xml')) or 'opencv-matrix' in text:
            content = _read_file_storage(path)
        else:
            content = yaml.safe_load(text)
    except (yaml.YAMLError, cv2.error, SystemError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f'{path}: is neither YAML, JSON nor a FileStorage ({reason})') from None
    if isinstance(content, list):
        content = dict(homography=content)
    if not isinstance(content, dict):
        raise InputError(f'{path}: is no rig; it must hold a homography, or two cameras')
    return content


def _read_file_storage(path: Path) -> dict[str, Any]:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    try:
        return {name: _node(storage.getNode(name)) for name in storage.root().keys()}  # noqa: SIM118
    finally:
        storage.release()


def _node(node: cv2.FileNode) -> Any:
    if node.isMap():
        names = node.keys()
        if {'rows', 'cols', 'data'} <= set(names):
            return node.mat().tolist()
        return {name: _node(node.getNode(name)) for name in names}
    if node.isSeq():
        return [_node(node.at(index)) for index in range(node.size())]
    return node.string() if node.isString() else node.real()


def _to_rig(content: Mapping[str, Any], folder: Path, distance: float | None) -> Rig:
    sizes = {name: _size(content, name) for name in ('ir_size', 'vis_size')}
    homography = _first(content, _HOMOGRAPHY)
    if homography is not None:
        return Rig(
            _numbers('homography', homography, (3, 3)),
            ir_size=sizes['ir_size'], vis_size=sizes['vis_size'],
        )  # fmt: skip
    if not {'infrared', 'visible'} <= content.keys():
        raise InputError(
            'has neither a homography nor the cameras infrared and visible; docs/cameras.md shows '
            'both forms'
        )
    lenses = [
        _lens(content[camera], folder, camera, sizes[size])
        for camera, size in (('infrared', 'ir_size'), ('visible', 'vis_size'))
    ]
    rotation, translation = _first(content, _ROTATION), _first(content, _TRANSLATION)
    if rotation is None or translation is None:
        raise InputError('has cameras without rotation and translation; add R and T')
    rotation = np.asarray(_numbers('rotation', rotation, None))
    if rotation.size == 3:  # a rotation vector
        rotation = cv2.Rodrigues(rotation.reshape(3))[0]
    distance = content.get('distance') if distance is None else distance
    if not isinstance(distance, (int, float)):
        raise InputError('has cameras without a distance; add it, or give --distance')
    return Rig.from_cameras(
        lenses[0], lenses[1], rotation.reshape(3, 3),
        _numbers('translation', translation, None).ravel(), float(distance),
    )  # fmt: skip


def _lens(entry: Any, folder: Path, camera: str, size: tuple[int, int] | None) -> Lens:
    if isinstance(entry, str):
        if not (folder / entry).is_file():
            raise InputError(f'{camera}: {folder / entry}: no such file')
        entry = _read(folder / entry)
    if not isinstance(entry, Mapping):
        raise InputError(f'{camera} must be a mapping or the path of a file, found {entry!r}')
    matrix = _first(entry, _MATRIX)
    if matrix is None:
        raise InputError(f'{camera} has no camera_matrix')
    coefficients = _first(entry, _COEFFICIENTS)
    model = str(entry.get('distortion_model', ''))
    if 'image_height' in entry and 'image_width' in entry:  # ROS, and OpenCV's calibration sample
        size = _size(dict(size=[entry['image_height'], entry['image_width']]), 'size')
    elif 'size' in entry:
        size = _size(entry, 'size')
    return Lens(
        _numbers(f'{camera}.camera_matrix', matrix, (3, 3)),
        _numbers(f'{camera}.distortion', [] if coefficients is None else coefficients, None),
        model in _FISHEYE_MODELS or bool(entry.get('fisheye', False)),
        size,
    )


def _first(content: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    value = next((content[name] for name in names if name in content), None)
    # ROS writes {rows, cols, data}
    return value['data'] if isinstance(value, Mapping) and 'data' in value else value


def _numbers(name: str, value: Any, shape: tuple[int, ...] | None) -> np.ndarray:
    try:
        array = np.asarray(value, np.float64)
        return array if shape is None else array.reshape(shape)
    except (TypeError, ValueError):
        wanted = 'numbers' if shape is None else f'{int(np.prod(shape))} numbers'
        raise InputError(f'{name} must be {wanted}, found {value!r}') from None


def _size(content: Mapping[str, Any], name: str) -> tuple[int, int] | None:
    if name not in content:
        return None
    sides = _numbers(name, content[name], (2,))
    if not (sides >= 1).all() or (sides != sides.round()).any():
        raise InputError(f'{name} must be (height, width) in whole pixels, found {content[name]}')
    return int(sides[0]), int(sides[1])

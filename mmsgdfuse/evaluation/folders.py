"""Finding what belongs together in the folders of sources and results, and reading it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmsgdfuse.evaluation.baselines import BASELINES
from mmsgdfuse.pairing import plan_pairs, same_file
from mmsgdfuse.pairing.listing import broken_links
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.image_io import ImageFileError, list_images, read_image

_LOSSY_SUFFIXES = ('.jpg', '.jpeg', '.webp')


class EvaluationError(MMSGDFuseError, ValueError):
    """The folders cannot be evaluated as they are; the message names the files and the remedy."""


@dataclass(frozen=True)
class Problem:
    """Why an image was left out.

    Args:
        image: The image's name, without suffix.
        message: What is wrong, with the file's path.
    """

    image: str
    message: str


@dataclass(frozen=True)
class Sample:
    """The files of one image: both sources and the result of every method.

    Args:
        name: File name without suffix.
        ir: Infrared file.
        vis: Visible file.
        fused: Result by method.
    """

    name: str
    ir: Path
    vis: Path
    fused: Mapping[str, Path]


def name_methods(arguments: Sequence[str]) -> dict[str, Path]:
    """Folders of results by the names that tables give them.

    Args:
        arguments: ``FOLDER``, named after its last part, or ``NAME=FOLDER``.

    Returns:
        Folder by name, in the order given.

    Raises:
        EvaluationError: Two have the same name, or one has a trivial baseline's.

    Examples:
        >>> name_methods(['out/SeAFusion', 'ours=out/run7'])
        {'SeAFusion': PosixPath('out/SeAFusion'), 'ours': PosixPath('out/run7')}
    """
    methods: dict[str, Path] = {}
    for argument in arguments:
        name, separator, folder = argument.partition('=')
        if not separator or Path(argument).is_dir():
            folder, name = argument, Path(argument).resolve().name
        if name in methods or name in BASELINES:
            taken = 'a trivial baseline' if name in BASELINES else str(methods[name])
            raise EvaluationError(
                f'{folder}: the name {name!r} is taken by {taken}; give another as NAME={folder}'
            )
        methods[name] = Path(folder)
    return methods


def method_folders(root: Path) -> list[Path]:
    """The folders of results in a folder, one per method, by name.

    Args:
        root: Folder that holds them; hidden folders and files beside them are no methods.

    Raises:
        EvaluationError: It is no folder, or holds none.
    """
    if not root.is_dir():
        raise EvaluationError(f'{root}: is no folder')
    found = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith('.'))
    if not found:
        raise EvaluationError(f'{root}: holds no folder of results; give one folder per method')
    return found


def _by_stem(folder: Path, broken: dict[str, str]) -> dict[str, Path]:
    """The images of a folder by name; links that lead nowhere are noted in ``broken``."""
    try:
        paths = list_images(folder)
        links = broken_links(folder.iterdir())
    except OSError as error:
        raise EvaluationError(str(error)) from error
    broken.update({path.stem: fault for path, fault in links.items()})
    if not paths and not links:
        raise EvaluationError(f'{folder}: holds no image')
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise EvaluationError(
                f'{path}: has the same name as {found[path.stem].name}; keep one of them'
            )
        found[path.stem] = path
    return found


def match_folders(
    ir: Path, vis: Path, fused: Mapping[str, Path], pairing: str | None = None
) -> tuple[list[Sample], list[Problem]]:
    """Puts together the files that have the same name up to the suffix.

    Args:
        ir: Folder of infrared images.
        vis: Folder of visible images.
        fused: Folder of results by method.
        pairing: What the sources of a pair have in common, a text of
            :mod:`mmsgdfuse.pairing.rules`. Results have the names that tools/fuse.py gives
            them. Default None: the name up to the suffix.

    Returns:
        The complete samples sorted by name, and a problem for each name that some folder lacks.

    Raises:
        EvaluationError: A folder is missing or empty, holds a name twice, or is given for both
            cameras.
        InputError: ``pairing`` is not valid.
    """
    broken: dict[str, str] = {}
    samples, problems = [], []
    if pairing is None:
        if same_file(ir, vis):
            raise EvaluationError(f'{ir}: was given for both cameras; give the other folder')
        sources = {'infrared': _by_stem(ir, broken), 'visible': _by_stem(vis, broken)}
    else:
        plan = plan_pairs(ir, vis, pairing)
        sources = {
            'infrared': {pair.name: pair.ir for pair in plan.pairs},
            'visible': {pair.name: pair.vis for pair in plan.pairs},
        }
        problems = [Problem(fault.partition(': ')[0], fault) for fault in plan.faults]
    results = {method: _by_stem(folder, broken) for method, folder in fused.items()}
    folders = {'infrared': ir, 'visible': vis, **fused}
    found = {**sources, **results}
    problems += [Problem(name, message) for name, message in sorted(broken.items())]
    for name in sorted(set().union(*found.values()) - broken.keys()):
        missing = [role for role in found if name not in found[role]]
        if missing:
            present = next(files[name] for files in found.values() if name in files)
            lacking = ', '.join(str(folders[role]) for role in missing)
            problems.append(Problem(name, f'{present}: has no partner of that name in {lacking}'))
            continue
        samples.append(
            Sample(
                name,
                sources['infrared'][name],
                sources['visible'][name],
                {method: files[name] for method, files in results.items()},
            )
        )
    return samples, problems


def lossy_methods(samples: Sequence[Sample]) -> list[str]:
    """The methods that have results in a lossy format, which costs a quarter of MI."""
    return sorted(
        {
            method
            for sample in samples
            for method, path in sample.fused.items()
            if path.suffix.lower() in _LOSSY_SUFFIXES
        }
    )


def read_8bit(path: Path) -> np.ndarray:
    """Reads an image for evaluation.

    Args:
        path: 8-bit image file, grey or RGB.

    Returns:
        uint8 array (H, W, 1) or (H, W, 3), RGB.

    Raises:
        ImageFileError: The file is missing, damaged, has alpha or more than 8 bits.
    """
    try:
        image = read_image(path)
    except PermissionError as error:
        raise ImageFileError(f'{path}: may not be read; change its permissions') from error
    if image.dtype != np.uint8:
        raise ImageFileError(
            f'{path}: has {8 * image.dtype.itemsize} bits per channel, and the metrics are '
            'defined on 8; convert it the way that the fusion method was given it'
        )
    return image


def check_same_size(path: Path, image: np.ndarray, ir_path: Path, ir: np.ndarray) -> None:
    """Raises ImageFileError, naming both files, unless an image has the infrared one's size."""
    if image.shape[:2] != ir.shape[:2]:
        raise ImageFileError(
            f'{path}: is {image.shape[1]}x{image.shape[0]}, but {ir_path} is '
            f'{ir.shape[1]}x{ir.shape[0]}; save the result at the size of its sources'
        )

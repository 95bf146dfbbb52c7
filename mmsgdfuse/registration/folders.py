"""Registering image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mmsgdfuse.io import InfraredReader, VisibleReader
from mmsgdfuse.pairing import ImagePair
from mmsgdfuse.registration.estimation import (
    Registration,
    SearchOptions,
    register_rig,
)
from mmsgdfuse.utils.errors import InputError


def read_pairs(
    pairs: Sequence[ImagePair], reader: InfraredReader | None = None
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, infrared and visible image of each pair, uint8.

    Args:
        pairs: The files.
        reader: How infrared files become grey levels. Default :class:`~mmsgdfuse.io.InfraredReader`
            with its defaults.

    Raises:
        ImageFileError: A file cannot be read.
    """
    reader = reader or InfraredReader()
    visible = VisibleReader(None)
    for pair in pairs:
        images = (reader.read(pair.ir).pixels, visible.read(pair.vis).pixels)
        yield (pair.name, *(np.rint(image).astype(np.uint8) for image in images))


def register_folder(
    pairs: Sequence[ImagePair],
    reader: InfraredReader | None = None,
    options: SearchOptions | None = None,
    limit: int = 20,
) -> Registration:
    """Estimate one transform from the pairs of a rig.

    Args:
        pairs: The files, such as the ``pairs`` of a :class:`~mmsgdfuse.pairing.PairPlan`.
        reader: As for :func:`read_pairs`.
        options: As for :func:`~mmsgdfuse.registration.register_rig`.
        limit: Most pairs that are used, spread evenly over all of them. Default 20.

    Raises:
        InputError: There is no pair, or ``limit`` is below 1.
        RegistrationError: No transform is trusted.
        ImageFileError: A file cannot be read.
    """
    if limit < 1:
        raise InputError(f'limit must be at least 1, found {limit}')
    if not pairs:
        raise InputError('there is no pair to register; check the folders')
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(limit, len(pairs))).round().astype(int))
    return register_rig(read_pairs([pairs[index] for index in chosen], reader), options)

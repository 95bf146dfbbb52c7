"""Deprecated: import from :mod:`mmsgdfuse.io.images` instead; the names are the same."""

from __future__ import annotations

from mmsgdfuse.io.images import (
    IMAGE_SUFFIXES,
    INFRARED_SCALINGS,
    ImageFileError,
    check_scaling,
    list_images,
    probe_image,
    read_image,
    read_infrared,
    read_labels,
    read_visible,
    write_image,
)

__all__ = [
    'IMAGE_SUFFIXES',
    'INFRARED_SCALINGS',
    'ImageFileError',
    'check_scaling',
    'list_images',
    'probe_image',
    'read_image',
    'read_infrared',
    'read_labels',
    'read_visible',
    'write_image',
]

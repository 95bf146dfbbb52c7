"""Files in and out: image formats, thermal ranges, palettes. Imports neither torch nor mmengine."""

from mmsgdfuse.io.infrared import (
    FalseColourError,
    InfraredReader,
    LoadedImage,
    VisibleReader,
    explain_swap,
)
from mmsgdfuse.io.thermal_range import AS_STORED, SCALINGS, RangeMapping

__all__ = [
    'AS_STORED',
    'SCALINGS',
    'FalseColourError',
    'InfraredReader',
    'LoadedImage',
    'RangeMapping',
    'VisibleReader',
    'explain_swap',
]

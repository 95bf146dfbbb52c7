"""From an image to the one-channel semantic prior M: generators, composers and an on-disk cache."""

from mmsgdfuse.masks.base import BaseMaskGenerator
from mmsgdfuse.masks.composers import build_composer, labels, salience, score, union
from mmsgdfuse.masks.contrast import centre_surround
from mmsgdfuse.masks.saliency import ThermalVisualSaliency
from mmsgdfuse.masks.segments import Segment, add_contrast, covered_share, segment_contrast

__all__ = [
    'BaseMaskGenerator',
    'Segment',
    'ThermalVisualSaliency',
    'add_contrast',
    'build_composer',
    'centre_surround',
    'covered_share',
    'labels',
    'salience',
    'score',
    'segment_contrast',
    'union',
]

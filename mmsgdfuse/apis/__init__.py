"""What a notebook or a service calls: fuse images with a trained model."""

from mmsgdfuse.apis.assets import DEFAULT_WEIGHTS, SAMPLE_IR, SAMPLE_VIS
from mmsgdfuse.apis.inferencer import FusionInferencer, FusionResult, fuse
from mmsgdfuse.apis.recipe import Recipe

__all__ = [
    'DEFAULT_WEIGHTS',
    'SAMPLE_IR',
    'SAMPLE_VIS',
    'FusionInferencer',
    'FusionResult',
    'Recipe',
    'fuse',
]

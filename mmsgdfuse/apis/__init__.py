"""What a notebook or a service calls: fuse images with a trained model."""

from mmsgdfuse.apis.inferencer import MODES, FusionInferencer, FusionResult, fuse
from mmsgdfuse.apis.recipe import Recipe
from mmsgdfuse.utils.assets import DEFAULT_WEIGHTS, SAMPLE_IR, SAMPLE_VIS, STUDENT_WEIGHTS

__all__ = [
    'DEFAULT_WEIGHTS',
    'MODES',
    'SAMPLE_IR',
    'SAMPLE_VIS',
    'STUDENT_WEIGHTS',
    'FusionInferencer',
    'FusionResult',
    'Recipe',
    'fuse',
]

"""What a notebook or a service calls: fuse images with a trained model."""

from typing import Any

from mmsgdfuse.apis.inferencer import BACKENDS, MODES, FusionInferencer, FusionResult, fuse
from mmsgdfuse.utils.assets import DEFAULT_WEIGHTS, SAMPLE_IR, SAMPLE_VIS, STUDENT_WEIGHTS

__all__ = [
    'BACKENDS',
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


def __getattr__(name: str) -> Any:
    """Import ``Recipe`` on first use: it needs torch, the inferencer does without."""
    if name == 'Recipe':
        from mmsgdfuse.apis.recipe import Recipe

        return Recipe
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

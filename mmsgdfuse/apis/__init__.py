"""What a notebook or a service calls: fuse images with a trained model."""

from mmsgdfuse.apis.inferencer import DEFAULT_WEIGHTS, FusionInferencer, FusionResult, fuse
from mmsgdfuse.apis.recipe import Recipe

__all__ = ['DEFAULT_WEIGHTS', 'FusionInferencer', 'FusionResult', 'Recipe', 'fuse']

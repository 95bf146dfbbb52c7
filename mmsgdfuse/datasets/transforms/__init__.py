"""Transforms of infrared-visible pairs."""

from mmsgdfuse.datasets.transforms.degradations import DegradePair
from mmsgdfuse.datasets.transforms.downstream import LoadInfrared, StackPair
from mmsgdfuse.datasets.transforms.geometry import (
    RandomCropPair,
    RandomFlipPair,
    RandomRotate90Pair,
)
from mmsgdfuse.datasets.transforms.loading import LoadPair
from mmsgdfuse.datasets.transforms.masks import (
    AugmentMasks,
    DropMask,
    GenerateMasks,
    LoadMasks,
    LoadSemanticMasks,
    RandomCropMasks,
)
from mmsgdfuse.datasets.transforms.packing import PackFusionInputs
from mmsgdfuse.datasets.transforms.photometric import PhotometricJitter
from mmsgdfuse.datasets.transforms.random_degradation import RandomDegradePair
from mmsgdfuse.datasets.transforms.registration import RegisterPair

__all__ = [
    'AugmentMasks',
    'DegradePair',
    'DropMask',
    'GenerateMasks',
    'LoadInfrared',
    'LoadMasks',
    'LoadPair',
    'LoadSemanticMasks',
    'PackFusionInputs',
    'PhotometricJitter',
    'RandomCropMasks',
    'RandomCropPair',
    'RandomDegradePair',
    'RandomFlipPair',
    'RandomRotate90Pair',
    'RegisterPair',
    'StackPair',
]

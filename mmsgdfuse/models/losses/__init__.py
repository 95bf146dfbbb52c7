"""The losses of all three training phases."""

from mmsgdfuse.models.losses.base import FusionLoss
from mmsgdfuse.models.losses.distillation import DistillationLoss
from mmsgdfuse.models.losses.noise import NoisePredictionLoss
from mmsgdfuse.models.losses.pixel import (
    InfraredIntensityLoss,
    LocalBrightnessLoss,
    MaskedGradientLoss,
    MaskedIntensityLoss,
    VisibleGradientLoss,
)
from mmsgdfuse.models.losses.restoration import RestorationLoss
from mmsgdfuse.models.losses.structure import (
    DifferenceCorrelationLoss,
    EdgePreservationLoss,
    QuietRegionLoss,
    SSIMLoss,
    VIFLoss,
)

__all__ = [
    'DifferenceCorrelationLoss',
    'DistillationLoss',
    'EdgePreservationLoss',
    'FusionLoss',
    'InfraredIntensityLoss',
    'LocalBrightnessLoss',
    'MaskedGradientLoss',
    'MaskedIntensityLoss',
    'NoisePredictionLoss',
    'QuietRegionLoss',
    'RestorationLoss',
    'SSIMLoss',
    'VIFLoss',
    'VisibleGradientLoss',
]

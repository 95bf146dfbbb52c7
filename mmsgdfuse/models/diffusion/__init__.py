"""Stage II: noise schedules, samplers, the denoiser and the fusion head."""

from mmsgdfuse.models.diffusion.hfah import HFAH, SpatialAttention
from mmsgdfuse.models.diffusion.last_level_head import LastLevelHead
from mmsgdfuse.models.diffusion.samplers import (
    DDIMSampler,
    DDPMSampler,
    DPMSolverSampler,
    UniPCSampler,
)
from mmsgdfuse.models.diffusion.schedules import (
    CosineNoiseSchedule,
    LinearNoiseSchedule,
    NoiseSchedule,
    ScaledLinearNoiseSchedule,
    SigmoidNoiseSchedule,
)
from mmsgdfuse.models.diffusion.unet import NoiseUNet, ResidualBlock

__all__ = [
    'HFAH',
    'CosineNoiseSchedule',
    'DDIMSampler',
    'DDPMSampler',
    'DPMSolverSampler',
    'LastLevelHead',
    'LinearNoiseSchedule',
    'NoiseSchedule',
    'NoiseUNet',
    'ResidualBlock',
    'ScaledLinearNoiseSchedule',
    'SigmoidNoiseSchedule',
    'SpatialAttention',
    'UniPCSampler',
]

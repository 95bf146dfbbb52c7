"""Stage II: noise schedules, samplers, the denoiser and the fusion head."""

from mmsgdfuse.models.diffusion.hfah import HFAH, SpatialAttention
from mmsgdfuse.models.diffusion.unet import NoiseUNet, ResidualBlock

__all__ = ['HFAH', 'NoiseUNet', 'ResidualBlock', 'SpatialAttention']

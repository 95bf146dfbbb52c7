"""The registered models that mmengine drives, and building one from its config or weights."""

from mmsgdfuse.models.fusers.base import BaseFuser
from mmsgdfuse.models.fusers.diffusion_fuser import DiffusionFuser
from mmsgdfuse.models.fusers.loading import load_fuser
from mmsgdfuse.models.fusers.preliminary_fuser import PreliminaryFuser
from mmsgdfuse.models.fusers.sgdfuse import SGDFuse
from mmsgdfuse.models.fusers.student import StudentFuser

__all__ = [
    'BaseFuser',
    'DiffusionFuser',
    'PreliminaryFuser',
    'SGDFuse',
    'StudentFuser',
    'load_fuser',
]

"""The registered models that mmengine drives, one per training phase."""

from mmsgdfuse.models.fusers.base import BaseFuser
from mmsgdfuse.models.fusers.diffusion_fuser import DiffusionFuser
from mmsgdfuse.models.fusers.preliminary_fuser import PreliminaryFuser
from mmsgdfuse.models.fusers.sgdfuse import SGDFuse
from mmsgdfuse.models.fusers.student import StudentFuser

__all__ = ['BaseFuser', 'DiffusionFuser', 'PreliminaryFuser', 'SGDFuse', 'StudentFuser']

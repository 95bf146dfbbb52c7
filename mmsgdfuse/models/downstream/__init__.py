"""A fuser in front of a detector of mmdet or a segmenter of mmseg."""

from mmsgdfuse.models.downstream.fused_model import FusedDetector, FusedModel, FusedSegmentor
from mmsgdfuse.models.downstream.rules import RuleFuser

__all__ = ['FusedDetector', 'FusedModel', 'FusedSegmentor', 'RuleFuser']

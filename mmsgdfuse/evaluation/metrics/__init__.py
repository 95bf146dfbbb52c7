"""Thin mmengine metrics around :mod:`mmsgdfuse.evaluation.functional`."""

from mmsgdfuse.evaluation.metrics.fusion_metric import FusionMetric
from mmsgdfuse.evaluation.metrics.mmagic_metric import MMagicMetric

__all__ = ['FusionMetric', 'MMagicMetric']

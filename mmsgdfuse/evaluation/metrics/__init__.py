"""Thin mmengine metrics around :mod:`mmsgdfuse.evaluation.functional`."""

from mmsgdfuse.evaluation.metrics.fusion_metric import FusionMetric

__all__ = ['FusionMetric']

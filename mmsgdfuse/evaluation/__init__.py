"""Evaluation: pure metric functions, mmengine metrics, and the scoring of folders of images.

All names are imported on first use. Everything but ``FusionMetric`` and ``MMagicMetric``, the
classes for mmengine's loops, needs numpy, scipy and OpenCV alone, neither torch nor mmengine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmsgdfuse.evaluation.comparison import mean_ranks, paired_differences, ranks
    from mmsgdfuse.evaluation.functional import (
        METRIC_INFOS,
        PAPER_METRICS,
        fusion_metrics,
        temporal_difference,
    )
    from mmsgdfuse.evaluation.metrics import FusionMetric, MMagicMetric
    from mmsgdfuse.evaluation.scoring import score_folders

__all__ = [
    'METRIC_INFOS',
    'PAPER_METRICS',
    'FusionMetric',
    'MMagicMetric',
    'fusion_metrics',
    'mean_ranks',
    'paired_differences',
    'ranks',
    'score_folders',
    'temporal_difference',
]

_HOMES = {
    'comparison': ('mean_ranks', 'paired_differences', 'ranks'),
    'functional': ('METRIC_INFOS', 'PAPER_METRICS', 'fusion_metrics', 'temporal_difference'),
    'metrics': ('FusionMetric', 'MMagicMetric'),
    'scoring': ('score_folders',),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f'{__name__}.{module}'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

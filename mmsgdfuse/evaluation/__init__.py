"""Evaluation: pure metric functions, mmengine metrics, and the scoring of folders of images.

:mod:`~mmsgdfuse.evaluation.functional` needs neither torch nor mmengine, and the workers that
score folders import nothing else; so the metric classes are imported on first use only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmsgdfuse.evaluation.metrics import FusionMetric

__all__ = ['FusionMetric']


def __getattr__(name: str) -> Any:
    if name in __all__:
        from mmsgdfuse.evaluation import metrics

        return getattr(metrics, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

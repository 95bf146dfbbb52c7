"""Restoration of a degraded pair before it is fused."""

from mmsgdfuse.models.restoration.restorer import PairRestorer

__all__ = ['PairRestorer']

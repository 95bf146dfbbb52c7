"""Restoration of a degraded pair before it is fused."""

from mmsgdfuse.models.restoration.deblurring import BlurEstimate, WienerDeblur
from mmsgdfuse.models.restoration.loading import load_restorer
from mmsgdfuse.models.restoration.restorer import PairRestorer

__all__ = ['BlurEstimate', 'PairRestorer', 'WienerDeblur', 'load_restorer']

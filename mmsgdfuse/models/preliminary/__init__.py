"""Stage I: the preliminary fusion network and its blocks."""

from mmsgdfuse.models.preliminary.attention import (
    ChannelAttention,
    CrossAttention,
    GatedFeedForward,
    TransformerBlock,
)
from mmsgdfuse.models.preliminary.msfem import MSFEM
from mmsgdfuse.models.preliminary.network import PreliminaryNet
from mmsgdfuse.models.preliminary.stand_in import MeanOfSources

__all__ = [
    'MSFEM',
    'ChannelAttention',
    'CrossAttention',
    'GatedFeedForward',
    'MeanOfSources',
    'PreliminaryNet',
    'TransformerBlock',
]

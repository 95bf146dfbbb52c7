"""A fusion head without hierarchy and attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmsgdfuse.models.diffusion.hfah import HFAH, SpatialAttention
from mmsgdfuse.registry import MODELS


@MODELS.register_module()
class LastLevelHead(HFAH):
    """Plain convolutions over the U-Net's last features: the ablation without HFAH.

    The paper (Section 4.4.5) removes "hierarchical fusion and attention" and says no more. So of
    the decoder's levels only the finest is read, and nothing weighs it by place; the source
    images, the convolutions and what they predict are HFAH's. The other reading, the U-Net's own
    output as the image, would also take away all of these, and the loss of Eq. 19 with them
    where the U-Net is frozen.

    Args:
        in_channels: Channels of each level of the U-Net's expanding path, coarsest first.
        **kwargs: As for :class:`HFAH`.

    Shape:
        As :class:`HFAH`.
    """

    def __init__(self, in_channels: Sequence[int], **kwargs: Any) -> None:
        super().__init__(in_channels[-1:], **kwargs)
        for level in self.levels:
            for name, layer in level.named_children():
                if isinstance(layer, SpatialAttention):
                    setattr(level, name, nn.Identity())

    def forward(
        self,
        features: Sequence[Sequence[Tensor]],
        ir: Tensor,
        vis: Tensor,
        masks: Tensor | None = None,
    ) -> Tensor:
        return super().forward([scales[-1:] for scales in features], ir, vis, masks)

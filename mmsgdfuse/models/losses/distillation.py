"""What the student is judged by: the image of its teacher."""

from __future__ import annotations

import torch
from torch import Tensor

from mmsgdfuse.models.losses.base import at_least_single
from mmsgdfuse.models.losses.restoration import RestorationLoss
from mmsgdfuse.models.luma import luma
from mmsgdfuse.registry import MODELS


@MODELS.register_module()
class DistillationLoss(RestorationLoss):
    """Mean absolute difference of the luma and of its Sobel derivatives from the teacher's.

    Args:
        gradient_weight: Factor of the derivatives' difference, horizontal and vertical added,
            relative to that of the luma. Default 0.5.
        loss_weight: Factor of the loss. Default 1.0.
    """

    def __init__(self, gradient_weight: float = 0.5, loss_weight: float = 1.0) -> None:
        super().__init__(gradient_weight, loss_weight)

    def forward(self, fused: Tensor, target: Tensor) -> Tensor:
        """The weighted loss.

        Args:
            fused: The student's image (N, 3, H, W) in [-1, 1].
            target: The teacher's in the same form.

        Returns:
            A scalar.
        """
        with torch.autocast(fused.device.type, enabled=False):
            return super().forward(luma(at_least_single(fused)), luma(at_least_single(target)))

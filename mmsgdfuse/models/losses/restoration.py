"""The loss of the restoring network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsgdfuse.models.losses.base import at_least_single
from mmsgdfuse.models.losses.functional import sobel
from mmsgdfuse.registry import MODELS


@MODELS.register_module()
class RestorationLoss(nn.Module):
    """Mean absolute difference of the images and of their Sobel derivatives.

    Args:
        gradient_weight: Factor of the derivatives' difference, horizontal and vertical added,
            relative to that of the images. Default 0.25.
        loss_weight: Factor of the loss. Default 1.0.

    Shape:
        restored and clean (N, C, H, W) in [-1, 1] -> scalar.
    """

    def __init__(self, gradient_weight: float = 0.25, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.gradient_weight = gradient_weight
        self.loss_weight = loss_weight

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        with torch.autocast(restored.device.type, enabled=False):
            # both terms are linear in the images, so the difference is all that they need
            error = at_least_single(restored) - at_least_single(clean)
            horizontal, vertical = sobel(error)
            gradient = (horizontal.abs() + vertical.abs()).mean()
            return self.loss_weight * (error.abs().mean() + self.gradient_weight * gradient)

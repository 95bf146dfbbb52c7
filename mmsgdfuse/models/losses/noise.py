"""The diffusion phase's loss."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmsgdfuse.registry import MODELS


@MODELS.register_module()
class NoisePredictionLoss(nn.Module):
    """Mean squared error of the predicted noise, Eq. 12 (or of x0 or v, if those are predicted).

    Args:
        loss_weight: Factor of the loss. Default 1.0.

    Shape:
        prediction and target (N, C, H, W) -> scalar.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self.loss_weight * F.mse_loss(prediction, target)

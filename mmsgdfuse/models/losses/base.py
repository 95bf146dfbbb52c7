"""What every loss on a fused image has in common."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod

import torch
from torch import Tensor, nn


class FusionLoss(nn.Module, metaclass=ABCMeta):
    """A weighted scalar that judges a fused image by its sources.

    Subclasses implement :meth:`measure`; a fuser calls the loss itself.

    Args:
        loss_weight: Factor of the measured value. Default 1.0.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None = None) -> Tensor:
        """The weighted loss.

        Args:
            fused: Fused image (N, 3, H, W) in [-1, 1].
            ir: Infrared image (N, 1, H, W) in [-1, 1].
            vis: Visible image (N, 3, H, W) in [-1, 1].
            mask: Joint region mask M of Eq. 16, (N, 1, H, W) in [0, 1]; losses without
                regions ignore it.

        Returns:
            A scalar.
        """
        # Variances of grey levels need more digits than half precision has, so losses leave
        # automatic mixed precision.
        with torch.autocast(fused.device.type, enabled=False):
            fused, ir, vis = (at_least_single(image) for image in (fused, ir, vis))
            return self.loss_weight * self.measure(fused, ir, vis, mask)

    @abstractmethod
    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        """The loss before its weight; arguments as in :meth:`forward`."""


def at_least_single(image: Tensor) -> Tensor:
    """The image in single precision, or in double if it is that already."""
    return image.to(torch.promote_types(image.dtype, torch.float32))


def region_weight(mask: Tensor | None, floor: float) -> Tensor | float:
    """What lies between ``floor`` outside the mask and 1 inside it; 1 everywhere without a mask.

    As a weight with a floor of 0, as printed in Eq. 17 and 18, it leaves the pixels outside the
    mask without any supervision.
    """
    return 1.0 if mask is None else floor + (1 - floor) * mask


def check_share(argument: str, value: float) -> float:
    """Return ``value``.

    Raises:
        ValueError: It is outside [0, 1].
    """
    if not 0 <= value <= 1:
        raise ValueError(f'{argument} must lie in [0, 1], found {value}')
    return value

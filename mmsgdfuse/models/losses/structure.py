"""Losses that stand for the evaluation metrics, differentiable and on luma.

They follow the definitions of :mod:`mmsgdfuse.evaluation.functional` as far as gradients
allow; none of them is the metric itself, and none is reported as a result.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsgdfuse.models.losses.base import FusionLoss
from mmsgdfuse.models.losses.functional import (
    correlation,
    gaussian_kernel,
    local_moments,
    separable_filter,
    sobel,
    to_grey_levels,
)
from mmsgdfuse.registry import MODELS


@MODELS.register_module()
class SSIMLoss(FusionLoss):
    """1 - SSIM, mean over the two sources (Wang et al., 2004; window 11, sigma 1.5).

    Args:
        loss_weight: Factor of the loss. Default 1.0.
    """

    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        fused, ir, vis = to_grey_levels(fused), to_grey_levels(ir), to_grey_levels(vis)
        return 1 - (self._ssim(ir, fused) + self._ssim(vis, fused)) / 2

    @staticmethod
    def _ssim(reference: Tensor, image: Tensor) -> Tensor:
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        window = gaussian_kernel(11, 1.5, image)
        mean_r, mean_i, var_r, var_i, cov = local_moments(reference, image, window)
        brightness = (2 * mean_r * mean_i + c1) / (mean_r**2 + mean_i**2 + c1)
        structure = (2 * cov + c2) / (var_r + var_i + c2)
        return (brightness * structure).mean()


@MODELS.register_module()
class VIFLoss(FusionLoss):
    """Minus the pixel-domain visual information fidelity, summed over the two sources.

    Sheikh and Bovik, 2006; four scales with Gaussian windows 17, 9, 5, 3 as in
    ``docs/metrics.md``. The mean over the batch weighs each crop by what its two sources have
    to tell together: a flat one hardly counts. One weight for both, since with a weight each it
    would pay to show in every crop the weightier source alone.

    Args:
        noise_variance: Variance of the visual noise, squared grey levels. Default 2.0.
        loss_weight: Factor of the loss. Default 1.0.

    Raises:
        ValueError: A side of the images is below 41 pixels, where the fourth scale vanishes.
    """

    MIN_SIDE = 41

    def __init__(self, noise_variance: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.noise_variance = noise_variance

    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        if min(fused.shape[-2:]) < self.MIN_SIDE:
            raise ValueError(
                f'VIFLoss needs sides of at least {self.MIN_SIDE} pixels, found '
                f'{tuple(fused.shape[-2:])}; use larger crops'
            )
        fused = to_grey_levels(fused)
        gained_ir, known_ir = self._information(to_grey_levels(ir), fused)
        gained_vis, known_vis = self._information(to_grey_levels(vis), fused)
        fidelity = gained_ir / known_ir + gained_vis / known_vis
        weight = known_ir + known_vis
        return -(weight * fidelity).sum() / weight.sum()

    def _information(self, reference: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """What the image keeps of the reference's information, and all of it: (N,) each."""
        eps = 1e-6
        gained = image.new_zeros(len(image))
        known = eps * reference[0].numel() + gained
        for scale in range(1, 5):
            size = 2 ** (5 - scale) + 1
            window = gaussian_kernel(size, size / 5, image)
            if scale > 1:
                reference = separable_filter(reference, window)[..., ::2, ::2]
                image = separable_filter(image, window)[..., ::2, ::2]
            _, _, var_r, var_i, cov = local_moments(reference, image, window)
            gain = (cov / (var_r + eps)).clamp_min(0)
            distortion = (var_i - gain * cov).clamp_min(eps)
            ratio = gain**2 * var_r / (distortion + self.noise_variance)
            gained = gained + torch.log1p(ratio).sum(dim=(1, 2, 3))
            known = known + torch.log1p(var_r / self.noise_variance).sum(dim=(1, 2, 3))
        return gained, known


@MODELS.register_module()
class EdgePreservationLoss(FusionLoss):
    """1 - Qabf with smooth sigmoids (Xydeas and Petrovic, 2000).

    Edge strength and orientation of the fused image against each source, weighted by the
    source's strength, over the whole batch, so that a flat crop hardly counts. The orientation
    difference is taken from the gradients' inner product, which unlike the difference of
    angles has a gradient everywhere and no jump.

    Args:
        floor: Edge strength, in grey levels times the Sobel kernels' gain of 4, that flat areas
            are taken to have: without it the ratio of two vanishing strengths, noise against
            noise, would have by far the largest gradients. Default 1.0.
        loss_weight: Factor of the loss. Default 1.0.
    """

    def __init__(self, floor: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.floor = floor

    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        gradient_f = sobel(to_grey_levels(fused))
        quality = weights = fused.new_zeros(())
        for source in (ir, vis):
            gradient_s = sobel(to_grey_levels(source))
            strength = self._strength(gradient_s)
            quality = quality + (strength * self._kept(gradient_s, gradient_f)).sum()
            weights = weights + strength.sum()
        return 1 - quality / weights

    def _strength(self, gradient: tuple[Tensor, Tensor]) -> Tensor:
        return (gradient[0] ** 2 + gradient[1] ** 2 + self.floor**2).sqrt()

    def _kept(self, source: tuple[Tensor, Tensor], fused: tuple[Tensor, Tensor]) -> Tensor:
        strength_s, strength_f = self._strength(source), self._strength(fused)
        strength = torch.minimum(strength_s, strength_f) / torch.maximum(strength_s, strength_f)
        inner = (source[0] * fused[0] + source[1] * fused[1]).abs() + self.floor**2
        # edges of opposite sign have the same orientation, hence the absolute value
        cosine = (inner / (strength_s * strength_f)).clamp(0, 1 - 1e-4)
        orientation = 1 - torch.acos(cosine) / (math.pi / 2)
        kept_strength = 0.9994 * torch.sigmoid(15 * (strength - 0.5))
        kept_orientation = 0.9879 * torch.sigmoid(22 * (orientation - 0.8))
        return kept_strength * kept_orientation


@MODELS.register_module()
class DifferenceCorrelationLoss(FusionLoss):
    """Minus the sum of the correlations of differences, SCD (Aslantas and Bendes, 2015).

    corr(ir, fused - vis) + corr(vis, fused - ir), each image on its own.

    Args:
        floor: Standard deviation, in grey levels, below which a difference fades out instead
            of counting in full: where the fused image equals a source the correlation is
            undefined, and near it its gradient would drown all others. Default 1.
        loss_weight: Factor of the loss. Default 1.0.
    """

    def __init__(self, floor: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.floor = floor

    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        fused, ir, vis = to_grey_levels(fused), to_grey_levels(ir), to_grey_levels(vis)
        from_ir = correlation(ir, fused - vis, self.floor)
        from_vis = correlation(vis, fused - ir, self.floor)
        return -(from_ir + from_vis).mean()


@MODELS.register_module()
class QuietRegionLoss(FusionLoss):
    """Noise that the fused image adds where both sources are flat.

    Over the pixels whose 7x7 standard deviation is below ``threshold`` in both sources: the
    mean by which the fused image's standard deviation exceeds ``limit`` times the larger of
    the sources', in grey levels. It holds the other structure losses back from raising their
    value by amplifying noise.

    Args:
        threshold: Standard deviation, in grey levels, below which a source is flat. Default 4.
        limit: Gain that is free. Default 0.95.
        loss_weight: Factor of the loss. Default 1.0.
    """

    def __init__(
        self, threshold: float = 4.0, limit: float = 0.95, loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        self.threshold = threshold
        self.limit = limit

    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        deviation_f, deviation_ir, deviation_vis = (
            self._deviation(to_grey_levels(image)) for image in (fused, ir, vis)
        )
        noisier = torch.maximum(deviation_ir, deviation_vis)
        quiet = (noisier < self.threshold).to(fused.dtype)
        excess = (deviation_f - self.limit * noisier).clamp_min(0)
        return (quiet * excess).sum() / quiet.sum().clamp_min(1)

    @staticmethod
    def _deviation(image: Tensor) -> Tensor:
        padded = F.pad(image, (3, 3, 3, 3), mode='reflect')
        mean = F.avg_pool2d(padded, 7, stride=1)
        square = F.avg_pool2d(padded**2, 7, stride=1)
        return (square - mean**2).clamp_min(1e-2).sqrt()

"""Intensity and gradient losses of both stages (paper, Eq. 13-19)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsgdfuse.models.losses.base import FusionLoss, check_share, region_weight
from mmsgdfuse.models.losses.functional import gradient_magnitude, sobel
from mmsgdfuse.models.luma import luma
from mmsgdfuse.registry import MODELS

INTENSITY_TARGETS = ('luma', 'channel')
GRADIENT_FORMS = ('magnitude', 'vector')


@MODELS.register_module()
class InfraredIntensityLoss(FusionLoss):
    """Stage I intensity, Eq. 14: mean |F1 - I_ir|, the infrared image against each channel.

    Args:
        loss_weight: Factor of the loss. Default 1.0.
    """

    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        return (fused - ir).abs().mean()


@MODELS.register_module()
class VisibleGradientLoss(FusionLoss):
    """Stage I gradient, Eq. 13: mean |grad F1 - grad I_vis| per channel.

    Args:
        form: ``'magnitude'`` compares |gx| + |gy|; ``'vector'`` compares gx and gy each and
            adds the two differences, so that an edge of the wrong sign costs. Default
            ``'magnitude'``.
        loss_weight: Factor of the loss. Default 1.0.

    Raises:
        ValueError: ``form`` is unknown.
    """

    def __init__(self, form: str = 'magnitude', loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.form = _check_choice('form', form, GRADIENT_FORMS)

    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        if self.form == 'magnitude':
            return (gradient_magnitude(fused) - gradient_magnitude(vis)).abs().mean()
        (fused_x, fused_y), (vis_x, vis_y) = sobel(fused), sobel(vis)
        return (fused_x - vis_x).abs().mean() + (fused_y - vis_y).abs().mean()


@MODELS.register_module()
class MaskedIntensityLoss(FusionLoss):
    """Mask-guided intensity, Eq. 17: mean over all pixels of w |I_f - max(I_ir, I_vis)|.

    w is ``mask_floor + (1 - mask_floor) * M``. The mean divides by the number of pixels, not
    by the mask's area.

    As printed, the target does not depend on the mask: a network does best by ignoring it.
    ``background`` below 1 lets the infrared image outshine the visible one in full inside the
    mask only, so that M says what is to stand out.

    Args:
        target: What max(I_ir, I_vis) stands for. ``'luma'``: the visible image with its luma
            raised to the infrared's where that is brighter, chroma kept. ``'channel'``: the
            maximum of each RGB channel, as printed, which bleaches colour. Default ``'luma'``.
        mask_floor: Weight of a pixel outside the mask; 0 is the printed equation. Default 0.2.
        background: Share of what max(I_ir, I_vis) has above I_vis that is in the target outside
            the mask, in [0, 1]; 1 is the printed equation. Default 1.
        loss_weight: lambda_1 of Eq. 19. Default 1.5.

    Raises:
        ValueError: ``target`` is unknown, or ``mask_floor`` or ``background`` lies outside [0, 1].
    """

    def __init__(
        self,
        target: str = 'luma',
        mask_floor: float = 0.2,
        background: float = 1.0,
        loss_weight: float = 1.5,
    ) -> None:
        super().__init__(loss_weight)
        self.target = _check_choice('target', target, INTENSITY_TARGETS)
        self.mask_floor = check_share('mask_floor', mask_floor)
        self.background = check_share('background', background)

    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        if self.target == 'channel':
            brightest = torch.maximum(ir.expand_as(vis), vis)
        else:
            brightest = (vis + (ir - luma(vis)).clamp_min(0)).clamp_max(1)
        wanted = vis + region_weight(mask, self.background) * (brightest - vis)
        return (region_weight(mask, self.mask_floor) * (fused - wanted).abs()).mean()


@MODELS.register_module()
class LocalBrightnessLoss(FusionLoss):
    """Mean square by which the local means of the luma miss those that the mask asks for.

    Measures of structure and information hardly see brightness: to them an image that shows
    one source alone is nearly as good as any, so that by day a network may well blacken the
    sky. This holds the brightness of an area where it belongs and, being square and of means,
    leaves small steps and all detail to the other losses. What is asked for is that of
    :class:`MaskedIntensityLoss`.

    Args:
        window: Side, in pixels, of the squares that are averaged, half of which overlap.
            Default 16.
        background: Share of what max(I_ir, I_vis) has above I_vis that is wanted outside the
            mask, in [0, 1]. Default 0.5.
        loss_weight: Factor of the loss. Default 1.0.

    Raises:
        ValueError: ``background`` lies outside [0, 1].
    """

    def __init__(self, window: int = 16, background: float = 0.5, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.window = window
        self.background = check_share('background', background)

    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        surplus = (ir - luma(vis)).clamp_min(0)
        wanted = luma(vis) + region_weight(mask, self.background) * surplus
        missed = F.avg_pool2d(luma(fused) - wanted, self.window, max(self.window // 2, 1))
        return missed.square().mean()


@MODELS.register_module()
class MaskedGradientLoss(FusionLoss):
    """Mask-guided gradient, Eq. 18: mean of w |grad I_f - max(grad I_ir, grad I_vis)|.

    Gradients are Sobel derivatives of the luma; w as in :class:`MaskedIntensityLoss`.

    Args:
        form: ``'magnitude'``: |gx| + |gy| of the fused image against the larger of the
            sources' (Eq. 18 as printed). ``'vector'``: gx and gy against those of the source
            whose gradient is stronger at that pixel, so that an edge keeps its sign. Default
            ``'magnitude'``.
        mask_floor: Weight of a pixel outside the mask; 0 is the printed equation. Default 0.2.
        gain: Factor of the stronger gradient that is wanted; above 1 it sharpens. Default 1,
            the printed equation.
        loss_weight: lambda_2 of Eq. 19. Default 1.0.

    Raises:
        ValueError: ``form`` is unknown, ``mask_floor`` lies outside [0, 1] or ``gain`` is not
            positive.
    """

    def __init__(
        self,
        form: str = 'magnitude',
        mask_floor: float = 0.2,
        gain: float = 1.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.form = _check_choice('form', form, GRADIENT_FORMS)
        self.mask_floor = check_share('mask_floor', mask_floor)
        if gain <= 0:
            raise ValueError(f'gain must be positive, found {gain}')
        self.gain = gain

    def measure(self, fused: Tensor, ir: Tensor, vis: Tensor, mask: Tensor | None) -> Tensor:
        fused_luma, vis_luma = luma(fused), luma(vis)
        if self.form == 'magnitude':
            strongest = torch.maximum(gradient_magnitude(ir), gradient_magnitude(vis_luma))
            error = (gradient_magnitude(fused_luma) - self.gain * strongest).abs()
        else:
            ir_x, ir_y = sobel(ir)
            vis_x, vis_y = sobel(vis_luma)
            from_ir = ir_x.abs() + ir_y.abs() > vis_x.abs() + vis_y.abs()
            fused_x, fused_y = sobel(fused_luma)
            error = (fused_x - self.gain * torch.where(from_ir, ir_x, vis_x)).abs()
            error = error + (fused_y - self.gain * torch.where(from_ir, ir_y, vis_y)).abs()
        return (region_weight(mask, self.mask_floor) * error).mean()


def _check_choice(argument: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f'{argument} must be one of {choices}, found {value!r}')
    return value

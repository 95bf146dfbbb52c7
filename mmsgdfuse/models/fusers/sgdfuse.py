"""SGDFuse whole: training phase ``fusion`` and everything that inference needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmsgdfuse.models.fusers.base import build_losses, joint_mask
from mmsgdfuse.models.fusers.diffusion_fuser import DiffusionFuser
from mmsgdfuse.registry import MODELS
from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.utils.errors import InputError

INFERENCE_MODES = ('features', 'refine', 'sample')
FEATURE_NOISES = ('random', 'seeded', 'none')
STAGE_TWO_LOSSES: dict[str, dict] = dict(
    intensity=dict(type='mmsgdfuse.MaskedIntensityLoss', loss_weight=1.5),
    gradient=dict(type='mmsgdfuse.MaskedGradientLoss', loss_weight=1.0),
)


@MODELS.register_module()
class SGDFuse(DiffusionFuser):
    """SAM-guided diffusion fusion (arXiv 2508.05264), both stages.

    Stage I makes F1; F1 and the masks are noised to each of ``feature_timesteps``; one
    batched pass of the U-Net gives decoder features, which the head turns into the image.

    Args:
        head: Config of the head; ``in_channels`` and ``num_timesteps`` are filled in. Default
            ``HFAH``.
        losses: Configs of the losses by name. Default Eq. 19.
        feature_timesteps: 0-based diffusion times that features are read at. Default (5, 50, 100).
        inference_mode: ``'features'``: one pass on the noised I0. ``'refine'``: I0 is first
            noised to ``start_timestep`` and denoised in ``num_steps``. ``'sample'``: I0 is
            sampled from pure noise in ``num_steps``, so the image shows the sources only
            through ``source_skip``. Default ``'features'``.
        train_denoiser: Whether the fusion phase trains the U-Net, too, which then keeps Eq. 12 as
            one of its losses (weighed by ``noise_loss``). Default False.
        noise_share: Share, in (0, 1], of each batch's images that Eq. 12 is asked of in the
            fusion phase; at least one image. Less costs less time. Default 1.
        train_preliminary: Whether the fusion phase trains Stage I, too. Default False.
        feature_noise: Noise of the features in training: ``'random'`` draws it anew in every
            iteration, ``'seeded'`` takes that of inference. ``'none'`` reads the features of the
            clean I0, in inference too, and a trained U-Net does without Eq. 12: the ablation
            without diffusion. Default ``'random'``.
        **kwargs: Arguments of :class:`DiffusionFuser`.

    Raises:
        ValueError: ``inference_mode`` or ``feature_noise`` is unknown, ``noise_share`` lies
            outside (0, 1], a feature timestep lies outside the schedule, or there is none.
    """

    def __init__(
        self,
        head: dict | None = None,
        losses: dict | None = None,
        feature_timesteps: Sequence[int] = (5, 50, 100),
        inference_mode: str = 'features',
        train_denoiser: bool = False,
        noise_share: float = 1.0,
        train_preliminary: bool = False,
        feature_noise: str = 'random',
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        _check(inference_mode in INFERENCE_MODES, 'inference_mode', INFERENCE_MODES, inference_mode)
        _check(feature_noise in FEATURE_NOISES, 'feature_noise', FEATURE_NOISES, feature_noise)
        _check(0 < noise_share <= 1, 'noise_share', '(0, 1]', noise_share)
        total = self.schedule.num_train_timesteps
        _check(len(feature_timesteps) > 0, 'feature_timesteps', f'0..{total - 1}', 'none')
        for timestep in feature_timesteps:
            _check(0 <= timestep < total, 'feature_timesteps', f'0..{total - 1}', timestep)
        self.feature_timesteps = list(feature_timesteps)
        self.inference_mode = inference_mode
        self.feature_noise = feature_noise
        self.noise_share = noise_share
        self.head = MODELS.build(
            dict(
                head or dict(type='mmsgdfuse.HFAH'),
                in_channels=self.denoiser.feature_channels,
                num_timesteps=len(self.feature_timesteps),
            )
        )
        self.losses = build_losses(losses or STAGE_TWO_LOSSES)
        trained = dict(preliminary=train_preliminary, denoiser=train_denoiser)
        self.frozen = [name for name, train in trained.items() if not train]
        for name in set(trained) - set(self.frozen):
            getattr(self, name).requires_grad_(True)
        self._finish()

    @property
    def size_divisor(self) -> int:
        # the base class asks before there is a head
        head = getattr(self, 'head', None)
        return math.lcm(super().size_divisor, getattr(head, 'size_divisor', 1))

    def features(
        self, condition: Tensor, seeded: bool = True, noise: Tensor | None = None
    ) -> list[list[Tensor]]:
        """The U-Net's decoder features at every feature timestep, in one batched pass.

        Args:
            condition: I0 (N, 5, H, W).
            seeded: Whether the noise is that of inference or drawn anew.
            noise: Noise to use instead, (T * N, 5, H, W), all images of a timestep together.
                Default: none.

        Returns:
            Per timestep one tensor (N, C_l, H_l, W_l) per level, coarsest first.
        """
        count = len(self.feature_timesteps)
        times = torch.tensor(self.feature_timesteps, device=condition.device)
        times = times.repeat_interleave(condition.shape[0])
        repeated = condition.repeat(count, 1, 1, 1)
        if self.feature_noise != 'none':
            if noise is None:
                noise = (
                    torch.cat([self.noise(condition, index) for index in range(count)])
                    if seeded
                    else torch.randn_like(repeated)
                )
            repeated = self.schedule.add_noise(repeated, noise, times)
        levels = self.denoiser.features(repeated, self.schedule.noise_level(times))
        return [list(scales) for scales in zip(*(level.chunk(count) for level in levels))]

    def fuse(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        condition = self.condition(inputs)
        preliminary, masks = condition[:, :3], condition[:, 3:]
        if self.inference_mode == 'refine':
            condition = self.refine(condition)
        elif self.inference_mode == 'sample':
            condition = self.sample(condition)
        fused = self.head(self.features(condition), inputs['ir'], inputs['vis'], masks)
        return {'fused': fused, 'preliminary': preliminary}

    def loss(
        self, inputs: dict[str, Tensor], data_samples: Sequence[FusionDataSample] | None = None
    ) -> dict[str, Tensor]:
        ir, vis = inputs['ir'], inputs['vis']
        with torch.set_grad_enabled('preliminary' not in self.frozen):
            condition = self.condition(inputs)
        with torch.set_grad_enabled(len(self.frozen) < 2):
            features = self.features(condition, seeded=self.feature_noise == 'seeded')
        fused = self.head(features, ir, vis, condition[:, 3:])
        mask = joint_mask(inputs)
        losses = {f'loss_{name}': loss(fused, ir, vis, mask) for name, loss in self.losses.items()}
        if 'denoiser' not in self.frozen and self.feature_noise != 'none':
            # without its own objective the U-Net would forget how to denoise
            asked = max(round(self.noise_share * len(condition)), 1)
            losses['loss_noise'] = self.denoising_loss(condition[:asked].detach())
        return losses


def _check(fits: bool, argument: str, expected: object, found: object) -> None:
    if not fits:
        raise InputError(f'{argument} must be within {expected}, found {found!r}')

"""Training phase ``diffusion``: the denoiser of the five-channel input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from mmsgdfuse.models.diffusion.samplers import BaseSampler
from mmsgdfuse.models.diffusion.schedules import check_prediction_type
from mmsgdfuse.models.fusers.base import BaseFuser, freeze
from mmsgdfuse.registry import DIFFUSION_SCHEDULERS, MODELS, NOISE_SCHEDULES
from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.utils.noise import position_noise

# Added to the seed of what a stochastic sampler draws: far from the draws of `noise`, since
# noise that is added while denoising must not repeat the noise that is taken away.
_SAMPLER_STREAM = 2**31


@MODELS.register_module()
class DiffusionFuser(BaseFuser):
    """Mask-guided diffusion on I0 = concat(F1, M_ir, M_vis) (paper, Section 3.4).

    Stage I is frozen. Its fused image is F1 after it was noised to ``start_timestep`` and
    denoised again, which shows what the denoiser has learned.

    Args:
        preliminary: Config of the Stage I network. Default ``PreliminaryNet``.
        denoiser: Config of the U-Net. Default ``NoiseUNet``.
        schedule: Config of the noise schedule, the one for training and sampling. Default
            ``LinearNoiseSchedule``.
        sampler: Config of the sampler. Default ``DPMSolverSampler``.
        prediction_type: What the U-Net predicts: ``'epsilon'`` (Eq. 12), ``'sample'`` (x0) or
            ``'v_prediction'``. Default ``'epsilon'``.
        noise_loss: Config of the loss. Default ``NoisePredictionLoss``.
        start_timestep: 0-based diffusion time from which images are refined. Default 200.
        num_steps: Sampling steps. Default 10.
        seed: Seed of the noise in inference, the same for every image. Default 0.
        data_preprocessor: Config of the preprocessor. Default :class:`FusionDataPreprocessor`.
        init_cfg: mmengine's initialisation config. Default None.

    Raises:
        ValueError: ``prediction_type`` is unknown, or ``start_timestep`` or ``num_steps`` leaves
            the schedule.
    """

    needs_masks = True

    def __init__(
        self,
        preliminary: dict | None = None,
        denoiser: dict | None = None,
        schedule: dict | None = None,
        sampler: dict | None = None,
        prediction_type: str = 'epsilon',
        noise_loss: dict | None = None,
        start_timestep: int = 200,
        num_steps: int = 10,
        seed: int = 0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.preliminary = MODELS.build(preliminary or dict(type='mmsgdfuse.PreliminaryNet'))
        self.denoiser = MODELS.build(denoiser or dict(type='mmsgdfuse.NoiseUNet'))
        self.schedule = NOISE_SCHEDULES.build(schedule or dict(type='LinearNoiseSchedule'))
        # a wrong one would otherwise end the run at its first validation, epochs later
        total = self.schedule.num_train_timesteps
        if not (0 <= start_timestep < total and 1 <= num_steps <= total):
            raise ValueError(
                f'a schedule of {total} steps needs start_timestep within 0..{total - 1} and '
                f'num_steps within 1..{total}, found {start_timestep} and {num_steps}'
            )
        check_prediction_type(prediction_type)
        self._sampler_cfg = sampler or dict(type='DPMSolverSampler')
        self.prediction_type = prediction_type
        self.noise_loss = MODELS.build(noise_loss or dict(type='mmsgdfuse.NoisePredictionLoss'))
        self.start_timestep = start_timestep
        self.num_steps = num_steps
        self.seed = seed
        self.frozen = ['preliminary']
        self._finish()

    def _finish(self) -> None:
        super()._finish()
        self.train(self.training)

    def train(self, mode: bool = True) -> DiffusionFuser:
        """Switch to training; what is frozen stays in evaluation mode and without gradients."""
        super().train(mode)
        for name in self.frozen:
            freeze(getattr(self, name))
        return self

    @cached_property
    def sampler(self) -> BaseSampler:
        """The sampler, built on first use: the ``features`` mode does without diffusers."""
        return DIFFUSION_SCHEDULERS.build(self._sampler_cfg)

    @property
    def size_divisor(self) -> int:
        return math.lcm(self.preliminary.size_divisor, self.denoiser.size_divisor)

    def condition(self, inputs: dict[str, Tensor]) -> Tensor:
        """I0 of Eq. 8, masks scaled to [-1, 1]: ``inputs`` -> (N, 5, H, W).

        Raises:
            KeyError: A mask is missing.
        """
        masks = []
        for name in ('mask_ir', 'mask_vis'):
            if name not in inputs:
                raise KeyError(f'{name} is missing; add GenerateMasks or LoadMasks to the pipeline')
            masks.append(inputs[name] * 2 - 1)
        return torch.cat([self.preliminary(inputs['ir'], inputs['vis']), *masks], dim=1)

    def noise(self, like: Tensor, index: int = 0) -> Tensor:
        """Seeded standard normal noise, the same for each image of the batch.

        A function of seed and position (:func:`~mmsgdfuse.utils.noise.position_noise`), made on
        the CPU, so that a GPU, an exported graph and a tile have the same noise; ``index``
        numbers independent draws. (N, C, H, W) -> (N, C, H, W).
        """
        shape = (like.shape[1], like.shape[2], like.shape[3])
        noise = torch.from_numpy(position_noise(self.seed, index, shape).copy())
        return noise.to(like).expand_as(like)

    def refine(self, condition: Tensor) -> Tensor:
        """Noise I0 to ``start_timestep`` and denoise it in ``num_steps``: (N, 5, H, W) likewise."""
        times = condition.new_full((len(condition),), self.start_timestep, dtype=torch.long)
        noised = self.schedule.add_noise(condition, self.noise(condition), times)
        return self._run_sampler(noised, self.num_steps, self.start_timestep)

    def sample(self, like: Tensor) -> Tensor:
        """I0 from pure noise in ``num_steps``: the shape of ``like`` (N, 5, H, W)."""
        return self._run_sampler(self.noise(like), self.num_steps, None)

    def _run_sampler(self, noised: Tensor, num_steps: int, start: int | None) -> Tensor:
        return self.sampler.sample(
            lambda x, noise_level, _: self.denoiser(x, noise_level),
            noised,
            self.schedule,
            num_steps=num_steps,
            t_start=start,
            prediction_type=self.prediction_type,
            generator=[torch.Generator().manual_seed(self.seed + _SAMPLER_STREAM) for _ in noised],
        )

    def fuse(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        condition = self.condition(inputs)
        refined = self.refine(condition)[:, :3].clamp(-1, 1)
        return {'fused': refined, 'preliminary': condition[:, :3]}

    def loss(
        self, inputs: dict[str, Tensor], data_samples: Sequence[FusionDataSample] | None = None
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            condition = self.condition(inputs)
        return {'loss_noise': self.denoising_loss(condition)}

    def denoising_loss(self, condition: Tensor) -> Tensor:
        """Eq. 12 at random diffusion times: I0 (N, 5, H, W) -> scalar."""
        noise = torch.randn_like(condition)
        times = torch.randint(
            self.schedule.num_train_timesteps, (len(condition),), device=condition.device
        )
        noised = self.schedule.add_noise(condition, noise, times)
        prediction = self.denoiser(noised, self.schedule.noise_level(times))
        target = self.schedule.target(condition, noise, times, self.prediction_type)
        return self.noise_loss(prediction, target)

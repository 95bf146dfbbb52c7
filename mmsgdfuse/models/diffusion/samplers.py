"""Samplers: from noise, or from a noised image, back to x0 in a few steps.

They drive diffusers' schedulers over the noise schedule that the network was trained with.
Every run builds a chain of exactly the timesteps that it visits
(:meth:`NoiseSchedule.respace`). So one code path serves all of diffusers' schedulers, of
which only some take custom timesteps, and a step always spans its whole stride.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmsgdfuse.models.diffusion.schedules import NoiseSchedule, check_prediction_type
from mmsgdfuse.registry import DIFFUSION_SCHEDULERS
from mmsgdfuse.utils.errors import MissingPackageError

# Below this nothing is left of the image. The cosine schedule's last steps go far beyond, and
# would take a third of the timesteps.
_LEAST_LOG_SNR = -10.0

DenoiseFn = Callable[[Tensor, Tensor, Tensor], Tensor]
_Generators = torch.Generator | list[torch.Generator] | None


class BaseSampler:
    """The sampling loop around one of diffusers' schedulers.

    Subclasses set :attr:`scheduler_name` and hand the scheduler's own arguments to this
    constructor. One sampler may serve any number of schedules; it keeps no state between runs.

    Args:
        spacing: How the timesteps are laid out below the first one. ``'log_snr'``: evenly in
            the logarithm of the signal-to-noise ratio, down to timestep 0 (DPM-Solver, arXiv
            2206.00927), which keeps fine detail in few steps. ``'trailing'``: evenly in time,
            the clean image being the next one after the last (arXiv 2305.08891). Default
            ``'log_snr'``.
        **scheduler_args: Arguments of the scheduler.

    Raises:
        ImportError: diffusers is not installed.
        ValueError: ``spacing`` is unknown.
    """

    scheduler_name: str

    def __init__(self, spacing: str = 'log_snr', **scheduler_args: Any) -> None:
        if spacing not in _SPACINGS:
            raise ValueError(f'spacing must be one of {tuple(_SPACINGS)}, found {spacing!r}')
        self.spacing = spacing
        self.scheduler_args = scheduler_args
        self._scheduler_class = _find_scheduler(self.scheduler_name)

    def sample(
        self,
        denoise_fn: DenoiseFn,
        x: Tensor,
        schedule: NoiseSchedule,
        num_steps: int,
        t_start: int | None = None,
        prediction_type: str = 'epsilon',
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        clip: float | None = 1.0,
    ) -> Tensor:
        """Denoise ``x`` to x0 (paper, Section 3.4.2).

        Args:
            denoise_fn: The network: ``denoise_fn(x_t, noise_level, timesteps)`` with x_t like
                ``x``, noise_level sqrt(alpha_bar) (N,) float32 and timesteps (N,) int64, all on
                the device of ``x``, returns the prediction, shaped like ``x``.
            x: Standard normal noise (N, ...), or images noised to ``t_start``.
            schedule: The schedule that the network was trained with.
            num_steps: Evaluations of the network.
            t_start: Timestep that ``x`` was noised to, 0-based; all ``num_steps`` lie within
                0..t_start. Default None: the last timestep of the schedule.
            prediction_type: ``'epsilon'``, ``'sample'`` or ``'v_prediction'``. Default
                ``'epsilon'``.
            generator: Source of the noise that a stochastic sampler adds. A sequence of one
                generator per image makes an image independent of the batch it is in.
                Deterministic samplers ignore it. Default None: torch's global generator.
            clip: Bound c that keeps each predicted x0 within [-c, c]; None does not clip.
                Default 1.0, the range of the images.

        Returns:
            x0 (N, ...), in the dtype and on the device of ``x``.

        Raises:
            TypeError: ``x`` is not floating-point.
            ValueError: ``num_steps``, ``t_start``, ``prediction_type`` or ``clip`` is out of
                its range, or there are not as many generators as images.
        """
        check_prediction_type(prediction_type)
        if clip is not None and not clip > 0:
            raise ValueError(f'clip must be positive or None, found {clip}')
        visited = self.timesteps(schedule, num_steps, t_start)
        scheduler = self._build_scheduler(schedule.respace(visited[::-1]))
        step_args = self._step_args(_one_or_each(generator, len(x)))

        for position, timestep in zip(range(num_steps - 1, -1, -1), visited):
            times = torch.full((len(x),), timestep, dtype=torch.long, device=x.device)
            # Under autocast the network answers in half precision, too coarse for the update.
            prediction = denoise_fn(x, schedule.noise_level(times), times).to(x.dtype)
            x0 = schedule.to_x0(x, prediction, times, prediction_type)
            if clip is not None:
                x0 = x0.clamp(-clip, clip)
            x = scheduler.step(x0, position, x, **step_args).prev_sample
        return x

    def timesteps(
        self, schedule: NoiseSchedule, num_steps: int, t_start: int | None = None
    ) -> list[int]:
        """The ``num_steps`` timesteps that :meth:`sample` visits, descending from ``t_start``.

        Raises:
            ValueError: ``t_start`` leaves the schedule, or ``num_steps`` is not within
                1..t_start + 1.
        """
        last = schedule.num_train_timesteps - 1
        start = last if t_start is None else t_start
        if not 0 <= start <= last:
            raise ValueError(f't_start must lie within 0..{last}, found {t_start}')
        if not 1 <= num_steps <= start + 1:
            raise ValueError(
                f'num_steps must lie within 1..{start + 1} to start at timestep {start}, found '
                f'{num_steps}'
            )
        return _SPACINGS[self.spacing](schedule, start, num_steps).tolist()

    def _step_args(self, generator: _Generators) -> dict[str, Any]:
        """What the scheduler's ``step`` takes beyond prediction, timestep and image."""
        return {}

    def _build_scheduler(self, chain: NoiseSchedule) -> Any:
        count = chain.num_train_timesteps
        scheduler = self._scheduler_class(
            num_train_timesteps=count,
            trained_betas=chain.betas.tolist(),
            # The loop has converted and clipped the prediction: x0 for all schedulers.
            prediction_type='sample',
            timestep_spacing='trailing',  # of count steps: count - 1, ..., 0, none left out
            **self.scheduler_args,
        )
        # diffusers multiplies the alphas in float32, which misses 1 - alpha_bar by up to 1.3 %
        # at the first timesteps of the default schedule.
        scheduler.alphas_cumprod = chain.alpha_bars
        scheduler.set_timesteps(count)
        return scheduler


@DIFFUSION_SCHEDULERS.register_module()
class DDPMSampler(BaseSampler):
    """Ancestral sampling with the posterior of Eq. 9-11 (DDPM, arXiv 2006.11239).

    Draws noise in every step but the last.

    Args:
        spacing: As :class:`BaseSampler`. Default ``'log_snr'``.
    """

    scheduler_name = 'DDPMScheduler'

    def __init__(self, spacing: str = 'log_snr') -> None:
        super().__init__(spacing, clip_sample=False)

    def _step_args(self, generator: _Generators) -> dict[str, Any]:
        return {'generator': generator}


@DIFFUSION_SCHEDULERS.register_module()
class DDIMSampler(BaseSampler):
    """Denoising diffusion implicit models (arXiv 2010.02502).

    Args:
        eta: Share of the posterior's standard deviation that is drawn anew in every step: 0 is
            deterministic, 1 is DDPM. Default 0.
        spacing: As :class:`BaseSampler`. Default ``'log_snr'``.

    Raises:
        ValueError: ``eta`` is not within 0..1.
    """

    scheduler_name = 'DDIMScheduler'

    def __init__(self, eta: float = 0.0, spacing: str = 'log_snr') -> None:
        if not 0 <= eta <= 1:
            raise ValueError(f'eta must lie within 0..1, found {eta}')
        super().__init__(spacing, clip_sample=False)
        self.eta = eta

    def _step_args(self, generator: _Generators) -> dict[str, Any]:
        return {'eta': self.eta, 'generator': generator}


@DIFFUSION_SCHEDULERS.register_module()
class DPMSolverSampler(BaseSampler):
    """DPM-Solver++, multistep (arXiv 2211.01095). Deterministic.

    Args:
        solver_order: Order of the solver, 1, 2 or 3; 1 is DDIM. Default 2.
        spacing: As :class:`BaseSampler`. Default ``'log_snr'``.

    Raises:
        ValueError: ``solver_order`` is not 1, 2 or 3.
    """

    scheduler_name = 'DPMSolverMultistepScheduler'

    def __init__(self, solver_order: int = 2, spacing: str = 'log_snr') -> None:
        _check_order(solver_order)
        super().__init__(spacing, solver_order=solver_order)


@DIFFUSION_SCHEDULERS.register_module()
class UniPCSampler(BaseSampler):
    """UniPC, a predictor and a corrector (arXiv 2302.04867). Deterministic.

    Args:
        solver_order: Order of the predictor, 1, 2 or 3; the corrector adds one. Default 2.
        spacing: As :class:`BaseSampler`. Default ``'log_snr'``.

    Raises:
        ValueError: ``solver_order`` is not 1, 2 or 3.
    """

    scheduler_name = 'UniPCMultistepScheduler'

    def __init__(self, solver_order: int = 2, spacing: str = 'log_snr') -> None:
        _check_order(solver_order)
        super().__init__(spacing, solver_order=solver_order)


def _one_or_each(
    generator: torch.Generator | Sequence[torch.Generator] | None, count: int
) -> _Generators:
    if generator is None or isinstance(generator, torch.Generator):
        return generator
    if len(generator) != count:
        raise ValueError(
            f'generator must be one for all images or one for each of {count}, found '
            f'{len(generator)}'
        )
    return list(generator)


def _trailing(schedule: NoiseSchedule, start: int, num_steps: int) -> np.ndarray:
    # The clean image is timestep -1.
    return np.linspace(start, -1, num_steps + 1)[:-1].round().astype(np.int64)


def _log_snr(schedule: NoiseSchedule, start: int, num_steps: int) -> np.ndarray:
    bars = schedule.alpha_bars[: start + 1].numpy()
    snr = np.log(bars / (1 - bars))
    line = np.linspace(max(snr[-1], _LEAST_LOG_SNR), snr[0], num_steps)
    line[0] = snr[-1]
    nearest = np.interp(line, snr[::-1], np.arange(start, -1, -1)).round().astype(np.int64)
    # No timestep twice: room for those that follow, then one below the one before.
    rank = np.arange(num_steps)
    roomy = np.maximum(nearest, num_steps - 1 - rank)
    return np.minimum.accumulate(roomy + rank) - rank


_SPACINGS = {'log_snr': _log_snr, 'trailing': _trailing}


def _check_order(solver_order: int) -> None:
    if solver_order not in (1, 2, 3):
        raise ValueError(f'solver_order must be 1, 2 or 3, found {solver_order}')


def _find_scheduler(name: str) -> Any:
    try:
        return getattr(importlib.import_module('diffusers'), name)
    except ImportError as error:
        raise MissingPackageError(
            f"sampling needs diffusers' {name}, which cannot be imported ({error}): "
            "pip install 'diffusers>=0.28'"
        ) from error

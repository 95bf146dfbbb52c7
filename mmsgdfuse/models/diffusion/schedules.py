"""Noise schedules: how much of I_0 is left at each diffusion time.

Timesteps are 0-based: the paper's t = 1..T is 0..T - 1 here, and alpha_bar before timestep 0
is 1, the clean image. Coefficients are kept in float64 on the CPU and rounded once, to the
dtype of the images they multiply, because 1 - alpha_bar is as small as 1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmsgdfuse.registry import NOISE_SCHEDULES

PREDICTION_TYPES = ('epsilon', 'sample', 'v_prediction')


@NOISE_SCHEDULES.register_module()
class NoiseSchedule:
    """A schedule from the noise variance of every step (paper, Section 3.4).

    What a network predicts is called as in diffusers: ``'epsilon'`` is the noise of Eq. 7,
    ``'sample'`` is x0, and ``'v_prediction'`` is sqrt(alpha_bar) * noise -
    sqrt(1 - alpha_bar) * x0 (Salimans and Ho, arXiv 2202.00512).

    In all methods images are floating-point tensors (N, ...) of any device and dtype, and
    ``timesteps`` is an integer tensor (N,) of any device with values in 0..T - 1.

    Args:
        betas: beta_t = 1 - alpha_t of each of the T steps, every one within (0, 1).

    Attributes:
        betas (Tensor): (T,), float64, on the CPU.
        alpha_bars (Tensor): Cumulative product of 1 - betas; (T,), float64, on the CPU.
        num_train_timesteps (int): T.

    Raises:
        ValueError: ``betas`` is empty, not one-dimensional or not within (0, 1).
    """

    def __init__(self, betas: Sequence[float] | Tensor) -> None:
        self.betas = torch.as_tensor(betas, dtype=torch.float64).detach().cpu().clone()
        if self.betas.ndim != 1 or not len(self.betas):
            raise ValueError(
                f'betas must be a sequence of one or more numbers, found shape '
                f'{tuple(self.betas.shape)}'
            )
        wrong = ~((self.betas > 0) & (self.betas < 1))
        if wrong.any():
            step = int(wrong.nonzero()[0])
            raise ValueError(
                f'betas must lie between 0 and 1, both excluded; betas[{step}] is '
                f'{self.betas[step].item()}'
            )
        self.alpha_bars = torch.cumprod(1 - self.betas, dim=0)
        # Entry t is alpha_bar of timestep t - 1.
        self._previous = torch.cat([self.alpha_bars.new_ones(1), self.alpha_bars[:-1]])

    @property
    def num_train_timesteps(self) -> int:
        return len(self.betas)

    def noise_level(self, timesteps: Tensor) -> Tensor:
        """sqrt(alpha_bar), what the denoiser is conditioned on: (N,) -> (N,) float32.

        Raises:
            TypeError: ``timesteps`` is no integer tensor.
            ValueError: ``timesteps`` is not of shape (N,) or leaves 0..T - 1.
        """
        level = self.alpha_bars[self._index(timesteps)].sqrt()
        return level.to(torch.float32).to(timesteps.device)

    def add_noise(self, x0: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """I_t of Eq. 7: sqrt(alpha_bar) * x0 + sqrt(1 - alpha_bar) * noise.

        Args:
            x0: Clean images (N, ...).
            noise: Standard normal noise of the same shape.
            timesteps: Timestep of each image (N,).

        Returns:
            (N, ...) in the dtype and on the device of ``x0``.

        Raises:
            TypeError: ``x0`` is not floating-point or ``timesteps`` is no integer tensor.
            ValueError: Shapes do not match or a timestep leaves 0..T - 1.
        """
        signal, sigma = self._marginal(x0, noise, timesteps)
        return signal * x0 + sigma * noise

    def target(
        self, x0: Tensor, noise: Tensor, timesteps: Tensor, prediction_type: str = 'epsilon'
    ) -> Tensor:
        """What the network is to predict from ``add_noise(x0, noise, timesteps)``.

        Args:
            x0: Clean images (N, ...).
            noise: The noise that was added, of the same shape.
            timesteps: Timestep of each image (N,).
            prediction_type: One of :data:`PREDICTION_TYPES`. Default ``'epsilon'``.

        Returns:
            (N, ...) like ``x0``.

        Raises:
            TypeError, ValueError: As :meth:`add_noise`; or ``prediction_type`` is unknown.
        """
        check_prediction_type(prediction_type)
        signal, sigma = self._marginal(x0, noise, timesteps)
        if prediction_type == 'epsilon':
            return noise
        if prediction_type == 'sample':
            return x0
        return signal * noise - sigma * x0

    def to_x0(
        self, x_t: Tensor, prediction: Tensor, timesteps: Tensor, prediction_type: str = 'epsilon'
    ) -> Tensor:
        """The clean image that a prediction stands for, the inverse of :meth:`target`.

        Args:
            x_t: Noised images (N, ...).
            prediction: The network's output for them, of the same shape.
            timesteps: Timestep of each image (N,).
            prediction_type: One of :data:`PREDICTION_TYPES`. Default ``'epsilon'``.

        Returns:
            (N, ...) like ``x_t``.

        Raises:
            TypeError, ValueError: As :meth:`target`.
        """
        check_prediction_type(prediction_type)
        signal, sigma = self._marginal(x_t, prediction, timesteps)
        if prediction_type == 'epsilon':
            return (x_t - sigma * prediction) / signal
        if prediction_type == 'sample':
            return prediction
        return signal * x_t - sigma * prediction

    def to_noise(
        self, x_t: Tensor, prediction: Tensor, timesteps: Tensor, prediction_type: str = 'epsilon'
    ) -> Tensor:
        """The noise that a prediction stands for, the inverse of :meth:`target`.

        With ``'sample'`` it divides by sqrt(1 - alpha_bar), so rounding is amplified where
        there is hardly any noise.

        Args:
            x_t: Noised images (N, ...).
            prediction: The network's output for them, of the same shape.
            timesteps: Timestep of each image (N,).
            prediction_type: One of :data:`PREDICTION_TYPES`. Default ``'epsilon'``.

        Returns:
            (N, ...) like ``x_t``.

        Raises:
            TypeError, ValueError: As :meth:`target`.
        """
        check_prediction_type(prediction_type)
        signal, sigma = self._marginal(x_t, prediction, timesteps)
        if prediction_type == 'epsilon':
            return prediction
        if prediction_type == 'sample':
            return (x_t - signal * prediction) / sigma
        return signal * prediction + sigma * x_t

    def posterior_mean_variance(
        self, x_t: Tensor, noise: Tensor, timesteps: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and variance of I_{t-1} given I_t and the noise in it (Eq. 10-11).

        Args:
            x_t: Noised images (N, ...).
            noise: The noise in them, of the same shape; :meth:`to_noise` makes it from any
                prediction.
            timesteps: Timestep of each image (N,).

        Returns:
            The mean (N, ...) like ``x_t``, and the variance (N, 1, ...), which is 0 at
            timestep 0.

        Raises:
            TypeError, ValueError: As :meth:`add_noise`.
        """
        _check_images(x_t, noise, timesteps)
        index = self._index(timesteps)
        beta, bar, previous = (
            values[index] for values in (self.betas, self.alpha_bars, self._previous)
        )
        scale = _like((1 - beta).rsqrt(), x_t)
        share = _like(beta / (1 - bar).sqrt(), x_t)
        variance = _like((1 - previous) / (1 - bar) * beta, x_t)
        return scale * (x_t - share * noise), variance

    def respace(self, timesteps: Sequence[int]) -> NoiseSchedule:
        """The schedule of a chain that visits only ``timesteps`` of this one.

        Its timestep k has the marginal of ``timesteps[k]`` here, so a step of a sampler on it
        spans the whole stride.

        Args:
            timesteps: Strictly ascending timesteps within 0..T - 1.

        Raises:
            ValueError: ``timesteps`` is empty, not ascending, or leaves 0..T - 1.
        """
        index = self._index(torch.as_tensor(list(timesteps), dtype=torch.long))
        if not len(index) or (index.diff() <= 0).any():
            raise ValueError(f'timesteps must ascend strictly, found {list(timesteps)}')
        bars = self.alpha_bars[index]
        return NoiseSchedule(1 - bars / torch.cat([bars.new_ones(1), bars[:-1]]))

    def _marginal(self, images: Tensor, other: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_bar) and sqrt(1 - alpha_bar), each (N, 1, ...) like ``images``."""
        _check_images(images, other, timesteps)
        bars = self.alpha_bars[self._index(timesteps)]
        return _like(bars.sqrt(), images), _like((1 - bars).sqrt(), images)

    def _index(self, timesteps: Tensor) -> Tensor:
        """``timesteps`` on the CPU, once they are known to lie within the schedule."""
        if timesteps.is_floating_point() or timesteps.is_complex() or timesteps.dtype == torch.bool:
            raise TypeError(f'timesteps must be an integer tensor, found {timesteps.dtype}')
        if timesteps.ndim != 1:
            raise ValueError(f'timesteps must have the shape (N,), found {tuple(timesteps.shape)}')
        index = timesteps.detach().cpu().long()
        wrong = (index < 0) | (index >= self.num_train_timesteps)
        # a graph that is being exported has no values to look at
        if not torch.onnx.is_in_onnx_export() and wrong.any():
            raise ValueError(
                f'timesteps must lie within 0..{self.num_train_timesteps - 1}, found '
                f'{index[wrong].tolist()}'
            )
        return index


@NOISE_SCHEDULES.register_module()
class LinearNoiseSchedule(NoiseSchedule):
    """Betas on a straight line (DDPM, arXiv 2006.11239), the default of SGDFuse.

    Args:
        num_train_timesteps: Number of steps T. Default 1000.
        beta_start: First beta. Default 1e-6.
        beta_end: Last beta. Default 1e-2.

    Raises:
        ValueError: Not 0 < ``beta_start`` <= ``beta_end`` < 1, or ``num_train_timesteps`` < 1.
    """

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 1e-6,
        beta_end: float = 1e-2,
    ) -> None:
        _check_range(num_train_timesteps, beta_start, beta_end)
        super().__init__(_line(beta_start, beta_end, num_train_timesteps))


@NOISE_SCHEDULES.register_module()
class ScaledLinearNoiseSchedule(NoiseSchedule):
    """Square roots of the betas on a straight line (latent diffusion, arXiv 2112.10752).

    Args:
        num_train_timesteps: Number of steps T. Default 1000.
        beta_start: First beta. Default 8.5e-4.
        beta_end: Last beta. Default 1.2e-2.

    Raises:
        ValueError: Not 0 < ``beta_start`` <= ``beta_end`` < 1, or ``num_train_timesteps`` < 1.
    """

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 8.5e-4,
        beta_end: float = 1.2e-2,
    ) -> None:
        _check_range(num_train_timesteps, beta_start, beta_end)
        super().__init__(
            _line(math.sqrt(beta_start), math.sqrt(beta_end), num_train_timesteps).square()
        )


@NOISE_SCHEDULES.register_module()
class SigmoidNoiseSchedule(NoiseSchedule):
    """Betas on a sigmoid over [-6, 6] (GeoDiff, arXiv 2203.02923).

    Args:
        num_train_timesteps: Number of steps T. Default 1000.
        beta_start: Beta that the sigmoid starts from. Default 1e-4.
        beta_end: Beta that the sigmoid rises to. Default 2e-2.

    Raises:
        ValueError: Not 0 < ``beta_start`` <= ``beta_end`` < 1, or ``num_train_timesteps`` < 1.
    """

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 1e-4,
        beta_end: float = 2e-2,
    ) -> None:
        _check_range(num_train_timesteps, beta_start, beta_end)
        rise = torch.sigmoid(_line(-6, 6, num_train_timesteps))
        super().__init__(beta_start + (beta_end - beta_start) * rise)


@NOISE_SCHEDULES.register_module()
class CosineNoiseSchedule(NoiseSchedule):
    """alpha_bar on a squared cosine (Nichol and Dhariwal, arXiv 2102.09672, Eq. 17).

    alpha_bar at the end of step t = 1..T is f(t) / f(0) with
    f(t) = cos^2((t / T + s) / (1 + s) * pi / 2), except where a beta is capped.

    Args:
        num_train_timesteps: Number of steps T. Default 1000.
        offset: s, which keeps the first betas from vanishing; at least 0. Default 0.008.
        max_beta: Cap of the betas, within (0, 1). Default 0.999.

    Raises:
        ValueError: ``offset`` is negative, ``max_beta`` is not within (0, 1), or
            ``num_train_timesteps`` < 1.
    """

    def __init__(
        self, num_train_timesteps: int = 1000, offset: float = 0.008, max_beta: float = 0.999
    ) -> None:
        _check_count(num_train_timesteps)
        if not (math.isfinite(offset) and offset >= 0):
            raise ValueError(f'offset must be 0 or more, found {offset}')
        if not 0 < max_beta < 1:
            raise ValueError(f'max_beta must lie between 0 and 1, both excluded, found {max_beta}')
        phase = (_line(0, 1, num_train_timesteps + 1) + offset) / (1 + offset)
        bars = torch.cos(phase * math.pi / 2).square()
        super().__init__((1 - bars[1:] / bars[:-1]).clamp(max=max_beta))


def check_prediction_type(prediction_type: str) -> None:
    """Raise a ValueError unless ``prediction_type`` is one of :data:`PREDICTION_TYPES`."""
    if prediction_type not in PREDICTION_TYPES:
        raise ValueError(
            f'prediction_type must be one of {PREDICTION_TYPES}, found {prediction_type!r}'
        )


def _line(start: float, end: float, count: int) -> Tensor:
    return torch.linspace(start, end, count, dtype=torch.float64)


def _like(values: Tensor, images: Tensor) -> Tensor:
    """One float64 coefficient per image, to multiply it with: (N,) -> (N, 1, ...)."""
    return values.to(images.dtype).to(images.device).reshape(-1, *[1] * (images.ndim - 1))


def _check_images(images: Tensor, other: Tensor, timesteps: Tensor) -> None:
    if not images.is_floating_point():
        raise TypeError(f'images must be floating-point, found {images.dtype}')
    if images.shape != other.shape:
        raise ValueError(
            f'both images must have the same shape, found {tuple(images.shape)} and '
            f'{tuple(other.shape)}'
        )
    if images.shape[:1] != timesteps.shape:
        raise ValueError(
            f'timesteps must have one entry per image, the shape {tuple(images.shape[:1])}, '
            f'found {tuple(timesteps.shape)}'
        )


def _check_count(num_train_timesteps: int) -> None:
    if num_train_timesteps < 1:
        raise ValueError(f'num_train_timesteps must be 1 or more, found {num_train_timesteps}')


def _check_range(num_train_timesteps: int, beta_start: float, beta_end: float) -> None:
    _check_count(num_train_timesteps)
    if not 0 < beta_start <= beta_end < 1:
        raise ValueError(
            f'betas need 0 < beta_start <= beta_end < 1, found beta_start={beta_start} and '
            f'beta_end={beta_end}'
        )

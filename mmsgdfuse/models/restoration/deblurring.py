"""Blind removal of a Gaussian blur."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmsgdfuse.models.luma import luma
from mmsgdfuse.registry import MODELS

# Radial frequencies in cycles per pixel. Below the first, the content of the scene decides.
_FREQUENCIES = (0.02, 0.5)
_BINS = 48
# The highest frequencies hold noise alone once an image is blurred.
_NOISE_BINS = 8
# Fewer bins above the noise say nothing about the slope.
_MIN_BINS = 8
# Rounding to 8 bits adds this variance, so no image has less.
_QUANTISATION = 1 / 12
_BORDER = 32


class BlurEstimate(NamedTuple):
    """Model of the power spectrum of a blurred image, over the radial frequency f.

    ``power * f ** -exponent * exp(-4 (pi sigma f) ** 2) + noise``; each is a tensor (N,).

    Attributes:
        sigma: Standard deviation of the Gaussian, pixels. 0 if the spectrum tells none.
        power: Squared grey levels.
        noise: Variance of white noise, squared grey levels.
    """

    sigma: Tensor
    power: Tensor
    noise: Tensor


@MODELS.register_module()
class WienerDeblur(nn.Module):
    """Estimate the width of a Gaussian blur from one image, and undo it by Wiener's filter.

    The power spectrum of a sharp photograph falls as a power of the frequency, and a Gaussian blur
    multiplies it by another Gaussian. The width, the power and the noise follow from a straight
    line through the logarithm of the measured spectrum. They also define the filter, so nothing
    is trained and no parameter depends on the image set.

    Args:
        sigma_range: Widths in pixels. At the first and below, an image counts as sharp and is
            returned as it is. From the second on, the whole blur is undone. The part that is
            undone rises between them. The widest of the 121 visible images of ``MSRS/dev`` has
            1.11. Default (1.12, 1.25).
        exponent: Exponent of the power spectrum of sharp photographs. Default 2.2, the middle of
            M3SVD's, LLVIP's and RoadScene's training images.
        natural_sigma: Width in pixels that stays: lenses and processing soften photographs that
            nobody calls blurred. Default 0.5.
        regularisation: Factor of the noise in the filter. More gives smoother images, and invents
            less where the blur is no Gaussian. Default 30.

    Shape:
        (N, C, H, W) in [-1, 1] -> the same.

    Raises:
        ValueError: ``sigma_range`` does not rise from a positive number, or another argument is
            not positive.
    """

    def __init__(
        self,
        sigma_range: tuple[float, float] = (1.12, 1.25),
        exponent: float = 2.2,
        natural_sigma: float = 0.5,
        regularisation: float = 30.0,
    ) -> None:
        super().__init__()
        if not 0 < sigma_range[0] < sigma_range[1]:
            raise ValueError(f'sigma_range must be positive and rise, found {sigma_range}')
        for name, value in dict(exponent=exponent, regularisation=regularisation).items():
            if value <= 0:
                raise ValueError(f'{name} must be positive, found {value}')
        self.sigma_range = sigma_range
        self.exponent = exponent
        self.natural_sigma = natural_sigma
        self.regularisation = regularisation

    def forward(self, image: Tensor) -> Tensor:
        """The sharpened images, limited to [-1, 1]."""
        blur = self.estimate(image)
        low, high = self.sigma_range
        undone = (blur.sigma**2 - self.natural_sigma**2).clamp_min(0)
        undone = (undone * ((blur.sigma - low) / (high - low)).clamp(0, 1)).sqrt()
        blurred = (undone > 0).nonzero().flatten()
        if len(blurred) == 0:
            return image
        sharp = self._filter(image[blurred], BlurEstimate(undone, *blur[1:]), blurred)
        return image.index_copy(0, blurred, sharp.clamp(-1, 1).to(image.dtype))

    @torch.no_grad()
    def estimate(self, image: Tensor) -> BlurEstimate:
        """The blur of each image (N, C, H, W) in [-1, 1]."""
        grey = luma(image).float()[:, 0] * 127.5
        frequency, spectrum = _radial_spectrum(grey)
        noise = spectrum[:, -_NOISE_BINS:].median(dim=1).values.clamp_min(_QUANTISATION)
        # the bins up to the first that noise dominates
        used = (spectrum > 4 * noise[:, None]).cumprod(dim=1)
        level = (spectrum - noise[:, None]).clamp_min(1e-6).log()
        level = level + self.exponent * frequency.log()
        slope, offset = _line((-4 * (math.pi * frequency) ** 2).expand_as(level), level, used)
        enough = used.sum(dim=1) >= _MIN_BINS
        sigma = torch.where(enough, slope.clamp_min(0).sqrt(), torch.zeros_like(slope))
        return BlurEstimate(sigma, offset.exp(), noise)

    def _filter(self, image: Tensor, blur: BlurEstimate, chosen: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        pad = min(_BORDER, height - 1, width - 1)
        padded = F.pad(image.float(), (pad,) * 4, mode='reflect')
        squared = _squared_frequency((height + 2 * pad, width + 2 * pad), image.device)
        sigma, power, noise = (value[chosen, None, None] for value in blur)
        response = torch.exp(-2 * (math.pi * sigma) ** 2 * squared)
        # the mean, at frequency 0, stays as it is
        scene = power * squared.clamp_min(1e-5) ** (-self.exponent / 2)
        inverse = response * scene / (response**2 * scene + self.regularisation * noise)
        inverse = inverse / inverse[:, :1, :1]
        spectrum = torch.fft.rfft2(padded) * inverse[:, None]
        sharp = torch.fft.irfft2(spectrum, s=padded.shape[-2:])
        return sharp[..., pad : pad + height, pad : pad + width]


def _radial_spectrum(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Frequencies (B,) and power per pixel (N, B) of images (N, H, W), means over rings."""
    height, width = grey.shape[-2:]
    window = torch.outer(
        *(torch.hann_window(n, periodic=False, device=grey.device) for n in (height, width))
    )
    centred = (grey - grey.mean(dim=(1, 2), keepdim=True)) * window
    power = torch.fft.rfft2(centred).abs() ** 2 / window.square().sum().clamp_min(1e-6)
    edges = torch.linspace(*_FREQUENCIES, _BINS + 1, device=grey.device)
    ring = torch.bucketize(_squared_frequency((height, width), grey.device).sqrt(), edges).flatten()
    sums = grey.new_zeros(len(grey), _BINS + 2).index_add(1, ring, power.flatten(1))
    counts = torch.bincount(ring, minlength=_BINS + 2).clamp_min(1)
    return (edges[1:] + edges[:-1]) / 2, (sums / counts)[:, 1:-1]


def _squared_frequency(size: tuple[int, int], device: torch.device) -> Tensor:
    """Squared radial frequency of each entry of ``rfft2``, (H, W // 2 + 1)."""
    down = torch.fft.fftfreq(size[0], device=device)[:, None]
    return down**2 + torch.fft.rfftfreq(size[1], device=device) ** 2


def _line(x: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and offset of the weighted least-squares line of each row of (N, B)."""
    total = weight.sum(dim=1).clamp_min(1)
    mean_x, mean_y = (x * weight).sum(dim=1) / total, (y * weight).sum(dim=1) / total
    apart = (x - mean_x[:, None]) * weight
    slope = (apart * (y - mean_y[:, None])).sum(dim=1)
    slope = slope / (apart * (x - mean_x[:, None])).sum(dim=1).clamp_min(1e-12)
    return slope, mean_y - slope * mean_x

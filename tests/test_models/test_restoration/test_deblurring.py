"""The blind deblurring finds the width of a blur, undoes it, and leaves sharp images alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mmsgdfuse.models.restoration import PairRestorer, WienerDeblur


def fractal(size: tuple[int, int] = (240, 320), exponent: float = 2.2, seed: int = 0) -> np.ndarray:
    """An image whose power spectrum falls as that of photographs, float32 (H, W) in 0..255."""
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal(size))
    radius = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1]))
    radius[0, 0] = np.inf
    image = np.fft.irfft2(noise * radius ** (-exponent / 2), s=size)
    return (127.5 + 40 * image / image.std()).clip(0, 255).astype(np.float32)


def to_batch(*images: np.ndarray) -> torch.Tensor:
    levels = np.clip(np.rint(np.stack(images)), 0, 255).astype(np.float32)
    return torch.from_numpy(levels)[:, None] / 127.5 - 1


@pytest.mark.parametrize('sigma', [1.3, 1.7, 2.2, 3.0])
def test_the_width_is_found(sigma):
    blurred = cv2.GaussianBlur(fractal(), (0, 0), sigma)
    assert WienerDeblur().estimate(to_batch(blurred)).sigma.item() == pytest.approx(sigma, abs=0.12)


def test_noise_is_told_from_the_scene():
    rng = np.random.default_rng(1)
    blurred = cv2.GaussianBlur(fractal(), (0, 0), 1.6) + rng.normal(0, 3, (240, 320))
    estimate = WienerDeblur().estimate(to_batch(blurred))
    assert estimate.noise.item() == pytest.approx(9, rel=0.1)
    assert estimate.sigma.item() == pytest.approx(1.6, abs=0.15)


@pytest.mark.parametrize('sigma', [0, 0.6, 1.0])
def test_sharp_images_stay_as_they_are(sigma):
    image = cv2.GaussianBlur(fractal(), (0, 0), sigma) if sigma else fractal()
    batch = to_batch(image).expand(-1, 3, -1, -1)
    assert torch.equal(WienerDeblur()(batch), batch)


def test_what_was_blurred_comes_nearer_to_the_sharp_image():
    sharp = fractal()
    blurred = cv2.GaussianBlur(sharp, (0, 0), 1.6)
    clean, batch = to_batch(sharp, sharp), to_batch(sharp, blurred)
    restored = WienerDeblur()(batch)
    assert torch.equal(restored[0], batch[0])  # each image for itself
    before, after = ((image[1] - clean[1]).square().mean() for image in (batch, restored))
    assert after < before * 0.7
    assert (restored[1].mean() - batch[1].mean()).abs() < 2e-3
    # a filter that rang would move the error to the border
    border = (restored - clean)[1, 0]
    assert border[:4].abs().mean() < 3 * border.abs().mean()


@pytest.mark.parametrize('value', [-1.0, 0.3])
@pytest.mark.parametrize('size', [(1, 1), (2, 40), (32, 32)])
def test_small_and_constant_images_stay(value, size):
    image = torch.full((2, 3, *size), value)
    assert torch.equal(WienerDeblur()(image), image)


@pytest.mark.parametrize(
    'options', [dict(sigma_range=(1.2, 1.2)), dict(exponent=0), dict(regularisation=-1)]
)
def test_impossible_arguments(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        WienerDeblur(**options)


def test_the_restorer_sharpens_the_visible_image_alone():
    denoiser = dict(type='NoiseUNet', base_channels=8, channel_mults=(1, 2), patch_size=2)
    restorer = PairRestorer(denoiser=denoiser, deblur=dict(type='WienerDeblur'), diffusion=False)
    blurred = to_batch(cv2.GaussianBlur(fractal(), (0, 0), 1.6))
    inputs = dict(ir=blurred, vis=blurred.expand(-1, 3, -1, -1))
    with torch.no_grad():
        restored = restorer.restore(inputs)  # untrained, the U-Net changes nothing
    torch.testing.assert_close(restored['ir'], inputs['ir'])
    torch.testing.assert_close(restored['vis'], WienerDeblur()(inputs['vis']))
    assert not torch.equal(restored['vis'], inputs['vis'])

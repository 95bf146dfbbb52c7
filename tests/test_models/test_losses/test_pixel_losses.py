"""Intensity and gradient losses against Eq. 13-19, worked out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from mmsgdfuse.models.losses import (
    InfraredIntensityLoss,
    LocalBrightnessLoss,
    MaskedGradientLoss,
    MaskedIntensityLoss,
    VisibleGradientLoss,
)
from mmsgdfuse.models.losses.base import region_weight
from mmsgdfuse.registry import MODELS

SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
WEIGHTS = np.array([0.299, 0.587, 0.114])
N, H, W = 2, 6, 7


@pytest.fixture
def images():
    """fused, ir, vis and the joint mask: float64 arrays (N, C, H, W)."""
    rng = np.random.default_rng(3)
    fused, vis = rng.uniform(-1, 1, (2, N, 3, H, W))
    return fused, rng.uniform(-1, 1, (N, 1, H, W)), vis, rng.uniform(0, 1, (N, 1, H, W))


def value_of(loss: torch.nn.Module, *images: np.ndarray | None) -> float:
    tensors = (None if image is None else torch.from_numpy(image) for image in images)
    return loss(*tensors).item()


def derivatives(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # scipy's 'mirror' is numpy's and torch's 'reflect'
    return correlate(plane, SOBEL, mode='mirror'), correlate(plane, SOBEL.T, mode='mirror')


def magnitude(plane: np.ndarray) -> np.ndarray:
    across, down = derivatives(plane)
    return np.abs(across) + np.abs(down)


def luma(image: np.ndarray) -> np.ndarray:
    """(3, H, W) -> (H, W)."""
    return np.tensordot(WEIGHTS, image, axes=1)


class TestStageOne:
    def test_intensity_equation_14(self, images):
        fused, ir, vis, _ = images
        total = 0.0
        for n in range(N):
            for channel in range(3):
                for y in range(H):
                    for x in range(W):
                        total += abs(fused[n, channel, y, x] - ir[n, 0, y, x])
        expected = total / (N * 3 * H * W)
        assert value_of(InfraredIntensityLoss(), fused, ir, vis) == pytest.approx(expected)

    def test_gradient_equation_13(self, images):
        fused, ir, vis, _ = images
        expected = np.mean(
            [
                np.abs(magnitude(fused[n, c]) - magnitude(vis[n, c]))
                for n in range(N)
                for c in range(3)
            ]
        )
        assert value_of(VisibleGradientLoss(), fused, ir, vis) == pytest.approx(expected)

    def test_gradient_as_a_vector(self, images):
        fused, ir, vis, _ = images
        differences = [
            [np.abs(f - v) for f, v in zip(derivatives(fused[n, c]), derivatives(vis[n, c]))]
            for n in range(N)
            for c in range(3)
        ]
        expected = np.mean([across + down for across, down in differences])
        found = value_of(VisibleGradientLoss(form='vector'), fused, ir, vis)
        assert found == pytest.approx(expected)

    def test_only_the_vector_sees_an_inverted_edge(self, images):
        _, ir, vis, _ = images
        assert value_of(VisibleGradientLoss(), -vis, ir, vis) == pytest.approx(0, abs=1e-12)
        assert value_of(VisibleGradientLoss(form='vector'), -vis, ir, vis) > 1


class TestRegionWeight:
    def test_by_hand(self):
        mask = torch.tensor([0.0, 0.5, 1.0])
        assert region_weight(mask, 0.2).tolist() == pytest.approx([0.2, 0.6, 1.0])
        assert region_weight(mask, 0.0).tolist() == [0.0, 0.5, 1.0]
        assert region_weight(mask, 1.0).tolist() == [1.0, 1.0, 1.0]
        assert region_weight(None, 0.2) == 1.0

    @pytest.mark.parametrize('loss', [MaskedIntensityLoss, MaskedGradientLoss])
    def test_floor_of_zero_leaves_the_outside_alone(self, loss, images):
        fused, ir, vis, _ = images
        mask = np.zeros((N, 1, H, W))
        mask[..., :2] = 1  # three columns away, beyond the reach of Sobel
        changed = fused.copy()
        changed[..., 5:] = 0.3
        printed, floored = loss(mask_floor=0), loss(mask_floor=0.2)
        assert value_of(printed, fused, ir, vis, mask) == pytest.approx(
            value_of(printed, changed, ir, vis, mask)
        )
        assert value_of(floored, fused, ir, vis, mask) != pytest.approx(
            value_of(floored, changed, ir, vis, mask)
        )

    @pytest.mark.parametrize('loss', [MaskedIntensityLoss, MaskedGradientLoss])
    @pytest.mark.parametrize('floor', [-0.1, 1.1])
    def test_floor_out_of_range(self, loss, floor):
        with pytest.raises(ValueError, match=rf'mask_floor must lie in \[0, 1\], found {floor}'):
            loss(mask_floor=floor)


class TestMaskedIntensity:
    @pytest.mark.parametrize('target', ['luma', 'channel'])
    def test_background_says_how_much_infrared_is_wanted_outside(self, images, target):
        _, ir, vis, _ = images
        loss = MaskedIntensityLoss(target=target, background=0.25)
        brightest = np.maximum(ir, vis)
        if target == 'luma':
            luma = np.tensordot(vis, [0.299, 0.587, 0.114], axes=(1, 0))[:, None]
            brightest = np.minimum(vis + np.maximum(ir - luma, 0), 1)
        inside, outside = np.ones((N, 1, H, W)), np.zeros((N, 1, H, W))
        quarter = vis + 0.25 * (brightest - vis)
        assert value_of(loss, brightest, ir, vis, inside) == pytest.approx(0, abs=1e-9)
        assert value_of(loss, quarter, ir, vis, outside) == pytest.approx(0, abs=1e-9)
        assert value_of(loss, brightest, ir, vis, outside) > 0.01

    def test_background_out_of_range(self):
        with pytest.raises(ValueError, match=r'background must lie in \[0, 1\], found 2'):
            MaskedIntensityLoss(background=2)

    @pytest.mark.parametrize('floor', [0.0, 0.2])
    def test_equation_17_as_printed(self, images, floor):
        fused, ir, vis, mask = images
        total = 0.0
        for n in range(N):
            for y in range(H):
                for x in range(W):
                    weight = floor + (1 - floor) * mask[n, 0, y, x]
                    for channel in range(3):
                        target = max(ir[n, 0, y, x], vis[n, channel, y, x])
                        total += weight * abs(fused[n, channel, y, x] - target)
        loss = MaskedIntensityLoss(target='channel', mask_floor=floor, loss_weight=1)
        # divided by all the pixels, whatever the mask's area
        expected = total / (N * 3 * H * W)
        assert value_of(loss, fused, ir, vis, mask) == pytest.approx(expected)

    def test_luma_target_by_hand(self, images):
        fused, ir, vis, mask = images
        total = 0.0
        for n in range(N):
            for y in range(H):
                for x in range(W):
                    colour = vis[n, :, y, x]
                    raised = colour + max(ir[n, 0, y, x] - WEIGHTS @ colour, 0)
                    error = np.abs(fused[n, :, y, x] - np.minimum(raised, 1)).sum()
                    total += (0.2 + 0.8 * mask[n, 0, y, x]) * error
        found = value_of(MaskedIntensityLoss(), fused, ir, vis, mask)
        assert found == pytest.approx(1.5 * total / (N * 3 * H * W))

    def test_luma_target_keeps_colour_where_the_channel_target_bleaches_it(self):
        red = np.zeros((1, 3, H, W))
        red[:, 0] = 0.6
        warm = np.full((1, 1, H, W), 0.5)
        raised = red + 0.5 - 0.299 * 0.6
        bleached = np.maximum(red, warm)
        assert value_of(MaskedIntensityLoss(), raised, warm, red) == pytest.approx(0, abs=1e-12)
        channel = MaskedIntensityLoss(target='channel')
        assert value_of(channel, bleached, warm, red) == pytest.approx(0, abs=1e-12)
        assert value_of(MaskedIntensityLoss(), bleached, warm, red) > 0.1

    def test_unknown_target(self):
        with pytest.raises(ValueError, match=r"target must be one of .*, found 'max'"):
            MaskedIntensityLoss(target='max')


class TestMaskedGradient:
    @pytest.mark.parametrize('floor', [0.0, 0.2])
    def test_equation_18_as_printed(self, images, floor):
        fused, ir, vis, mask = images
        errors = [
            (floor + (1 - floor) * mask[n, 0])
            * np.abs(
                magnitude(luma(fused[n])) - np.maximum(magnitude(ir[n, 0]), magnitude(luma(vis[n])))
            )
            for n in range(N)
        ]
        found = value_of(MaskedGradientLoss(mask_floor=floor), fused, ir, vis, mask)
        assert found == pytest.approx(np.mean(errors))

    def test_vector_follows_the_stronger_source(self, images):
        fused, ir, vis, mask = images
        total = 0.0
        for n in range(N):
            f, i, v = (derivatives(p) for p in (luma(fused[n]), ir[n, 0], luma(vis[n])))
            for y in range(H):
                for x in range(W):
                    of_ir, of_vis = (np.array([d[y, x] for d in source]) for source in (i, v))
                    stronger = of_ir if np.abs(of_ir).sum() > np.abs(of_vis).sum() else of_vis
                    error = np.abs(np.array([d[y, x] for d in f]) - stronger).sum()
                    total += (0.2 + 0.8 * mask[n, 0, y, x]) * error
        found = value_of(MaskedGradientLoss(form='vector'), fused, ir, vis, mask)
        assert found == pytest.approx(total / (N * H * W))

    @pytest.mark.parametrize('form', ['magnitude', 'vector'])
    def test_gain_asks_for_sharper_edges(self, images, form):
        _, ir, vis, mask = images
        flat_ir = np.zeros_like(ir)  # so that the visible image is the stronger everywhere
        loss = MaskedGradientLoss(form=form, gain=1.5)
        assert value_of(loss, 1.5 * vis, flat_ir, vis, mask) == pytest.approx(0, abs=1e-6)
        once = value_of(MaskedGradientLoss(form=form), 1.5 * vis, flat_ir, vis, mask)
        assert once == pytest.approx(value_of(loss, vis, flat_ir, vis, mask))
        assert once > 0.01

    @pytest.mark.parametrize('gain', [0.0, -1.0])
    def test_gain_must_be_positive(self, gain):
        with pytest.raises(ValueError, match=f'gain must be positive, found {gain}'):
            MaskedGradientLoss(gain=gain)

    def test_unknown_form(self):
        with pytest.raises(ValueError, match=r"form must be one of .*, found 'norm'"):
            MaskedGradientLoss(form='norm')


def test_equation_19(images):
    """The defaults of the two losses add up to 1.5 and 1 times the measured values."""
    fused, ir, vis, mask = images
    intensity, gradient = (
        MODELS.build(dict(type=name)) for name in ('MaskedIntensityLoss', 'MaskedGradientLoss')
    )
    total = value_of(intensity, fused, ir, vis, mask) + value_of(gradient, fused, ir, vis, mask)
    tensors = [torch.from_numpy(image) for image in images]
    expected = 1.5 * intensity.measure(*tensors) + gradient.measure(*tensors)
    assert total == pytest.approx(expected.item())


@pytest.mark.parametrize(
    'loss', [InfraredIntensityLoss, VisibleGradientLoss, MaskedIntensityLoss, MaskedGradientLoss]
)
def test_weight_multiplies(loss, images):
    fused, ir, vis, mask = images
    single = value_of(loss(loss_weight=1), fused, ir, vis, mask)
    assert single > 0
    assert value_of(loss(loss_weight=0.4), fused, ir, vis, mask) == pytest.approx(0.4 * single)


class TestLocalBrightness:
    def test_means_of_squares_by_hand(self):
        # two squares of 4x4 pixels: the infrared image is brighter by 0.4 in the right one alone
        ir, vis = np.zeros((1, 1, 4, 8)), np.zeros((1, 3, 4, 8))
        ir[..., 4:], ir[..., :4] = 0.4, -0.4
        mask = np.zeros((1, 1, 4, 8))
        loss = LocalBrightnessLoss(window=4, background=0.25)
        # squares start at every second column; outside the mask a quarter of the 0.4 is wanted
        expected = np.mean([0, 0.05**2, 0.1**2])
        assert value_of(loss, vis, ir, vis, mask) == pytest.approx(expected)
        inside = np.mean([0, 0.2**2, 0.4**2])
        assert value_of(loss, vis, ir, vis, mask + 1) == pytest.approx(inside)

    def test_detail_is_free(self, images):
        _, ir, vis, mask = images
        loss = LocalBrightnessLoss(window=2)
        checks = np.indices((H, W)).sum(0) % 2 - 0.5
        assert value_of(loss, vis + 0.4 * checks, ir, vis, mask) == pytest.approx(
            value_of(loss, vis, ir, vis, mask)
        )

    def test_background_out_of_range(self):
        with pytest.raises(ValueError, match=r'background must lie in \[0, 1\], found -1'):
            LocalBrightnessLoss(background=-1)

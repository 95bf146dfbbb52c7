"""The metrics against independent implementations: other packages, or the definition in loops."""

from __future__ import annotations

import math

import numpy as np
import piq
import pytest
import torch
import torchmetrics.functional.image as torchmetrics
from skimage.measure import shannon_entropy
from skimage.metrics import structural_similarity
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score

from mmsgdfuse.evaluation.functional import (
    average_gradient,
    correlation_coefficient,
    entropy,
    ms_ssim,
    mutual_information,
    nabf,
    psnr,
    qabf,
    quiet_region_gain,
    spatial_frequency,
    ssim,
    standard_deviation,
    sum_of_correlations_of_differences,
    visual_information_fidelity,
)


def as_tensor(luma):
    return torch.from_numpy(luma.astype(np.float64))[None, None]


@pytest.fixture(params=['ir', 'vis'])
def against(request, triple):
    """The name of a source, that source, and the triple."""
    return request.param, triple[('ir', 'vis').index(request.param)], triple


def test_entropy_is_scikit_images(triple):
    assert entropy(triple[2]) == pytest.approx(shannon_entropy(triple[2], base=2), rel=1e-12)
    assert entropy(triple[2], log_base=math.e) == pytest.approx(
        shannon_entropy(triple[2], base=math.e), rel=1e-12
    )


def test_mutual_information_is_scikit_learns(against):
    role, source, triple = against
    expected = mutual_info_score(source.ravel(), triple[2].ravel())
    assert mutual_information(*triple, reduction=role) == pytest.approx(expected, rel=1e-10)
    assert mutual_information(*triple, log_base=2, reduction=role) == pytest.approx(
        expected / math.log(2), rel=1e-10
    )


def test_mutual_information_and_entropy_fit_scikit_learns_normalisation(against):
    role, source, triple = against
    normalised = mutual_information(*triple, log_base=2, reduction=role) / (
        (entropy(source) + entropy(triple[2])) / 2
    )
    expected = normalized_mutual_info_score(source.ravel(), triple[2].ravel())
    assert normalised == pytest.approx(expected, rel=1e-10)


def test_correlations_are_numpys(triple):
    ir, vis, fused = (plane.astype(float).ravel() for plane in triple)
    pearson = lambda a, b: np.corrcoef(a, b)[0, 1]  # noqa: E731
    assert correlation_coefficient(*triple) == pytest.approx(
        (pearson(ir, fused) + pearson(vis, fused)) / 2, rel=1e-12
    )
    assert sum_of_correlations_of_differences(*triple) == pytest.approx(
        pearson(ir, fused - vis) + pearson(vis, fused - ir), rel=1e-12
    )


def test_ssim_is_scikit_images(against):
    role, source, triple = against
    gaussian = structural_similarity(
        source,
        triple[2],
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert ssim(*triple, reduction=role) == pytest.approx(gaussian, rel=1e-10)
    uniform = structural_similarity(source, triple[2], data_range=255)
    assert ssim(*triple, window='uniform', reduction=role) == pytest.approx(uniform, rel=1e-10)


def test_ssim_is_piqs_and_torchmetrics(against):
    role, source, triple = against
    value = ssim(*triple, reduction=role)
    pair = as_tensor(triple[2]), as_tensor(source)
    assert value == pytest.approx(piq.ssim(*pair, data_range=255, downsample=False).item())
    # torchmetrics reflects the borders; without them it is the same map.
    _, full = torchmetrics.structural_similarity_index_measure(
        *pair, data_range=255.0, return_full_image=True
    )
    assert value == pytest.approx(full[..., 5:-5, 5:-5].mean().item(), rel=1e-9)


def test_ms_ssim_is_piqs(large_triple):
    ir, vis, fused = (as_tensor(plane) for plane in large_triple)
    for role, source in (('ir', ir), ('vis', vis)):
        expected = piq.multi_scale_ssim(fused, source, data_range=255).item()
        assert ms_ssim(*large_triple, reduction=role) == pytest.approx(expected, rel=1e-9)


def test_vif_is_piqs_and_torchmetrics(against):
    role, source, triple = against
    value = visual_information_fidelity(*triple, reduction=role)
    pair = as_tensor(triple[2]), as_tensor(source)
    assert value == pytest.approx(piq.vif_p(*pair, data_range=255).item(), rel=1e-6)
    assert value == pytest.approx(torchmetrics.visual_information_fidelity(*pair).item(), rel=1e-6)


def test_psnr_is_torchmetrics_of_the_mean_error(triple):
    ir, vis, fused = (as_tensor(plane) for plane in triple)
    # One image beside the other: the mean squared error over both is the mean of the two.
    expected = torchmetrics.peak_signal_noise_ratio(
        torch.cat([fused, fused], -1), torch.cat([ir, vis], -1), data_range=255.0
    )
    assert psnr(*triple) == pytest.approx(expected.item(), rel=1e-6)


def test_statistics_of_the_fused_image_by_their_definitions(triple):
    fused = triple[2].astype(float)
    height, width = fused.shape
    assert standard_deviation(triple[2]) == pytest.approx(
        math.sqrt(np.sum((fused - fused.mean()) ** 2) / fused.size), rel=1e-12
    )
    across = sum(
        (fused[y, x] - fused[y, x - 1]) ** 2 for y in range(height) for x in range(1, width)
    )
    down = sum((fused[y, x] - fused[y - 1, x]) ** 2 for y in range(1, height) for x in range(width))
    assert spatial_frequency(triple[2]) == pytest.approx(
        math.sqrt(across / (height * (width - 1)) + down / ((height - 1) * width)), rel=1e-12
    )
    padded = np.pad(fused, 1, mode='reflect', reflect_type='odd')  # one-sided at the border
    gx = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    gy = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    expected = np.mean(np.sqrt((gx**2 + gy**2) / 2))
    assert average_gradient(triple[2]) == pytest.approx(expected, rel=1e-12)


def test_qrg_by_its_definition(large_triple):
    windows = [
        np.lib.stride_tricks.sliding_window_view(np.pad(plane, 3, mode='symmetric'), (7, 7))
        for plane in large_triple
    ]
    # Rounded, as a deviation of exactly 4 is not below 4.
    deviations = [np.std(window, axis=(2, 3)).round(12) for window in windows]
    quiet = (deviations[0] < 4) & (deviations[1] < 4)
    assert quiet.sum() >= 1000
    expected = deviations[2][quiet].mean() / np.maximum(*deviations[:2])[quiet].mean()
    assert quiet_region_gain(*large_triple) == pytest.approx(expected, rel=1e-10)


def sobel_at(plane, y, x, pad):
    """(sx, sy) at a pixel, where ``pad`` says what lies outside."""
    patch = np.pad(plane.astype(float), 1, **pad)[y : y + 3, x : x + 3]
    weights = np.array([1, 2, 1])
    return weights @ (patch[:, 2] - patch[:, 0]), (patch[0] - patch[2]) @ weights


def qabf_in_loops(ir, vis, fused):
    def edge(plane, y, x):
        sx, sy = sobel_at(plane, y, x, dict(mode='constant'))
        return math.hypot(sx, sy), math.atan(sy / sx) if sx else math.pi / 2

    kept = weight = 0.0
    for y, x in np.ndindex(fused.shape):
        strength_f, angle_f = edge(fused, y, x)
        for source in (ir, vis):
            strength, angle = edge(source, y, x)
            if strength == strength_f:
                ratio = strength
            else:
                ratio = min(strength, strength_f) / max(strength, strength_f)
            alignment = 1 - abs(angle - angle_f) / (math.pi / 2)
            quality = 0.9994 / (1 + math.exp(-15 * (ratio - 0.5)))
            quality *= 0.9879 / (1 + math.exp(-22 * (alignment - 0.8)))
            kept += quality * strength
            weight += strength
    return kept / weight


def nabf_in_loops(ir, vis, fused):
    def edge(plane, y, x):
        sx, sy = sobel_at(plane, y, x, dict(mode='reflect'))
        sx, sy = sx / 8, -sy / 8
        strength = math.hypot(sx, sy)
        if strength == 0:
            return 0.0, 0.0
        return strength, math.atan(sx / sy) if sy else math.copysign(math.pi / 2, sx)

    lost = weight = 0.0
    for y, x in np.ndindex(fused.shape):
        strength_f, angle_f = edge(fused, y, x)
        strengths = []
        terms = 0.0
        for source in (ir, vis):
            strength, angle = edge(source, y, x)
            strengths.append(strength)
            if strength == 0 or strength_f == 0:
                ratio = 0.0
            else:
                ratio = min(strength, strength_f) / max(strength, strength_f)
            alignment = abs(abs(angle - angle_f) - math.pi / 2) * 2 / math.pi
            quality = 0.9999 / (1 + math.exp(-19 * (ratio - 0.5)))
            quality *= 0.9995 / (1 + math.exp(-22 * (alignment - 0.5)))
            share = strength**1.5 if strength >= 2 else 0.001
            terms += (1 - math.sqrt(quality)) * share
            weight += share
        if strength_f > max(strengths):
            lost += terms
    return lost / weight


@pytest.mark.parametrize('crop', [(0, 0), (40, 30), (48, 62)])
def test_qabf_and_nabf_by_their_definitions(triple, crop):
    y, x = crop
    small = [plane[y : y + 24, x : x + 26].copy() for plane in triple]
    small[2] = np.clip(small[2] + np.random.default_rng(0).normal(0, 5, small[2].shape), 0, 255)
    small[2] = small[2].astype(np.uint8)
    assert qabf(*small) == pytest.approx(qabf_in_loops(*small), rel=1e-10)
    assert nabf(*small) == pytest.approx(nabf_in_loops(*small), rel=1e-10)
    assert nabf(*small) > 0.001

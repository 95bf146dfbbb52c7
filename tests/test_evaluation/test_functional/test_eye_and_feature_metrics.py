"""Qcb, Qcv, Qy, QNCIE and FMI against their definitions, written out in another way.

The witnesses work in loops, by convolution in the image plane and by the full complex transform.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import pywt
from scipy.fft import dctn
from scipy.signal import correlate2d
from sklearn.metrics import mutual_info_score

from mmsgdfuse.evaluation.functional import (
    FMI_FEATURES,
    METRIC_INFOS,
    feature_mutual_information,
    fusion_metrics,
    nonlinear_correlation_information_entropy,
    qcb,
    qcv,
    qy,
)
from mmsgdfuse.evaluation.functional.feature_information import _wavelet

NEW = ('Qcb', 'Qcv', 'Qy', 'QNCIE', *(f'FMI_{feature}' for feature in FMI_FEATURES))


@pytest.fixture(params=['whole', 'odd'])
def images(request, triple):
    """The triple as it is, and with an odd height and a width that is no multiple of 16."""
    return triple if request.param == 'whole' else [plane[:51, 3:60] for plane in triple]


def stretched(plane):
    low, high = plane.min(), plane.max()
    return np.array(
        [
            [math.floor((int(v) - low) / (int(high) - low) * 255 + 0.5) for v in row]
            for row in plane
        ],
        dtype=float,
    )


def through_the_eye(image, response, share):
    """An image after a filter of radial frequency; the highest is a side over ``share``."""
    height, width = image.shape
    spectrum = np.fft.fftshift(np.fft.fft2(image))
    for y, x in np.ndindex(image.shape):
        v = (y - height // 2) / (height / 2) * height / share
        u = (x - width // 2) / (width / 2) * width / share
        spectrum[y, x] *= response(math.hypot(u, v))
    filtered = np.fft.ifft2(np.fft.ifftshift(spectrum))
    assert np.abs(filtered.imag).max() < 1e-9
    return filtered.real


def test_qcb_by_its_definition(images):
    def sensitivity(r):
        return math.exp(-((r / 15.387) ** 2)) - 0.7622 * math.exp(-((r / 1.3456) ** 2))

    y, x = np.mgrid[-15:16, -15:16]
    narrow, wide = (
        np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * math.pi * sigma**2) for sigma in (2, 4)
    )

    def masked(plane):
        image = through_the_eye(stretched(plane), sensitivity, 30)
        contrast = correlate2d(image, narrow, 'same') / correlate2d(image, wide, 'same') - 1
        return np.abs(contrast) ** 3 / (np.abs(contrast) ** 2 + 1e-4)

    ir, vis, fused = (masked(plane) for plane in images)
    total = 0.0
    for place in np.ndindex(fused.shape):
        a, b, f = ir[place], vis[place], fused[place]
        weight = a * a / (a * a + b * b)
        total += weight * min(a / f, f / a) + (1 - weight) * min(b / f, f / b)
    assert qcb(*images) == pytest.approx(total / fused.size, rel=1e-9)


def test_qcv_by_its_definition(images):
    def sensitivity(r):
        return 2.6 * (0.0192 + 0.144 * r) * math.exp(-((0.144 * r) ** 1.1))

    ir, vis, fused = (stretched(plane) for plane in images)
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    seen = weights = 0.0
    for source in (ir, vis):
        edges = np.hypot(correlate2d(source, sobel, 'same'), correlate2d(source, sobel.T, 'same'))
        error = through_the_eye(source - fused, sensitivity, 8) ** 2
        for top in range(0, fused.shape[0], 16):
            for left in range(0, fused.shape[1], 16):
                block = np.s_[top : top + 16, left : left + 16]
                weight = (edges[block] ** 5).sum()
                seen += weight * error[block].sum() / 256
                weights += weight
    assert qcv(*images) == pytest.approx(seen / weights, rel=1e-9)


def test_qy_by_its_definition(images):
    offset = np.arange(-3, 4)
    window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    window /= window.sum()
    planes = [plane.astype(float) for plane in images]

    def similarity(first, second):
        mean1, mean2 = (window * first).sum(), (window * second).sum()
        var1 = (window * (first - mean1) ** 2).sum()
        var2 = (window * (second - mean2) ** 2).sum()
        covariance = (window * (first - mean1) * (second - mean2)).sum()
        return (2 * mean1 * mean2 / (mean1**2 + mean2**2)) * (2 * covariance / (var1 + var2)), var1

    values = []
    height, width = planes[0].shape
    for y in range(height - 6):
        for x in range(width - 6):
            ir, vis, fused = (plane[y : y + 7, x : x + 7] for plane in planes)
            of_ir, var_ir = similarity(ir, fused)
            of_vis, var_vis = similarity(vis, fused)
            if similarity(ir, vis)[0] >= 0.75:
                weight = var_ir / (var_ir + var_vis)
                values.append(weight * of_ir + (1 - weight) * of_vis)
            else:
                values.append(max(of_ir, of_vis))
    assert qy(*images) == pytest.approx(np.mean(values), rel=1e-9)


def test_qy_of_flat_regions():
    ramp = np.tile(np.arange(20, dtype=np.uint8) * 10, (20, 1))
    flat = np.full_like(ramp, 100)
    assert qy(flat, flat, flat) == 1
    assert qy(ramp, ramp, flat) == pytest.approx(0, abs=1e-12)
    # the sources differ everywhere, and F is one of them
    assert qy(ramp, flat, ramp) == pytest.approx(1)
    # equal in structure, so that only the means count
    assert qy(flat, flat, flat // 2) == pytest.approx(2 * 100 * 50 / (100**2 + 50**2))


def test_qncie_by_its_definition(images):
    ir, vis, fused = (plane.ravel() for plane in images)

    def shared(first, second):
        return mutual_info_score(first, second) / math.log(256)

    matrix = np.eye(3)
    for (i, first), (j, second) in [
        ((0, ir), (1, vis)),
        ((0, ir), (2, fused)),
        ((1, vis), (2, fused)),
    ]:
        matrix[i, j] = matrix[j, i] = shared(first, second)
    # the eigenvalues are the roots of the characteristic polynomial
    roots = np.roots(np.poly(matrix)).real / 3
    expected = 1 + sum(root * math.log(root, 256) for root in roots)
    assert nonlinear_correlation_information_entropy(*images) == pytest.approx(expected, rel=1e-9)


def test_qncie_spans_its_range():
    flat = np.zeros((16, 16), np.uint8)
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    lowest = 1 - math.log(3, 256)
    assert nonlinear_correlation_information_entropy(flat, flat, flat) == pytest.approx(lowest)
    assert nonlinear_correlation_information_entropy(every, every, every) == pytest.approx(1)


def features_of(plane, feature):
    image = plane.astype(float)
    if feature == 'gradient':
        padded = np.pad(image, ((0, 0), (1, 1)), mode='reflect', reflect_type='odd')
        return (padded[:, 2:] - padded[:, :-2]) / 2
    if feature == 'dct':
        return dctn(image, norm='ortho')
    if feature == 'wavelet':
        approximation, (horizontal, vertical, diagonal) = pywt.dwt2(image, 'dmey')
        return np.block([[approximation, horizontal], [vertical, diagonal]])
    return image


def information_of_window(first, second):
    """Nelsen's joint density cell by cell, with the bound that the sign of the correlation asks."""
    if (first == second).all():
        return 1.0

    def density(window):
        cells = window.T.ravel()  # column after column
        spread = cells.max() - cells.min()
        cells = (cells - cells.min()) / spread if spread else np.ones(9)
        return cells / cells.sum()

    p, q = density(first), density(second)
    centred_p, centred_q = p - p.mean(), q - q.mean()
    covariance = (centred_p * centred_q).sum()
    if abs(covariance) > 1e-15:
        correlation = covariance / math.sqrt((centred_p**2).sum() * (centred_q**2).sum())
    else:
        correlation = 0.0
    place = np.arange(1, 10)
    deviation_p = math.sqrt(max((place**2 * p).sum() - (place * p).sum() ** 2, 0))
    deviation_q = math.sqrt(max((place**2 * q).sum() - (place * q).sum() ** 2, 0))
    cum_p, cum_q = np.append(0, np.cumsum(p)), np.append(0, np.cumsum(q))

    def bound(i, j):
        if correlation >= 0:
            return min(cum_p[i], cum_q[j])
        return max(cum_p[i] + cum_q[j] - 1, 0)

    excess = sum(bound(i, j) - cum_p[i] * cum_q[j] for i in range(1, 10) for j in range(1, 10))
    share = 0.0
    if correlation and abs(excess) > 1e-12:
        share = correlation / (excess / (deviation_p * deviation_q))
    entropy = 0.0
    for i in range(1, 10):
        for j in range(1, 10):
            step = bound(i, j) - bound(i - 1, j) - bound(i, j - 1) + bound(i - 1, j - 1)
            joint = share * step + (1 - share) * p[i - 1] * q[j - 1]
            if joint:
                entropy -= joint * math.log2(abs(joint))
    alone = -sum(v * math.log2(v) for v in (*p, *q) if v)
    return 2 * (alone - entropy) / alone if alone else 0.0


@pytest.mark.parametrize('feature', FMI_FEATURES)
def test_fmi_by_its_definition(triple, feature):
    crops = [plane[4:17, 8:28] for plane in triple]
    ir, vis, fused = (features_of(plane, feature) for plane in crops)
    values = []
    for y in range(fused.shape[0] - 2):
        for x in range(fused.shape[1] - 2):
            windows = [plane[y : y + 3, x : x + 3] for plane in (ir, vis, fused)]
            values.append([information_of_window(window, windows[2]) for window in windows[:2]])
    of_ir, of_vis = np.mean(values, axis=0)
    calculated = {
        role: feature_mutual_information(*crops, feature=feature, reduction=role)
        for role in ('ir', 'vis', 'mean')
    }
    assert calculated['ir'] == pytest.approx(of_ir, rel=1e-6)
    assert calculated['vis'] == pytest.approx(of_vis, rel=1e-6)
    assert calculated['mean'] == pytest.approx((of_ir + of_vis) / 2, rel=1e-6)


def test_fmi_does_not_depend_on_how_windows_are_grouped(triple, monkeypatch):
    from mmsgdfuse.evaluation.functional import feature_information

    whole = feature_mutual_information(*triple)
    monkeypatch.setattr(feature_information, '_CHUNK', 37)
    assert feature_mutual_information(*triple) == pytest.approx(whole, rel=1e-12)


def test_the_wavelet_is_pywavelets(images):
    image = images[0].astype(float)
    approximation, (horizontal, vertical, diagonal) = pywt.dwt2(image, 'dmey')
    expected = np.block([[approximation, horizontal], [vertical, diagonal]])
    np.testing.assert_allclose(_wavelet(image), expected, atol=1e-9)


def test_fmi_names_its_features(triple):
    with pytest.raises(ValueError, match=r"one of .*'pixel'.*found 'edge'"):
        feature_mutual_information(*triple, feature='edge')


@pytest.mark.parametrize('name', NEW)
def test_copying_the_sources_is_the_best(name, triple):
    vis = triple[1]
    perfect = fusion_metrics(vis, vis, vis, [name])[name]
    worse = fusion_metrics(*triple, [name])[name]
    info = METRIC_INFOS[name]
    assert (perfect - worse) * info.direction > 0
    if name in ('Qcb', 'Qy') or name.startswith('FMI'):
        assert perfect == pytest.approx(1)
    if name == 'Qcv':
        assert perfect == 0


@pytest.mark.parametrize('name', NEW)
def test_constant_images_give_a_number_or_nan(name):
    flat, ramp = np.full((32, 32), 7, np.uint8), np.tile(np.arange(32, dtype=np.uint8), (32, 1))
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # no division by zero on the way
        warnings.filterwarnings('ignore', message='the .* image is constant')
        for images in ((flat, flat, flat), (flat, flat, ramp), (flat, ramp, flat)):
            value = fusion_metrics(*images, [name])[name]
            assert math.isfinite(value) or name == 'Qcv'
    assert math.isnan(fusion_metrics(flat, flat, ramp, ['Qcv'])['Qcv'])


def test_costly_metrics_are_computed_where_they_are_named(triple):
    assert not [name for name in fusion_metrics(*triple) if name.startswith('FMI')]
    assert list(fusion_metrics(*triple, ['FMI_pixel'])) == ['FMI_pixel']

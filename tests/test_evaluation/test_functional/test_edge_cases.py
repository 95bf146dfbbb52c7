"""What is refused, what is undefined, and what must not change a value."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from mmsgdfuse.evaluation.functional import (
    METRIC_INFOS,
    MS_SSIM_MIN_SIDE,
    PAPER_METRICS,
    UndefinedMetricWarning,
    entropy,
    fusion_metrics,
    ms_ssim,
    mutual_information,
    nabf,
    psnr,
    qabf,
    quiet_region_gain,
    resolve_names,
    ssim,
    to_luma,
    visual_information_fidelity,
)


def random_plane(seed, shape=(64, 64), low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8)


class TestLuma:
    def test_halves_are_rounded_to_even(self):
        # 299 R + 587 G + 114 B ends on 500 for both: 0.5 -> 0 and 1.5 -> 2.
        halves = [
            (r, g, b)
            for r in range(40)
            for g in range(4)
            for b in range(40)
            if (299 * r + 587 * g + 114 * b) % 1000 == 500
        ]
        assert len(halves) > 3
        for r, g, b in halves:
            exact = (299 * r + 587 * g + 114 * b) // 1000
            luma = to_luma(np.full((2, 2, 3), (r, g, b), np.uint8))
            assert luma[0, 0] == exact + exact % 2

    def test_grey_stored_as_rgb_stays_as_it_is(self):
        grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
        np.testing.assert_array_equal(to_luma(np.repeat(grey[..., None], 3, axis=2)), grey)
        np.testing.assert_array_equal(to_luma(grey[..., None]), grey)

    def test_channels_are_red_green_blue(self):
        pure = np.zeros((2, 6, 3), np.uint8)
        pure[:, 0:2, 0] = pure[:, 2:4, 1] = pure[:, 4:6, 2] = 255
        assert to_luma(pure)[0].tolist() == [76, 76, 150, 150, 29, 29]

    @pytest.mark.parametrize(
        ('image', 'error', 'message'),
        [
            ([[1, 2]], TypeError, 'numpy array'),
            (np.zeros((4, 4)), TypeError, 'uint8'),
            (np.full((4, 4), np.nan, np.float32), TypeError, 'uint8'),
            (np.zeros((4, 4), np.uint16), TypeError, 'uint16'),
            (np.zeros((4, 4, 4), np.uint8), ValueError, 'alpha'),
            (np.zeros((4, 4, 2), np.uint8), ValueError, 'alpha'),
            (np.zeros((4, 4, 5), np.uint8), ValueError, r'\(H, W, 3\)'),
            (np.zeros((1, 4, 4, 3), np.uint8), ValueError, r'\(H, W, 3\)'),
            (np.zeros((1, 4), np.uint8), ValueError, '2x2'),
        ],
    )
    def test_unfit_images_are_refused(self, image, error, message):
        with pytest.raises(error, match=message):
            to_luma(image)


def test_sizes_that_differ_are_refused_and_named():
    with pytest.raises(ValueError, match=r'ir 64x48, vis 64x48, fused 48x64'):
        fusion_metrics(
            random_plane(0, (48, 64)), random_plane(1, (48, 64)), random_plane(2, (64, 48))
        )


def test_the_image_at_fault_is_named():
    with pytest.raises(TypeError, match='vis must be uint8'):
        fusion_metrics(random_plane(0), random_plane(1) / 255, random_plane(2))


def test_names_are_checked():
    cheap = [name for name in METRIC_INFOS if not name.startswith('FMI_') and name != 'TD']
    assert resolve_names(None) == tuple(cheap)
    assert resolve_names(METRIC_INFOS, sequences=True) == tuple(METRIC_INFOS)
    with pytest.raises(ValueError, match="'MS-SSIM', did you mean 'MS_SSIM'"):
        resolve_names(['EN', 'MS-SSIM'])
    with pytest.raises(TypeError, match='sequence'):
        resolve_names('VIF')
    with pytest.raises(ValueError, match='no metric'):
        resolve_names([])


@pytest.mark.parametrize(
    'function', [mutual_information, visual_information_fidelity, ssim], ids=lambda f: f.__name__
)
def test_reductions_fit_together(function, triple):
    against_ir, against_vis, total, mean = (
        function(*triple, reduction=reduction) for reduction in ('ir', 'vis', 'sum', 'mean')
    )
    assert against_ir != against_vis
    assert total == against_ir + against_vis
    assert mean == total / 2
    with pytest.raises(ValueError, match='reduction'):
        function(*triple, reduction='none')


def test_unknown_ssim_window_is_refused(triple):
    with pytest.raises(ValueError, match="'gaussian' or 'uniform'"):
        ssim(*triple, window='box')


def test_layout_and_colour_of_the_arrays_do_not_matter(large_triple):
    expected = fusion_metrics(*large_triple)
    as_rgb = [np.repeat(plane[..., None], 3, axis=2) for plane in large_triple]
    assert fusion_metrics(*as_rgb) == expected
    assert fusion_metrics(*(np.asfortranarray(plane) for plane in large_triple)) == expected
    reversed_views = [plane[::-1, ::-1].copy()[::-1, ::-1] for plane in large_triple]
    assert fusion_metrics(*reversed_views) == expected


def test_inputs_are_not_changed(large_triple):
    before = [plane.copy() for plane in large_triple]
    for plane in large_triple:
        plane.setflags(write=False)
    fusion_metrics(*large_triple)
    for plane, copy in zip(large_triple, before):
        np.testing.assert_array_equal(plane, copy)


def test_no_thread_but_this_one_works(large_triple):
    """The threads of BLAS go on at full speed for a while when they have nothing left to do."""
    everyone, this_one = time.process_time(), time.thread_time()
    for _ in range(5):
        fusion_metrics(*large_triple, PAPER_METRICS)
    this_one = time.thread_time() - this_one
    assert time.process_time() - everyone < 1.2 * this_one


def test_exchanging_the_sources_changes_no_sum(large_triple):
    ir, vis, fused = large_triple
    every = [name for name, info in METRIC_INFOS.items() if not info.of_sequences]
    forth = fusion_metrics(ir, vis, fused, every)
    back = fusion_metrics(vis, ir, fused, every)
    for metric in every:
        other = {'VIF_ir': 'VIF_vi', 'VIF_vi': 'VIF_ir'}.get(metric, metric)
        assert back[other] == pytest.approx(forth[metric], rel=1e-12)


def test_entropy_of_a_constant_image_is_zero_without_sign():
    value = entropy(np.full((8, 8), 77, np.uint8))
    assert value == 0
    assert math.copysign(1, value) == 1


@pytest.mark.parametrize('level', [0, 1, 77, 254, 255])
def test_vif_of_a_constant_source_counts_as_kept_whole(level):
    flat, other = np.full((64, 64), level, np.uint8), random_plane(0)
    with pytest.warns(UndefinedMetricWarning, match=rf'infrared image is constant \({level}\)'):
        values = fusion_metrics(flat, other, random_plane(1), ['VIF_ir', 'CC', 'SCD', 'MI'])
    assert values['VIF_ir'] == 1.0
    assert math.isnan(values['CC'])
    assert math.isnan(values['SCD'])


@pytest.mark.parametrize('level', [1, 128, 255])
def test_vif_of_a_constant_result_is_zero(level):
    flat = np.full((64, 64), level, np.uint8)
    assert visual_information_fidelity(random_plane(0), random_plane(1), flat) == 0


def test_scd_is_undefined_where_the_result_equals_a_source():
    ir, vis = random_plane(0), random_plane(1)
    for fused in (ir, vis):
        assert math.isnan(fusion_metrics(ir, vis, fused, ['SCD'])['SCD'])


def test_scd_of_a_source_plus_a_constant_is_undefined_too():
    ir, vis = random_plane(0), random_plane(1, high=200)
    assert math.isnan(fusion_metrics(ir, vis, vis + 17, ['SCD'])['SCD'])


def test_qabf_and_mi_without_any_edge():
    black = np.zeros((48, 48), np.uint8)
    assert math.isnan(qabf(black, black, black))
    assert mutual_information(black, black, black) == 0
    assert nabf(black, black, black) == 0


def test_ms_ssim_needs_a_window_at_the_coarsest_scale():
    side = MS_SSIM_MIN_SIDE
    enough = [random_plane(seed, (side, side)) for seed in range(3)]
    assert 0 <= ms_ssim(*enough) <= 1
    with pytest.warns(UndefinedMetricWarning, match=str(side)):
        assert math.isnan(ms_ssim(*(plane[:-1] for plane in enough)))


def test_ssim_below_its_window_is_undefined():
    tiny = [random_plane(seed, (10, 30)) for seed in range(3)]
    with pytest.warns(UndefinedMetricWarning, match='11'):
        assert math.isnan(ssim(*tiny))


def test_psnr_limits():
    white, black = np.full((4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8)
    assert psnr(white, white, white) == math.inf
    assert psnr(white, white, black) == 0
    assert math.isnan(psnr(black, black, black, peak=None))


class TestQuietRegionGain:
    def test_amplified_noise_shows_by_its_factor(self):
        noise = random_plane(0, high=4)
        assert quiet_region_gain(100 + noise, 50 + noise // 2, 3 * noise) == pytest.approx(3)

    def test_undefined_with_fewer_than_1000_quiet_pixels(self):
        ir = random_plane(0)  # loud everywhere
        ir[:45, :45] = 9
        vis, fused = random_plane(1, high=4), random_plane(2, high=4)
        # The window reaches 3 pixels: 42 x 42 pixels are quiet, after this 31 x 31.
        assert quiet_region_gain(ir, vis, fused) > 0
        ir[34:] = random_plane(3)[34:]
        ir[:, 34:] = random_plane(3)[:, 34:]
        assert math.isnan(quiet_region_gain(ir, vis, fused))
        assert quiet_region_gain(ir, vis, fused, min_pixels=900) > 0

    def test_sources_without_any_noise(self):
        flat = np.full((64, 64), 9, np.uint8)
        assert math.isnan(quiet_region_gain(flat, flat, flat))
        assert quiet_region_gain(flat, flat, random_plane(0)) == math.inf


def test_paper_metrics_are_part_of_the_catalogue():
    assert set(PAPER_METRICS) <= set(METRIC_INFOS)
    assert len(PAPER_METRICS) == 7
    assert METRIC_INFOS['Nabf'].direction == -1
    assert METRIC_INFOS['QRG'].direction == 0


def test_mi_rewards_copying_and_qrg_exposes_amplified_noise(large_triple):
    """The traps that docs/metrics.md warns of, on our own scene."""
    ir, vis, fused = large_triple
    names = ['SF', 'AG', 'EN', 'MI', 'QRG']
    noise = np.random.default_rng(0).normal(0, 12, fused.shape)
    noisy = np.clip(fused + noise, 0, 255).astype(np.uint8)
    plain, loud = fusion_metrics(*large_triple, names), fusion_metrics(ir, vis, noisy, names)
    assert loud['SF'] > plain['SF']
    assert loud['AG'] > plain['AG']
    assert loud['QRG'] > 2 > plain['QRG']
    assert mutual_information(ir, vis, vis) > plain['MI']

"""The losses that stand for metrics, against the metrics themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.evaluation.functional import fusion_metrics
from mmsgdfuse.models.losses import (
    DifferenceCorrelationLoss,
    EdgePreservationLoss,
    QuietRegionLoss,
    SSIMLoss,
    VIFLoss,
)

ALL = [VIFLoss, EdgePreservationLoss, DifferenceCorrelationLoss, SSIMLoss, QuietRegionLoss]


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """uint8 (H, W) or (H, W, 3) -> float64 (1, C, H, W) in [-1, 1]."""
    planes = image[..., None] if image.ndim == 2 else image
    return torch.from_numpy(planes / 127.5 - 1).permute(2, 0, 1)[None]


def grey(image: np.ndarray) -> np.ndarray:
    """Luma as an RGB image, so that the metrics' rounding to 8 bits changes nothing."""
    luma = np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return np.repeat(luma[..., None], 3, axis=2)


def average(ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
    return np.rint(ir[..., None] / 2 + vis / 2).astype(np.uint8)


def brighter(ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
    return np.maximum(ir[..., None], vis)


def stretched(ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
    return np.clip(0.7 * ir[..., None] + 0.6 * vis, 0, 255).astype(np.uint8)


FUSIONS = [average, brighter, stretched]


@pytest.fixture(scope='module', params=[0, 1], ids=['day', 'night'])
def pair(request):
    scene = synthetic_scene(seed=request.param, size=(128, 160))
    return scene.ir, grey(scene.vis)


def loss_value(loss: torch.nn.Module, fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    return loss(to_tensor(fused), to_tensor(ir), to_tensor(vis)).item()


@pytest.mark.parametrize('fusion', FUSIONS)
class TestAgainstTheMetrics:
    def test_ssim_is_scikit_images(self, pair, fusion):
        ir, vis = pair
        fused = fusion(ir, vis)
        expected = np.mean(
            [
                structural_similarity(
                    source, fused[..., 0], data_range=255, gaussian_weights=True, sigma=1.5,
                    use_sample_covariance=False,
                )
                for source in (ir, vis[..., 0])
            ]
        )  # fmt: skip
        assert loss_value(SSIMLoss(), fused, ir, vis) == pytest.approx(1 - expected, abs=1e-9)

    def test_ssim_is_the_metric(self, pair, fusion):
        ir, vis = pair
        fused = fusion(ir, vis)
        metric = fusion_metrics(ir, vis, fused, ['SSIM'])['SSIM']
        assert loss_value(SSIMLoss(), fused, ir, vis) == pytest.approx(1 - metric, abs=1e-6)

    def test_vif_is_minus_the_metric(self, pair, fusion):
        ir, vis = pair
        fused = fusion(ir, vis)
        metric = fusion_metrics(ir, vis, fused, ['VIF'])['VIF']
        found = loss_value(VIFLoss(), fused, ir, vis)
        assert found == pytest.approx(-metric, abs=1e-4)

    def test_differences_without_a_floor_are_minus_the_metric(self, pair, fusion):
        ir, vis = pair
        fused = fusion(ir, vis)
        metric = fusion_metrics(ir, vis, fused, ['SCD'])['SCD']
        found = loss_value(DifferenceCorrelationLoss(floor=0), fused, ir, vis)
        assert found == pytest.approx(-metric, abs=1e-9)
        # the default's floor of one grey level hardly shows
        found = loss_value(DifferenceCorrelationLoss(), fused, ir, vis)
        assert found == pytest.approx(-metric, abs=0.01)

    def test_edges_are_close_to_the_metric(self, pair, fusion):
        # The loss wraps angles, reflects borders and takes equal strengths for equal, where
        # the metric, to agree with published numbers, does not.
        ir, vis = pair
        fused = fusion(ir, vis)
        metric = fusion_metrics(ir, vis, fused, ['Qabf'])['Qabf']
        found = loss_value(EdgePreservationLoss(), fused, ir, vis)
        assert found == pytest.approx(1 - metric, abs=0.05)


@pytest.mark.parametrize(('loss', 'metric'), [(VIFLoss, 'VIF'), (EdgePreservationLoss, 'Qabf')])
def test_loss_and_metric_rank_alike(pair, loss, metric):
    ir, vis = pair
    images = [fusion(ir, vis) for fusion in FUSIONS] + [np.full_like(vis, 90)]
    by_loss = np.argsort([loss_value(loss(), fused, ir, vis) for fused in images])
    by_metric = np.argsort([-fusion_metrics(ir, vis, fused, [metric])[metric] for fused in images])
    assert by_loss.tolist() == by_metric.tolist()


@pytest.mark.parametrize('loss', ALL)
class TestAll:
    def test_single_precision_is_enough(self, pair, loss):
        ir, vis = pair
        images = [to_tensor(image) for image in (average(ir, vis), ir, vis)]
        double = loss()(*images).item()
        single = loss()(*(image.float() for image in images)).item()
        assert single == pytest.approx(double, abs=2e-4)

    def test_autocast_changes_nothing(self, pair, loss):
        ir, vis = pair
        images = [to_tensor(image).float() for image in (stretched(ir, vis), ir, vis)]
        expected = loss()(*images)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            assert torch.equal(loss()(*images), expected)
            assert loss()(images[0].bfloat16(), *images[1:]).dtype == torch.float32

    def test_gradient_is_the_derivative(self, pair, loss):
        ir, vis = (to_tensor(image)[..., 40:82, 60:104] for image in pair)
        noise = torch.rand(1, 3, 42, 44, dtype=torch.float64)
        fused = (0.4 * ir + 0.4 * vis + 0.2 * noise).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda image: loss()(image, ir, vis), (fused,), eps=1e-7, atol=1e-5, fast_mode=True
        )

    @pytest.mark.parametrize('level', [-1.0, 0.3, 1.0])
    def test_flat_or_equal_images_have_bounded_gradients(self, pair, loss, level):
        ir, vis = (to_tensor(image).float()[..., :64, :64] for image in pair)
        flat = torch.full_like(vis, level)
        for sources in ((ir, vis), (flat[:, :1], vis), (ir, flat), (flat[:, :1], flat)):
            for image in (flat, sources[1], sources[0].expand_as(flat)):
                fused = image.clone().requires_grad_()
                value = loss()(fused, *sources)
                value.backward()
                assert torch.isfinite(value)
                assert fused.grad.norm() < 10

    def test_weight_multiplies(self, pair, loss):
        ir, vis = pair
        fused = vis[..., ::-1] // 2 + ir[..., None] // 3
        single = loss_value(loss(), fused, ir, vis)
        assert loss_value(loss(loss_weight=0.3), fused, ir, vis) == pytest.approx(0.3 * single)


@pytest.mark.parametrize('loss', [DifferenceCorrelationLoss, SSIMLoss])
def test_each_image_of_a_batch_counts_for_itself(loss):
    images = []
    for seed, fusion in enumerate(FUSIONS):
        scene = synthetic_scene(seed=seed, size=(48, 64))
        images.append([to_tensor(i) for i in (fusion(scene.ir, scene.vis), scene.ir, scene.vis)])
    batch = [torch.cat(stack) for stack in zip(*images)]
    expected = np.mean([loss()(*each).item() for each in images])
    assert loss()(*batch).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize('loss', [VIFLoss, EdgePreservationLoss])
def test_a_flat_crop_hardly_counts_in_a_batch(pair, loss):
    ir, vis = (to_tensor(image)[..., :64, :64] for image in pair)
    fused = 0.5 * vis + 0.5 * ir
    flat_ir, flat_vis = torch.full_like(ir, 0.1), torch.full_like(vis, 0.1)
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.002, vis.shape))
    alone = loss()(fused, ir, vis).item()
    batch = (
        torch.cat(each) for each in ((fused, flat_vis + noise), (ir, flat_ir), (vis, flat_vis))
    )
    assert loss()(*batch).item() == pytest.approx(alone, abs=0.03)


class TestVIF:
    def test_a_source_without_information_counts_as_nothing(self, pair):
        ir, vis = pair
        flat = np.full_like(ir, 77)
        alone = fusion_metrics(ir, vis, vis, ['VIF_vi'])['VIF_vi']
        assert loss_value(VIFLoss(), vis, flat, vis) == pytest.approx(-alone, abs=1e-3)

    def test_it_does_not_pay_to_show_in_each_crop_the_weightier_source(self):
        textures = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
        rich, poor = textures, textures.flip(0) * 0.05
        ir = torch.stack([rich[0], poor[1]])
        vis = torch.stack([poor[0], rich[1]]).expand(-1, 3, -1, -1)
        weightier = torch.cat([ir[:1].expand(-1, 3, -1, -1), vis[1:]])
        # either crop shows all of one source and nothing of the other
        assert VIFLoss()(weightier, ir, vis).item() == pytest.approx(-1, abs=0.1)

    def test_small_crops_are_refused(self):
        small = torch.zeros(1, 3, 40, 60)
        with pytest.raises(ValueError, match='at least 41 pixels, found'):
            VIFLoss()(small, small[:, :1], small)


class TestEdgePreservation:
    def test_a_copy_keeps_all_there_is_to_keep(self, pair):
        _, vis = pair
        found = loss_value(EdgePreservationLoss(), vis, vis[..., 0], vis)
        # the sigmoids end at 0.9994 / (1 + e^-7.5) * 0.9879 / (1 + e^-4.4)
        limit = 0.9994 / (1 + math.exp(-7.5)) * 0.9879 / (1 + math.exp(-4.4))
        assert found == pytest.approx(1 - limit, abs=0.005)

    def test_by_hand_at_a_step(self):
        """Half the step's height, along with the step: G = 0.5 and the angle is kept."""
        vis = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
        vis[..., 4:] = 0.4
        flat = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
        kept_angle = 0.9879 / (1 + math.exp(-22 * (1 - math.acos(1 - 1e-4) / (math.pi / 2) - 0.8)))
        expected = 1 - 0.9994 * 0.5 * kept_angle
        found = EdgePreservationLoss(floor=0.01)(vis / 2, flat, vis).item()
        assert found == pytest.approx(expected, abs=2e-3)

    def test_an_edge_across_is_lost(self):
        vis = torch.zeros(1, 3, 8, 8)
        vis[..., 4:] = 0.4
        found = EdgePreservationLoss(floor=0.01)(vis.transpose(2, 3), torch.zeros(1, 1, 8, 8), vis)
        assert found > 0.98


class TestQuietRegions:
    def test_a_checkerboard_on_flat_sources_by_hand(self):
        amplitude = 6.0  # grey levels
        rows, columns = np.indices((16, 20))
        board = (100 + amplitude * (-1.0) ** (rows + columns)) / 127.5 - 1
        fused = torch.from_numpy(board)[None, None].expand(1, 3, -1, -1)
        flat = torch.zeros(1, 3, 16, 20, dtype=torch.float64)
        # 49 pixels hold 25 of one colour and 24 of the other
        deviation = amplitude * math.sqrt(1 - 1 / 49**2)
        # a flat source counts as having a deviation of 0.1
        found = QuietRegionLoss(limit=0.5)(fused, flat[:, :1], flat).item()
        assert found == pytest.approx(deviation - 0.5 * 0.1, abs=1e-9)

    def test_by_hand_where_half_is_quiet(self, pair):
        ir, vis = pair
        fused = stretched(ir, vis)
        pads = [
            np.pad(p.astype(float), 3, mode='reflect') for p in (fused[..., 0], ir, vis[..., 0])
        ]
        excess = []
        for y in range(ir.shape[0]):
            for x in range(ir.shape[1]):
                of_fused, of_ir, of_vis = (p[y : y + 7, x : x + 7].std() for p in pads)
                noisier = max(of_ir, of_vis)
                if noisier < 4:
                    excess.append(max(of_fused - 0.8 * noisier, 0))
        assert 0.05 * ir.size < len(excess) < 0.95 * ir.size
        found = loss_value(QuietRegionLoss(limit=0.8), fused, ir, vis)
        assert found == pytest.approx(np.mean(excess), rel=1e-3)

    def test_what_the_sources_have_is_free(self, pair):
        ir, vis = pair
        for fused in (vis, ir[..., None].repeat(3, 2)):
            found = loss_value(QuietRegionLoss(limit=1), fused, ir, vis)
            assert found == pytest.approx(0, abs=1e-9)

    def test_nothing_is_quiet(self):
        noise = torch.randn(1, 3, 16, 16)
        assert QuietRegionLoss()(noise, noise[:, :1], noise).item() == 0

"""The fusion head: attention and aggregation by hand, and what each wiring keeps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import correlate2d
from scipy.special import expit

from mmsgdfuse.models.diffusion import HFAH, SpatialAttention
from mmsgdfuse.models.luma import luma_step
from mmsgdfuse.registry import MODELS

CHANNELS = [12, 8, 4]
SIZES = [(4, 6), (8, 12), (16, 24)]


def features(count: int = 2, timesteps: int = 3) -> list[list[torch.Tensor]]:
    return [
        [torch.randn(count, c, *size) for c, size in zip(CHANNELS, SIZES)] for _ in range(timesteps)
    ]


def pair(count: int = 2, low: float = -1, high: float = 1) -> tuple[torch.Tensor, torch.Tensor]:
    ir, vis = torch.rand(count, 1, 16, 24), torch.rand(count, 3, 16, 24)
    return low + (high - low) * ir, low + (high - low) * vis


def small_head(**kwargs) -> HFAH:
    return HFAH(CHANNELS, **{**dict(level_channels=4, hidden_channels=8), **kwargs})


def shake(module: torch.nn.Module) -> None:
    """Put something into layers that start at zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))


def opponent(image: torch.Tensor) -> np.ndarray:
    """Cr and Cb of RGB images in [-1, 1], by OpenCV: (N, 3, H, W) -> (N, H, W, 2)."""
    rgb = (image.detach().permute(0, 2, 3, 1).numpy() + 1) / 2
    return np.stack([cv2.cvtColor(np.ascontiguousarray(i), cv2.COLOR_RGB2YCrCb) for i in rgb])[
        ..., 1:
    ]


class TestSpatialAttention:
    def test_by_hand(self):
        module = SpatialAttention(kernel_size=3).double()
        x = torch.randn(1, 5, 6, 7, dtype=torch.float64)
        image = x[0].numpy()
        kernel = module.conv.weight.detach().numpy()[0]
        weight = expit(
            correlate2d(image.mean(0), kernel[0], mode='same')
            + correlate2d(image.max(0), kernel[1], mode='same')
            + module.conv.bias.item()
        )
        np.testing.assert_allclose(module(x)[0].detach().numpy(), image * weight, atol=1e-12)

    def test_one_weight_per_pixel_for_all_channels(self):
        x = torch.rand(1, 5, 6, 7) + 0.5
        ratio = SpatialAttention()(x) / x
        torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
        assert ratio.std() > 0


class TestHFAH:
    def test_aggregation_by_hand(self):
        head = small_head(num_timesteps=2)
        maps, (ir, vis) = features(timesteps=2), pair()
        joined = []
        for level, (conv, _, attention) in enumerate(head.levels):
            both = torch.cat([maps[0][level], maps[1][level]], dim=1)
            reduced = torch.einsum('nchw,dc->ndhw', both, conv.weight[:, :, 0, 0])
            reduced = reduced + conv.bias[:, None, None]
            weighted = attention(torch.where(reduced > 0, reduced, 0.1 * reduced))
            joined.append(F.interpolate(weighted, (16, 24), mode='bilinear', align_corners=False))
        joined.append(head.source(torch.cat([ir, vis], dim=1)))
        expected = torch.tanh(head.fuse(torch.cat(joined, dim=1)))
        torch.testing.assert_close(head(maps, ir, vis), expected, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize('prediction', ['image', 'luma'])
    @pytest.mark.parametrize('source_skip', [True, False])
    def test_image_of_the_inputs_size_in_range(self, prediction, source_skip):
        head = small_head(prediction=prediction, source_skip=source_skip)
        shake(head)
        fused = head(features(), *pair())
        assert fused.shape == (2, 3, 16, 24)
        assert fused.abs().max() <= 1
        assert fused.std() > 0

    def test_paper_wiring_sees_the_features_alone(self):
        head = small_head(source_skip=False)
        maps = features()
        assert torch.equal(head(maps, *pair()), head(maps, *pair()))

    def test_source_skip_shows_the_sources(self):
        head = small_head()
        maps, (ir, vis), (other_ir, other_vis) = features(), pair(), pair()
        fused = head(maps, ir, vis)
        assert not torch.allclose(fused, head(maps, other_ir, vis))
        assert not torch.allclose(fused, head(maps, ir, other_vis))

    def test_channels_of_the_sources(self):
        head = small_head(source_channels=6)
        assert [m.out_channels for m in head.source if isinstance(m, torch.nn.Conv2d)] == [6, 6]
        assert head.fuse[0][0].in_channels == 3 * 4 + 6
        assert head(features(), *pair()).shape == (2, 3, 16, 24)

    def test_each_timestep_and_level_counts(self):
        head = small_head()
        maps, (ir, vis) = features(), pair()
        fused = head(maps, ir, vis)
        for timestep in range(3):
            for level in range(3):
                changed = [list(scales) for scales in maps]
                changed[timestep][level] = torch.randn_like(changed[timestep][level])
                assert not torch.allclose(fused, head(changed, ir, vis))

    @pytest.mark.parametrize('prediction', ['image', 'luma'])
    def test_every_weight_is_trained(self, prediction):
        head = small_head(prediction=prediction)
        shake(head)
        head(features(), *pair(low=-0.3, high=0.3)).square().sum().backward()
        untrained = [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()]
        assert untrained == []

    def test_convolutions_are_counted(self):
        head = small_head(num_convs=4)
        convolutions = [m for m in head.fuse.modules() if isinstance(m, torch.nn.Conv2d)]
        assert [c.kernel_size for c in convolutions] == [(3, 3)] * 5

    def test_wrong_number_of_timesteps(self):
        with pytest.raises(ValueError, match='built for 3 timesteps, found features of 2'):
            small_head()(features(timesteps=2), *pair())

    def test_wrong_number_of_levels(self):
        with pytest.raises(ValueError, match=r'shorter|longer'):
            small_head()([scales[:2] for scales in features()], *pair())

    def test_unknown_prediction(self):
        with pytest.raises(ValueError, match=r"prediction must be one of .* found 'colour'"):
            small_head(prediction='colour')

    def test_is_registered(self):
        assert isinstance(MODELS.build(dict(type='HFAH', in_channels=CHANNELS)), HFAH)


class TestLuma:
    def test_chroma_is_the_visible_images(self):
        head = small_head(prediction='luma', residual_scale=0.2)
        shake(head)
        ir, vis = pair(low=-0.2, high=0.2)  # so that nothing clips
        fused = head(features(), ir, vis)
        assert fused.abs().max() < 1
        assert (fused - vis).abs().max() > 0.01
        np.testing.assert_allclose(opponent(fused), opponent(vis), atol=1e-5)

    def test_blend_by_hand(self):
        head = small_head(prediction='luma', residual_scale=0.25, share_window=1)
        shake(head)
        output = []
        head.fuse[-1].register_forward_hook(lambda module, args, result: output.append(result))
        ir, vis = pair(low=-0.2, high=0.2)
        fused = head(features(), ir, vis).detach().numpy()
        logit, residual = output[0].detach().numpy().transpose(1, 0, 2, 3)
        rgb = vis.numpy()
        luma = 0.299 * rgb[:, 0] + 0.587 * rgb[:, 1] + 0.114 * rgb[:, 2]
        surplus = np.maximum(ir.numpy()[:, 0] - luma, 0)
        assert 0 < (surplus > 0).mean() < 1
        share = expit(logit + head.contrast.item() * surplus)
        expected = rgb + (share * surplus + 0.25 * np.tanh(residual))[:, None]
        np.testing.assert_allclose(fused, expected, atol=1e-6)

    def test_dips_of_the_share_are_filled(self):
        ir, vis = torch.full((1, 1, 16, 24), 0.5), torch.zeros(1, 3, 16, 24)
        share = torch.full((1, 1, 16, 24), 8.0)
        share[..., 10:12] = -8.0  # a rim of two pixels, and an area of eight
        share[..., 16:24] = -8.0
        output = torch.cat([share, torch.zeros_like(share)], dim=1)
        for window, columns in {1: [10, 11, *range(16, 24)], 5: range(16, 24)}.items():
            fused = luma_step(output, ir, vis, 0.0, 0.2, window)
            expected = torch.full_like(fused, 0.5)
            expected[..., list(columns)] = 0
            torch.testing.assert_close(fused, expected, atol=1e-3, rtol=0)

    @pytest.mark.parametrize('window', [0, 4, -3])
    def test_window_must_be_odd(self, window):
        with pytest.raises(ValueError, match=f'share_window must be odd .* found {window}'):
            small_head(prediction='luma', share_window=window)

    def test_untrained_head_takes_the_brighter_source(self):
        ir, vis = pair()
        fused = small_head(prediction='luma', contrast=1e4)(features(), ir, vis)
        luma = (vis * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
        expected = (vis + (ir - luma).clamp_min(0)).clamp(-1, 1)
        torch.testing.assert_close(fused, expected, atol=1e-3, rtol=0)

    def test_contrast_is_trained(self):
        head = small_head(prediction='luma', contrast=20)
        assert head.contrast.item() == 20
        ir, vis = pair(low=-0.2, high=0.2)
        head(features(), ir, vis).sum().backward()
        assert head.contrast.grad != 0

    def test_residual_is_bounded(self):
        head = small_head(prediction='luma', residual_scale=0.1)
        with torch.no_grad():
            head.fuse[-1].bias.copy_(torch.tensor([0.0, 1e4]))
        grey = torch.zeros(2, 1, 16, 24)
        fused = head(features(), grey, grey.expand(2, 3, 16, 24))
        torch.testing.assert_close(fused, torch.full_like(fused, 0.1))


@pytest.mark.parametrize('patch_size', [1, 2])
@pytest.mark.parametrize('source_skip', [False, True])
def test_the_same_with_and_without_gradients(source_skip, patch_size):
    head = small_head(source_skip=source_skip, patch_size=patch_size)
    shake(head)
    maps, (ir, vis) = features(), pair()
    with torch.no_grad():
        without = head(maps, ir, vis)
    torch.testing.assert_close(without, head(maps, ir, vis).detach())


class TestMaskSkip:
    def test_masks_change_the_image(self):
        head = small_head(mask_skip=True)
        maps, (ir, vis) = features(), pair()
        inside = torch.ones(len(vis), 2, *vis.shape[-2:])
        assert not torch.allclose(head(maps, ir, vis, inside), head(maps, ir, vis, -inside))

    def test_masks_are_needed(self):
        with pytest.raises(ValueError, match='needs masks, found none'):
            small_head(mask_skip=True)(features(), *pair())

    def test_needs_the_sources(self):
        with pytest.raises(ValueError, match='mask_skip=True needs source_skip=True'):
            small_head(mask_skip=True, source_skip=False)


class TestPatches:
    def test_aggregation_by_hand(self):
        head = small_head(num_timesteps=1, patch_size=2)
        maps, (ir, vis) = features(timesteps=1), pair()
        joined = [
            F.interpolate(level(scale), (8, 12), mode='bilinear', align_corners=False)
            for level, scale in zip(head.levels, maps[0])
        ]
        # (N, 4, 2h, 2w) -> (N, 4, h, 2, w, 2): the four pixels of a square follow each channel
        squares = torch.cat([ir, vis], dim=1).reshape(2, 4, 8, 2, 12, 2)
        folded = squares.permute(0, 1, 3, 5, 2, 4).reshape(2, 16, 8, 12)
        small = head.fuse(torch.cat([*joined, head.source(folded)], dim=1))
        image = small.reshape(2, 3, 2, 2, 8, 12).permute(0, 1, 4, 2, 5, 3).reshape(2, 3, 16, 24)
        torch.testing.assert_close(head(maps, ir, vis), image.tanh(), atol=1e-5, rtol=1e-5)

    def test_untrained_head_takes_the_brighter_source(self):
        ir, vis = pair()
        kwargs = dict(prediction='luma', contrast=1e4)
        torch.testing.assert_close(
            small_head(patch_size=2, **kwargs)(features(), ir, vis),
            small_head(patch_size=1, **kwargs)(features(), ir, vis),
        )

    def test_sides_must_be_multiples(self):
        head = small_head(patch_size=2)
        assert head.size_divisor == 2
        ir, vis = pair()
        with pytest.raises(ValueError, match=r'sources of \(16, 23\).* multiples of patch_size=2'):
            head(features(), ir[..., :23], vis[..., :23])

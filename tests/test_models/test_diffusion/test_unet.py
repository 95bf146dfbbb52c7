"""The denoiser: sizes, feature order, conditioning on the noise level."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmsgdfuse.models.diffusion.unet import NoiseLevelEmbedding, NoiseUNet, ResidualBlock
from mmsgdfuse.models.preliminary import TransformerBlock
from mmsgdfuse.registry import MODELS


def small_unet(**kwargs) -> NoiseUNet:
    settings = dict(base_channels=8, channel_mults=(1, 2, 3), num_res_blocks=1)
    return NoiseUNet(**{**settings, **kwargs})


def levels(*values: float) -> torch.Tensor:
    return torch.tensor(values)


class TestNoiseLevelEmbedding:
    def test_sinusoids_by_hand(self):
        embedding = NoiseLevelEmbedding(channels=6, scale=100.0)
        captured = []
        embedding.mlp.register_forward_pre_hook(lambda module, args: captured.append(args[0]))
        found = embedding(levels(0.25, 1.0))
        assert found.shape == (2, 6)
        for row, level in zip(captured[0], (0.25, 1.0)):
            phases = [level * 100.0 * 10000 ** (-k / 3) for k in range(3)]
            expected = [math.sin(p) for p in phases] + [math.cos(p) for p in phases]
            np.testing.assert_allclose(row.numpy(), expected, atol=1e-5)

    def test_tells_the_feature_timesteps_apart(self):
        embedding = NoiseLevelEmbedding(channels=32)
        # sqrt(alpha_bar) at t = 5, 50 and 100 of the default schedule
        rows = embedding(levels(0.99991, 0.99356, 0.97466))
        distances = torch.cdist(rows, rows) + torch.eye(3)
        assert distances.min() > 0.05

    def test_is_no_part_of_the_checkpoint(self):
        assert 'frequencies' not in NoiseLevelEmbedding(8).state_dict()


class TestResidualBlock:
    @pytest.mark.parametrize(('width_in', 'width_out'), [(6, 6), (6, 4)])
    def test_by_hand(self, width_in, width_out):
        block = ResidualBlock(width_in, width_out, embed_channels=5)
        x, embedding = torch.randn(2, width_in, 7, 9), torch.randn(2, 5)
        norm, conv = block.first[0], block.first[2]
        assert norm.num_groups == math.gcd(width_in, 8)
        groups = x.reshape(2, norm.num_groups, -1)
        normed = (groups - groups.mean(-1, keepdim=True)) / (
            groups.var(-1, keepdim=True, unbiased=False) + norm.eps
        ).sqrt()
        normed = normed.reshape(x.shape)
        hidden = F.conv2d(normed * normed.sigmoid(), conv.weight, conv.bias, padding=1)
        shift = embedding @ block.embed.weight.t() + block.embed.bias
        hidden = block.second(hidden + shift[:, :, None, None])
        residual = x if width_in == width_out else block.skip(x)
        torch.testing.assert_close(block(x, embedding), hidden + residual, atol=1e-5, rtol=1e-5)

    def test_dropout_acts_in_training_alone(self):
        block = ResidualBlock(4, 4, embed_channels=5, dropout=0.5)
        x, embedding = torch.randn(1, 4, 8, 8), torch.randn(1, 5)
        assert not torch.equal(block(x, embedding), block(x, embedding))
        block.eval()
        assert torch.equal(block(x, embedding), block(x, embedding))


class TestNoiseUNet:
    @pytest.mark.parametrize('patch_size', [1, 2])
    @pytest.mark.parametrize('size', [(8, 8), (24, 40)])
    def test_output_is_shaped_like_the_input(self, patch_size, size):
        net = small_unet(patch_size=patch_size, channel_mults=(1, 2, 3)[: 4 - patch_size])
        x = torch.randn(2, 5, *size)
        assert net(x, levels(0.5, 0.9)).shape == x.shape

    def test_papers_net_has_five_levels(self):
        with torch.device('meta'):
            net = NoiseUNet()
        assert net.in_channels == 5
        assert net.feature_channels == [512, 512, 256, 128, 64]
        assert net.size_divisor == 16

    @pytest.mark.parametrize('patch_size', [1, 2])
    def test_features_come_coarsest_first(self, patch_size):
        net = small_unet(channel_mults=(1, 2, 3, 3), patch_size=patch_size)
        assert net.size_divisor == 8 * patch_size
        height, width = 2 * net.size_divisor, 3 * net.size_divisor
        found = net.features(torch.randn(2, 5, height, width), levels(0.1, 0.7))
        assert net.feature_channels == [24, 24, 16, 8]
        assert [tuple(f.shape) for f in found] == [
            (2, channels, height // scale // patch_size, width // scale // patch_size)
            for channels, scale in zip(net.feature_channels, (8, 4, 2, 1))
        ]

    def test_the_output_layer_reads_the_finest_features(self):
        net = small_unet()
        x, level = torch.randn(1, 5, 16, 16), levels(0.3)
        torch.testing.assert_close(net(x, level), net.head(net.features(x, level)[-1]))

    def test_every_level_of_the_encoder_reaches_its_partner(self):
        """Without the way through the bottom, each skip still carries the image across."""
        net = small_unet()
        torch.nn.init.zeros_(net.mid_second.second[-1].weight)
        first, second = torch.randn(2, 1, 5, 16, 16)
        level = levels(0.3)
        for a, b in zip(net.features(first, level), net.features(second, level)):
            assert not torch.allclose(a, b)

    @pytest.mark.parametrize('size', [(16, 18), (18, 16), (15, 16)])
    def test_sides_that_do_not_fit_are_refused(self, size):
        with pytest.raises(ValueError, match=r'not a multiple of 4; set pad_size_divisor=4'):
            small_unet()(torch.randn(1, 5, *size), levels(0.5))

    def test_noise_level_matters_and_is_each_images_own(self):
        net = small_unet().eval()
        x = torch.randn(1, 5, 16, 16)
        both = net(x.repeat(2, 1, 1, 1), levels(0.2, 0.8))
        assert not torch.allclose(both[0], both[1])
        torch.testing.assert_close(both[:1], net(x, levels(0.2)), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(both[1:], net(x, levels(0.8)), atol=1e-5, rtol=1e-4)

    def test_middle_attention_is_an_option(self):
        assert isinstance(small_unet().mid_attention, TransformerBlock)
        net = small_unet(mid_attention=False)
        assert isinstance(net.mid_attention, torch.nn.Identity)
        assert net(torch.randn(1, 5, 8, 8), levels(0.5)).shape == (1, 5, 8, 8)

    def test_res_blocks_are_counted_per_level(self):
        net = small_unet(num_res_blocks=3)
        assert [len(level.blocks) for level in [*net.encoder, *net.decoder]] == [3] * 6
        assert net(torch.randn(1, 5, 8, 8), levels(0.5)).shape == (1, 5, 8, 8)

    def test_every_weight_is_trained(self):
        net = small_unet(patch_size=2)
        net(torch.randn(2, 5, 16, 16), levels(0.2, 0.8)).square().sum().backward()
        untrained = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
        assert untrained == []

    def test_learns_the_noise_of_one_image(self):
        """A few steps on one image bring Eq. 12 well below 1, the value of predicting nothing."""
        net = small_unet(base_channels=16, channel_mults=(1, 2))
        clean = torch.rand(1, 5, 16, 16) * 2 - 1
        optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
        for _ in range(60):
            noise = torch.randn(4, *clean.shape[1:])
            noised = 0.6 * clean + 0.8 * noise
            loss = F.mse_loss(net(noised, torch.full((4,), 0.6)), noise)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss < 0.3

    def test_is_registered(self):
        net = MODELS.build(dict(type='NoiseUNet', base_channels=8, channel_mults=(1, 2)))
        assert isinstance(net, NoiseUNet)

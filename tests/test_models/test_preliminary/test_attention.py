"""Attention across channels against loops over heads and channels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmsgdfuse.models.preliminary import (
    ChannelAttention,
    CrossAttention,
    GatedFeedForward,
    TransformerBlock,
)
from mmsgdfuse.models.preliminary.attention import ChannelLayerNorm


def attend_by_loops(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, temperature: np.ndarray
) -> np.ndarray:
    """Restormer's transposed attention, one pair of channels at a time: (C, H, W) each."""
    channels, heads = len(query), len(temperature)
    per_head = channels // heads
    output = np.zeros_like(value)
    for head in range(heads):
        members = range(head * per_head, (head + 1) * per_head)
        for i in members:
            logits = [
                float(temperature[head])
                * (query[i] * key[j]).sum()
                / math.sqrt((query[i] ** 2).sum() * (key[j] ** 2).sum())
                for j in members
            ]
            shares = np.exp(np.array(logits) - max(logits))
            shares /= shares.sum()
            for share, j in zip(shares, members):
                output[i] += share * value[j]
    return output


class TestChannelAttention:
    @pytest.mark.parametrize('with_context', [False, True])
    def test_equals_the_loops(self, with_context):
        module = ChannelAttention(channels=6, num_heads=2).double()
        torch.nn.init.uniform_(module.temperature, 0.5, 3)
        x = torch.randn(2, 6, 5, 7, dtype=torch.float64)
        context = torch.randn(2, 6, 5, 7, dtype=torch.float64) if with_context else x
        with torch.no_grad():
            query = module.query(x).numpy()
            key, value = module.key_value(context).numpy().reshape(2, 2, 6, 5, 7).swapaxes(0, 1)
            temperature = module.temperature.numpy().ravel()
            expected = np.stack(
                [attend_by_loops(q, k, v, temperature) for q, k, v in zip(query, key, value)]
            )
            expected = module.out(torch.from_numpy(expected))
            found = module(x, context) if with_context else module(x)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)

    def test_channels_last_memory_changes_nothing(self):
        module = ChannelAttention(channels=8, num_heads=4)
        x = torch.randn(2, 8, 6, 10)
        expected = module(x)
        module.to(memory_format=torch.channels_last)
        found = module(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)

    def test_a_channel_of_zeros_gives_numbers(self):
        module = ChannelAttention(channels=4, num_heads=2)
        output = module(torch.zeros(1, 4, 6, 6))
        output.sum().backward()
        assert torch.isfinite(output).all()
        assert all(torch.isfinite(p.grad).all() for p in module.parameters())

    def test_affinity_is_between_channels_and_not_between_pixels(self):
        """The largest tensor on the way grows with the pixels, not with their square."""
        largest = {}

        class Spy(torch.overrides.TorchFunctionMode):
            def __torch_function__(self, func, types, args=(), kwargs=None):
                result = func(*args, **(kwargs or {}))
                if isinstance(result, torch.Tensor):
                    largest[side] = max(largest.get(side, 0), result.numel())
                return result

        module = ChannelAttention(channels=8, num_heads=2)
        for side in (16, 64):
            with torch.no_grad(), Spy():
                module(torch.randn(1, 8, side, side))
        assert largest[64] == 16 * largest[16] == 2 * 8 * 64**2

    def test_heads_must_divide_channels(self):
        with pytest.raises(ValueError, match='channels=10 must be a multiple of num_heads=4'):
            ChannelAttention(channels=10, num_heads=4)


class TestChannelLayerNorm:
    def test_each_pixel_is_normalised_over_its_channels(self):
        norm = ChannelLayerNorm(5)
        torch.nn.init.normal_(norm.norm.weight)
        torch.nn.init.normal_(norm.norm.bias)
        x = torch.randn(2, 5, 3, 4)
        found = norm(x).detach().numpy()
        weight, bias = norm.norm.weight.detach().numpy(), norm.norm.bias.detach().numpy()
        for n in range(2):
            for row in range(3):
                for column in range(4):
                    pixel = x[n, :, row, column].numpy()
                    expected = (pixel - pixel.mean()) / np.sqrt(pixel.var() + 1e-5)
                    np.testing.assert_allclose(
                        found[n, :, row, column], expected * weight + bias, atol=1e-5
                    )


class TestGatedFeedForward:
    def test_one_half_gates_the_other(self):
        module = GatedFeedForward(channels=4, expansion=1.5)
        x = torch.randn(2, 4, 5, 6)
        hidden = module.local(module.expand(x))
        assert hidden.shape[1] == 2 * 6
        expected = module.project(F.gelu(hidden[:, :6]) * hidden[:, 6:])
        torch.testing.assert_close(module(x), expected)


class TestTransformerBlock:
    def test_order_of_norms_and_residuals(self):
        block = TransformerBlock(channels=4, num_heads=2)
        x = torch.randn(1, 4, 6, 6)
        middle = x + block.attention(block.norm_attention(x))
        expected = middle + block.feed_forward(block.norm_feed_forward(middle))
        torch.testing.assert_close(block(x), expected)

    def test_without_its_two_last_layers_it_is_the_identity(self):
        block = TransformerBlock(channels=4, num_heads=2)
        for layer in (block.attention.out, block.feed_forward.project):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        x = torch.randn(1, 4, 6, 6)
        torch.testing.assert_close(block(x), x)


class TestCrossAttention:
    def test_the_query_is_the_modality_itself(self):
        module = CrossAttention(channels=4, num_heads=2)
        ir, vis = torch.randn(1, 4, 6, 8), torch.randn(1, 4, 6, 8)
        normed_ir, normed_vis = module.norm_ir(ir), module.norm_vis(vis)
        expected_ir = ir + module.ir_from_vis(normed_ir, context=normed_vis)
        expected_vis = vis + module.vis_from_ir(normed_vis, context=normed_ir)
        found_ir, found_vis = module(ir, vis)
        torch.testing.assert_close(found_ir, expected_ir)
        torch.testing.assert_close(found_vis, expected_vis)

    def test_each_modality_sees_the_other(self):
        module = CrossAttention(channels=4, num_heads=2)
        ir, vis, other = (torch.randn(1, 4, 6, 8) for _ in range(3))
        assert not torch.allclose(module(ir, vis)[0], module(ir, other)[0])
        assert not torch.allclose(module(ir, vis)[1], module(other, vis)[1])

"""The Stage I network: sizes, options, and what its output depends on."""

from __future__ import annotations

import pytest
import torch

from mmsgdfuse.models.preliminary import MSFEM, PreliminaryNet, TransformerBlock
from mmsgdfuse.registry import MODELS


def pair(height: int = 16, width: int = 24, count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(count, 1, height, width) * 2 - 1, torch.rand(count, 3, height, width) * 2 - 1


@pytest.mark.parametrize('patch_size', [1, 2])
def test_colour_image_of_the_inputs_size(patch_size):
    net = PreliminaryNet(channels=8, depth=1, num_heads=2, patch_size=patch_size)
    fused = net(*pair(18, 22))
    assert fused.shape == (2, 3, 18, 22)
    assert fused.abs().max() <= 1
    assert fused.abs().max() > 0


def test_odd_sizes_without_patches():
    net = PreliminaryNet(channels=8, depth=1, num_heads=2)
    assert net.size_divisor == 1
    assert net(*pair(33, 47, count=1)).shape == (1, 3, 33, 47)


def test_patches_need_sizes_that_they_divide():
    net = PreliminaryNet(channels=8, depth=1, num_heads=2, patch_size=2)
    assert net.size_divisor == 2
    with pytest.raises(RuntimeError, match='divisible'):
        net(*pair(33, 47))


@pytest.mark.parametrize('depth', [2, 3, 4])
def test_depth_counts_the_blocks_of_each_branch(depth):
    net = PreliminaryNet(channels=8, depth=depth, num_heads=2)
    assert sum(isinstance(m, MSFEM) for m in net.ir_branch) == depth
    assert sum(isinstance(m, TransformerBlock) for m in net.vis_branch) == depth


def test_both_modalities_enter():
    net = PreliminaryNet(channels=8, depth=1, num_heads=2)
    (ir, vis), (other_ir, other_vis) = pair(), pair()
    fused = net(ir, vis)
    assert not torch.allclose(fused, net(other_ir, vis))
    assert not torch.allclose(fused, net(ir, other_vis))


def test_an_image_does_not_depend_on_its_batch():
    net = PreliminaryNet(channels=8, depth=2, num_heads=2)
    ir, vis = pair(count=3)
    together = net(ir, vis)
    alone = torch.cat([net(ir[i : i + 1], vis[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_every_weight_is_trained():
    net = PreliminaryNet(channels=8, depth=2, num_heads=2, patch_size=2)
    net(*pair()).square().sum().backward()
    untrained = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert untrained == []


def test_heads_must_divide_channels():
    with pytest.raises(ValueError, match='multiple of num_heads=4'):
        PreliminaryNet(channels=30, num_heads=4)


def test_is_registered():
    net = MODELS.build(dict(type='PreliminaryNet', channels=8, depth=1, num_heads=2))
    assert isinstance(net, PreliminaryNet)

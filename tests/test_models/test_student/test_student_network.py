"""The student's network: what it starts from, what it keeps, what it sees and what it costs."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config

from mmsgdfuse.models.luma import luma
from mmsgdfuse.models.student import StudentNet
from mmsgdfuse.registry import MODELS
from mmsgdfuse.utils.profiling import count_flops, count_parameters


def pair(size: tuple[int, int] = (16, 24), limit: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    ir, vis = torch.rand(2, 1, *size), torch.rand(2, 3, *size)
    return limit * (2 * ir - 1), limit * (2 * vis - 1)


def small_net(trained: bool = True, **kwargs) -> StudentNet:
    """A small network; ``trained`` puts something into the layer that starts at zero."""
    net = StudentNet(**{**dict(widths=(8, 8, 8), depths=(1, 2, 1)), **kwargs})
    if trained:
        with torch.no_grad():
            net.output.weight.normal_(std=0.3)
    return net


def test_untrained_takes_the_brighter_source():
    ir, vis = pair()
    fused = small_net(trained=False, contrast=1e4)(ir, vis)
    expected = (vis + (ir - luma(vis)).clamp_min(0)).clamp(-1, 1)
    torch.testing.assert_close(fused, expected, atol=1e-3, rtol=0)


def test_the_same_step_on_each_channel_keeps_the_chroma():
    ir, vis = pair(limit=0.2)
    step = small_net(residual_scale=0.2)(ir, vis) - vis
    torch.testing.assert_close(step, step[:, :1].expand_as(step), atol=1e-6, rtol=0)
    assert step.std() > 0.01


def test_colour_does_not_matter_to_the_step():
    ir, vis = pair(limit=0.2)
    grey = luma(vis).expand_as(vis)
    net = small_net(residual_scale=0.2)
    torch.testing.assert_close(net(ir, vis) - vis, net(ir, grey) - grey, atol=1e-5, rtol=0)


def test_residual_is_bounded():
    net = small_net(trained=False, residual_scale=0.1)
    with torch.no_grad():
        net.output.bias.fill_(1e4)
    grey = torch.zeros(2, 1, 16, 24)
    fused = net(grey, grey.expand(2, 3, 16, 24))
    torch.testing.assert_close(fused, torch.full_like(fused, 0.1))


@pytest.mark.parametrize('widths', [(8,), (8, 4), (8, 6, 4, 8)])
def test_any_number_of_levels(widths):
    net = small_net(widths=widths, depths=[1] * len(widths))
    assert net.size_divisor == 2 ** len(widths)
    ir, vis = pair((net.size_divisor, 3 * net.size_divisor))
    fused = net(ir, vis)
    assert fused.shape == vis.shape
    assert fused.abs().max() <= 1


def test_coarse_levels_see_farther():
    def reach(net: StudentNet) -> int:
        """Rows and columns from a pixel of the sources to the farthest that it changes."""
        torch.manual_seed(1)
        ir, vis = pair((64, 64), limit=0.2)
        changed = ir.clone()
        changed[..., 0, 0] += 0.5
        rows = (net(changed, vis) - net(ir, vis)).abs().amax(dim=(0, 1, 3))
        return int(rows.nonzero().max())

    near = reach(small_net(widths=(8,), depths=(1,)))
    far = reach(small_net(widths=(8, 8, 8), depths=(1, 1, 1)))
    assert near < 10
    assert far > 2 * near


def test_every_weight_is_trained():
    net = small_net()
    net(*pair((32, 32), limit=0.3)).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_depths_count_the_convolutions():
    net = small_net(widths=(4, 6), depths=(2, 3))
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    sizes = sorted((c.in_channels, c.out_channels, c.stride[0]) for c in convolutions)
    down = [(8, 4, 1), (4, 4, 1), (4, 6, 2), (6, 6, 1), (6, 6, 1)]
    up = [(6, 4, 1), (4, 4, 1), (4, 4, 1), (4, 8, 1)]
    assert sizes == sorted(down + up)


@pytest.mark.parametrize(
    ('widths', 'depths'), [((), ()), ((8, 8), (1,)), ((8,), (0,)), ((8,), (1, 1))]
)
def test_bad_levels(widths, depths):
    with pytest.raises(ValueError, match='widths and depths need one number per level'):
        StudentNet(widths, depths)


def test_the_shipped_size_is_within_its_budget(repository):
    """Under 100,000 parameters, and few enough operations for 15 pairs a second on two cores."""
    cfg = Config.fromfile(repository / 'configs' / 'sgdfuse-student_ivif.py')
    net = MODELS.build(dict(cfg.model.network, _scope_='mmsgdfuse'))
    assert count_parameters(net) < 100_000
    with torch.inference_mode():
        flops = count_flops(lambda: net(torch.zeros(1, 1, 120, 160), torch.zeros(1, 3, 120, 160)))
    assert 16 * flops < 4e9

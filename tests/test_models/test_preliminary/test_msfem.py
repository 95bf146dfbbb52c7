"""MSFEM against Eq. 1-5, worked out with scipy's correlation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from scipy.special import expit

from mmsgdfuse.models.preliminary import MSFEM

Layer = tuple[np.ndarray, np.ndarray]


def weights_of(conv: torch.nn.Conv2d) -> Layer:
    return conv.weight.detach().numpy(), conv.bias.detach().numpy()


def convolve(image: np.ndarray, layer: Layer) -> np.ndarray:
    """Every output channel sums over all input channels: (C, H, W) -> (D, H, W)."""
    weight, bias = layer
    return np.stack(
        [
            sum(correlate2d(plane, kernel, mode='same') for plane, kernel in zip(image, kernels))
            + offset
            for kernels, offset in zip(weight, bias)
        ]
    )


def convolve_depthwise(image: np.ndarray, layer: Layer) -> np.ndarray:
    """Every output channel sees its own input channel alone."""
    weight, bias = layer
    assert weight.shape[1] == 1
    return np.stack(
        [
            correlate2d(plane, kernel[0], mode='same') + offset
            for plane, kernel, offset in zip(image, weight, bias)
        ]
    )


def test_equations_one_to_five():
    channels = 3
    module = MSFEM(channels).double()
    image = torch.randn(2, channels, 9, 11, dtype=torch.float64)
    output = module(image).detach().numpy()

    one, three, five, seven = (weights_of(branch) for branch in module.branches)
    assert [kernel[0].shape[-1] for kernel in (one, three, five, seven)] == [1, 3, 5, 7]
    first, pointwise, second = (weights_of(layer) for layer in module.enhance)
    for source, found in zip(image.numpy(), output):
        f1, f2, f3, f4 = (convolve(source, kernel) for kernel in (one, three, five, seven))  # (1)
        f_ms = np.concatenate([f2, f3, f4])  # (2)
        f_enh = convolve_depthwise(convolve(convolve_depthwise(f_ms, first), pointwise), second)
        f_cat = np.concatenate([f_enh, f1])  # (4)
        expected = source + expit(convolve(f_cat, weights_of(module.reduce)))  # (5)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_a_module_without_weights_adds_one_half():
    module = MSFEM(4)
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    image = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(module(image), image + 0.5)


@pytest.mark.parametrize('size', [(1, 1), (5, 9), (32, 33)])
def test_keeps_the_shape(size):
    assert MSFEM(8)(torch.randn(2, 8, *size)).shape == (2, 8, *size)


def test_every_weight_is_trained():
    module = MSFEM(4)
    module(torch.randn(1, 4, 8, 8)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())


def test_channels_that_do_not_fit_are_refused():
    with pytest.raises(RuntimeError, match='channels'):
        MSFEM(4)(torch.randn(1, 3, 8, 8))

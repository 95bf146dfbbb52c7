"""What the losses share, against numpy by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmsgdfuse.models.losses.functional import (
    correlation,
    gaussian_kernel,
    gradient_magnitude,
    local_moments,
    luma,
    separable_filter,
    sobel,
    to_grey_levels,
)


def sobel_by_hand(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of one plane, pixel by pixel, borders mirrored."""
    padded = np.pad(image, 1, mode='reflect')
    across, down = np.zeros_like(image), np.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            a, b, c = padded[y, x : x + 3]
            d, _, f = padded[y + 1, x : x + 3]
            g, h, i = padded[y + 2, x : x + 3]
            across[y, x] = (c + 2 * f + i) - (a + 2 * d + g)
            down[y, x] = (g + 2 * h + i) - (a + 2 * b + c)
    return across, down


class TestLuma:
    def test_by_hand(self):
        image = torch.tensor([[0.5, -1.0], [0.1, 0.2], [1.0, -0.6]]).reshape(1, 3, 1, 2)
        expected = [
            0.299 * 0.5 + 0.587 * 0.1 + 0.114 * 1.0,
            0.299 * -1.0 + 0.587 * 0.2 + 0.114 * -0.6,
        ]
        assert luma(image).flatten().tolist() == pytest.approx(expected, abs=1e-6)

    def test_grey_stays_as_it_is(self):
        grey = torch.rand(2, 1, 4, 5)
        assert luma(grey) is grey
        torch.testing.assert_close(luma(grey.expand(2, 3, 4, 5)), grey)

    def test_other_channels_are_refused(self):
        with pytest.raises(ValueError, match='1 or 3 channels, found 4'):
            luma(torch.rand(1, 4, 2, 2))

    def test_grey_levels(self):
        image = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 1, 1, 3)
        assert to_grey_levels(image).flatten().tolist() == [0.0, 127.5, 255.0]


class TestSobel:
    def test_by_hand(self):
        image = torch.randn(2, 3, 5, 7, dtype=torch.float64)
        across, down = sobel(image)
        assert across.shape == down.shape == image.shape
        for n in range(2):
            for c in range(3):
                expected_across, expected_down = sobel_by_hand(image[n, c].numpy())
                np.testing.assert_allclose(across[n, c].numpy(), expected_across, atol=1e-12)
                np.testing.assert_allclose(down[n, c].numpy(), expected_down, atol=1e-12)

    def test_a_step_of_one_gives_four(self):
        image = torch.zeros(1, 1, 6, 6)
        image[..., 3:] = 1
        across, down = sobel(image)
        assert across[0, 0, 2].tolist() == [0, 0, 4, 4, 0, 0]
        assert not down.any()

    def test_magnitude_adds_both(self):
        image = torch.randn(1, 2, 4, 4)
        across, down = sobel(image)
        torch.testing.assert_close(gradient_magnitude(image), across.abs() + down.abs())


class TestMoments:
    def test_kernel(self):
        kernel = gaussian_kernel(3, 0.5, torch.zeros(1, dtype=torch.float64))
        side = np.exp(-1 / (2 * 0.25))
        expected = np.array([side, 1, side]) / (1 + 2 * side)
        np.testing.assert_allclose(kernel.numpy(), expected, atol=1e-15)

    def test_filter_by_hand(self):
        image = torch.randn(1, 2, 5, 6, dtype=torch.float64)
        window = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
        found = separable_filter(image, window)
        assert found.shape == (1, 2, 3, 4)
        weights = np.outer(window, window)
        for c in range(2):
            for y in range(3):
                for x in range(4):
                    patch = image[0, c, y : y + 3, x : x + 3].numpy()
                    assert found[0, c, y, x] == pytest.approx((patch * weights).sum())

    def test_moments_by_hand(self):
        reference, image = torch.rand(2, 1, 1, 5, 5, dtype=torch.float64) * 255
        window = gaussian_kernel(3, 1.0, image)
        moments = local_moments(reference, image, window)
        weights = np.outer(window, window)
        for y in range(3):
            for x in range(3):
                r, i = (t[0, 0, y : y + 3, x : x + 3].numpy() for t in (reference, image))
                mean_r, mean_i = (weights * r).sum(), (weights * i).sum()
                expected = (
                    mean_r,
                    mean_i,
                    (weights * (r - mean_r) ** 2).sum(),
                    (weights * (i - mean_i) ** 2).sum(),
                    (weights * (r - mean_r) * (i - mean_i)).sum(),
                )
                found = [moment[0, 0, y, x].item() for moment in moments]
                assert found == pytest.approx(expected, rel=1e-9)

    def test_variances_are_not_negative(self):
        white = torch.full((1, 1, 32, 32), 255.0)
        _, _, var_r, var_i, _ = local_moments(white, white, gaussian_kernel(11, 1.5, white))
        assert (var_r >= 0).all()
        assert (var_i >= 0).all()


class TestCorrelation:
    def test_is_numpys(self):
        first, second = torch.randn(2, 3, 1, 6, 7, dtype=torch.float64)
        expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(first, second)]
        np.testing.assert_allclose(correlation(first, second, floor=0).numpy(), expected)

    def test_floor_by_hand(self):
        first = torch.tensor([1.0, -1.0]).reshape(1, 1, 1, 2)
        # both have the variance 1, and 3 comes on top of each
        assert correlation(first, first, floor=3**0.5).item() == pytest.approx(0.25)

    def test_of_a_constant_is_zero_with_a_bounded_gradient(self):
        constant = torch.zeros(1, 1, 8, 8, requires_grad=True)
        value = correlation(constant, torch.randn(1, 1, 8, 8))
        value.sum().backward()
        assert value.item() == 0
        assert constant.grad.norm() < 1

"""Closing, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import grey_closing

from mmsgdfuse.models.luma import check_window, closing


@pytest.mark.parametrize('window', [1, 3, 5, 11, 15])
@pytest.mark.parametrize('size', [(32, 40), (35, 33)])
def test_closing(window, size):
    image = torch.rand(2, 1, *size)
    found = closing(image, window).numpy()
    padded = np.pad(image.numpy(), [(0, 0), (0, 0), (window, window), (window, window)])
    expected = np.stack([grey_closing(plane[0], (window, window)) for plane in padded])
    inner = slice(window, -window)
    # beyond the border lies what never decides: nothing there fills a valley or keeps one open
    wide = slice(window // 2, -(window // 2) or None)
    np.testing.assert_array_equal(found[:, 0, wide, wide], expected[:, inner, inner][:, wide, wide])


def test_borders_as_max_pooling_has_them():
    image = torch.rand(1, 1, 20, 24)
    grown = F.max_pool2d(image, 5, stride=1, padding=2)
    assert torch.equal(closing(image, 5), -F.max_pool2d(-grown, 5, stride=1, padding=2))


def test_never_darkens_and_changes_nothing_twice():
    image = torch.rand(1, 1, 30, 30)
    once = closing(image, 7)
    assert (once >= image).all()
    assert torch.equal(closing(once, 7), once)


def test_gradients_reach_the_shores():
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4:] = 1
    image.requires_grad_()
    closing(image, 3).sum().backward()
    assert image.grad.sum() == pytest.approx(81)


@pytest.mark.parametrize('window', [0, 2, -1])
def test_window_must_be_odd(window):
    with pytest.raises(ValueError, match=f'share_window must be odd .* found {window}'):
        check_window(window)

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import sobel

from mmsgdfuse.models.losses import DistillationLoss


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(2, 3, 12, 10) * 2 - 1, torch.rand(2, 3, 12, 10) * 2 - 1


@pytest.mark.parametrize(('gradient_weight', 'loss_weight'), [(0, 1), (0.5, 1), (2, 3)])
def test_by_hand(images, gradient_weight, loss_weight):
    fused, target = (image.permute(0, 2, 3, 1) for image in images)
    weights = np.array([0.299, 0.587, 0.114])
    lumas = [image.double().numpy() @ weights for image in (fused, target)]
    expected = np.abs(lumas[0] - lumas[1]).mean()
    for axis in (0, 1):
        derivatives = [
            np.stack([sobel(image, axis, mode='mirror') for image in batch]) for batch in lumas
        ]
        expected += gradient_weight * np.abs(derivatives[0] - derivatives[1]).mean()
    found = DistillationLoss(gradient_weight, loss_weight)(*images)
    assert found.item() == pytest.approx(loss_weight * expected, rel=1e-5)


def test_nothing_to_learn_from_oneself(images):
    assert DistillationLoss()(images[0], images[0]) == 0


def test_half_precision_is_left(images):
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = DistillationLoss()(images[0].bfloat16(), images[1].bfloat16())
    expected = DistillationLoss()(*(image.bfloat16().float() for image in images))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_the_gradient_leads_to_the_teacher(images):
    fused = images[0].clone().requires_grad_()
    optimizer = torch.optim.Adam([fused], lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        loss = DistillationLoss()(fused, images[1])
        loss.backward()
        optimizer.step()
    assert loss < 0.1 * DistillationLoss()(*images)

"""Images and folders that the evaluation's tests share."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.evaluation.functional import to_luma


def make_triple(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scene = synthetic_scene(seed=1, size=(height, width))
    ir, vis = to_luma(scene.ir), to_luma(scene.vis)
    return ir, vis, np.maximum(ir, cv2.GaussianBlur(vis, (0, 0), 0.7))


@pytest.fixture
def triple() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Infrared, visible and a plausible fused image, luma (72, 88)."""
    return make_triple(72, 88)


@pytest.fixture
def large_triple() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same, (176, 208): enough for MS-SSIM."""
    return make_triple(176, 208)


@pytest.fixture
def folders(tmp_path) -> dict[str, Path]:
    """Four pairs of 48x64 pixels in ``ir`` and ``vi``, and two methods' results."""
    roots = {name: tmp_path / name for name in ('ir', 'vi', 'bright', 'noisy')}
    for root in roots.values():
        root.mkdir()
    for seed in range(4):
        scene = synthetic_scene(seed=seed, size=(48, 64))
        colour = cv2.cvtColor(scene.vis, cv2.COLOR_RGB2BGR)
        bright = np.maximum(colour, scene.ir[..., None])
        noise = np.random.default_rng(seed).normal(0, 6, bright.shape)
        noisy = np.clip(bright + noise, 0, 255).astype(np.uint8)
        for name, image in zip(roots, (scene.ir, colour, bright, noisy)):
            cv2.imwrite(str(roots[name] / f'{seed:05d}N.png'), image)
    return roots

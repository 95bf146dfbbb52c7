"""Folders of image pairs as users have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmsgdfuse.datasets import synthetic_scene
from mmsgdfuse.utils.image_io import write_image


@pytest.fixture
def make_pairs(tmp_path):
    """Function that writes pairs of the given names into two folders, and returns the root."""

    def make(
        ir='ir', vis='vi', names=('a', 'b', 'c'), suffixes=('.png', '.png'), root=None
    ) -> Path:
        root = tmp_path / 'set' if root is None else root
        for seed, name in enumerate(names):
            scene = synthetic_scene(seed, size=(33, 47))
            write_image(root / ir / f'{name}{suffixes[0]}', scene.ir)
            write_image(root / vis / f'{name}{suffixes[1]}', scene.vis)
        return root

    return make

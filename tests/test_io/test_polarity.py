from __future__ import annotations

import pytest

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.io.polarity import black_hot_score, looks_black_hot


def test_turning_a_picture_turns_the_sign(scene):
    assert black_hot_score(255 - scene.ir) == pytest.approx(-black_hot_score(scene.ir), abs=0.02)


def test_street_scenes():
    scenes = [synthetic_scene(seed, (96, 128)).ir for seed in range(12)]
    assert not any(looks_black_hot(ir) for ir in scenes)
    assert sum(looks_black_hot(255 - ir) for ir in scenes) >= 8

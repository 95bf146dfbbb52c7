"""The examples of CONTRIBUTING.md run and do what they say."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from mmsgdfuse.datasets.downstream import BOX_FORMATS
from mmsgdfuse.registry import MASK_GENERATORS, MODELS


@pytest.fixture
def example(repository, monkeypatch):
    """The names that the example with the given word defines."""
    # what an example registers is forgotten afterwards
    for registry in (MODELS, MASK_GENERATORS):
        registry.import_from_location()
        monkeypatch.setattr(registry, '_module_dict', dict(registry.module_dict))
    text = (repository / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    blocks = re.findall(r'^```python\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)

    def run(word: str) -> dict:
        (code,) = (block for block in blocks if word in block)
        names: dict = {}
        exec(compile(code, 'CONTRIBUTING.md', 'exec'), names)  # noqa: S102  (our own text)
        return names

    return run


def test_loss(example):
    example('ColourRatioLoss')
    loss = MODELS.build(dict(type='ColourRatioLoss', loss_weight=2.0))
    vis = torch.rand(1, 3, 8, 8) * 2 - 1
    ir = vis[:, :1]
    assert loss(vis, ir, vis) == 0
    red = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    grey = torch.zeros_like(red)
    share = 1.01 / 1.03  # of red in red
    expected = 2 * (abs(share - 1 / 3) + 2 * abs(0.01 / 1.03 - 1 / 3)) / 3
    assert float(loss(grey, ir, red)) == pytest.approx(expected, rel=1e-5)


def test_metric(example):
    info = example('contrast_range')['info']
    ramp = np.tile(np.arange(101, dtype=np.uint8), (2, 1))
    assert info.compute(ramp, ramp, ramp) == {'CR': pytest.approx(90)}


def test_mask_generator(example, scene):
    example('ThresholdMask')
    generator = MASK_GENERATORS.build(dict(type='ThresholdMask', quantile=0.9))
    mask = generator(scene.ir)
    assert mask.shape == scene.ir.shape[:2]
    assert mask.dtype == np.float32
    assert 0.02 < mask.mean() < 0.15
    assert generator.settings['quantile'] == 0.9
    assert generator(np.zeros((40, 40), np.uint8)).max() == 0


def test_layout(example):
    layout = example('Layout(')['layout']
    assert layout.folders('train') == {'ir': 'train/thermal', 'vis': 'train/rgb'}


def test_boxes(example):
    boxes = example('DetectionSet(')['boxes']
    assert boxes.format in BOX_FORMATS
    assert boxes.layout.folders('train')['vis'] == 'visible/train'

"""Tiles cover an image once and give what the whole image gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.models.fusers import load_fuser
from mmsgdfuse.runtime.runner import padded
from mmsgdfuse.runtime.tiling import TILE, choose_tile, image_statistics, plan_tiles
from mmsgdfuse.runtime.torch_runner import TorchRunner
from mmsgdfuse.utils.errors import InputError

BACKENDS = ['torch', 'onnxruntime']


@pytest.mark.parametrize(('shape', 'tile'), [((100, 300), 64), ((64, 64), 64), ((257, 65), 128)])
def test_tiles_cover_each_pixel_once(shape, tile):
    written = np.zeros(shape, int)
    for each in plan_tiles(shape, tile, 32):
        written[each.rows, each.columns] += 1
        assert each.seen_rows.start % 32 == each.seen_columns.start % 32 == 0
        assert each.seen_rows.start <= each.rows.start
        assert each.seen_rows.stop >= each.rows.stop
    assert (written == 1).all()


def test_the_size_chooses():
    assert choose_tile((1080, 1920), None) == 0
    assert choose_tile((3000, 4000), None) == TILE
    assert choose_tile((3000, 4000), 0) == 0
    assert choose_tile((100, 90), 64) == 64
    assert choose_tile((64, 60), 64) == 0
    for wrong in (-32, 32, 100):
        with pytest.raises(InputError, match='multiple of 32'):
            FusionInferencer(tile=wrong)


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_students_tiles_are_its_image(backend):
    pytest.importorskip(backend)
    scene = synthetic_scene(size=(333, 517))
    images = [
        FusionInferencer(mode='student', backend=backend, tile=tile)(scene.ir, scene.vis).fused
        for tile in (0, 128)
    ]
    assert np.abs(images[0].astype(int) - images[1]).max() <= 1


@pytest.mark.parametrize('backend', BACKENDS)
def test_the_compact_models_tiles_are_its_image(backend):
    pytest.importorskip(backend)
    # the sample covers all of it, so that its statistics are the image's
    scene = synthetic_scene(size=(160, 832))
    images = [
        FusionInferencer(backend=backend, tile=tile)(scene.ir, scene.vis).fused.astype(int)
        for tile in (0, 256)
    ]
    difference = np.abs(images[0] - images[1])
    assert np.quantile(difference, 0.99) <= 1


def test_given_statistics_take_the_place_of_a_tiles_own(tiny_weights):
    runner = TorchRunner(load_fuser(weights=tiny_weights).eval(), torch.device('cpu'))
    rng = np.random.default_rng(0)
    inputs = {
        'ir': rng.uniform(0, 255, (1, 64, 64, 1)).astype(np.float32),
        'vis': rng.uniform(0, 255, (1, 64, 64, 3)).astype(np.float32),
        'mask_ir': np.zeros((1, 64, 64, 1), np.float32),
        'mask_vis': np.zeros((1, 64, 64, 1), np.float32),
    }
    noise = runner.noise(padded((64, 64), runner.size_divisor))
    own = runner.run(inputs, noise)
    again = runner.run(inputs, noise, own.statistics)
    other = runner.run(inputs, noise, own.statistics * 1.5)
    np.testing.assert_array_equal(own.images['fused'], again.images['fused'])
    assert (own.images['fused'] != other.images['fused']).any()
    # group norm by recorded statistics is torch's own, but for rounding
    plain = runner.run(inputs).images['fused']
    assert np.abs(plain.astype(int) - own.images['fused']).max() <= 1
    whole = image_statistics(runner, {name: image[0] for name, image in inputs.items()})
    np.testing.assert_array_equal(whole, own.statistics)

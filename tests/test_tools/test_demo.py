from __future__ import annotations

import runpy

import numpy as np

from mmsgdfuse.apis import SAMPLE_IR, SAMPLE_VIS, FusionInferencer, inferencer
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.utils.image_io import read_image


def test_demo_fuses_the_shipped_pair(repository, tiny_weights, tmp_path, capsys):
    main = runpy.run_path(repository / 'tools/demo.py')['main']
    code = main(['--weights', str(tiny_weights), '--device', 'cpu', '--out-dir', str(tmp_path)])
    assert code == 0
    expected = FusionInferencer(weights=tiny_weights, device='cpu')(SAMPLE_IR, SAMPLE_VIS)
    np.testing.assert_array_equal(read_image(tmp_path / 'fused.png'), expected.fused)
    np.testing.assert_array_equal(read_image(tmp_path / 'panel.png'), expected.panel(columns=3))
    assert 'fused 640x480 in' in capsys.readouterr().out


def test_demo_says_what_to_do_without_weights(repository, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(inferencer, 'DEFAULT_WEIGHTS', tmp_path / 'none.safetensors')
    main = runpy.run_path(repository / 'tools/demo.py')['main']
    assert main(['--out-dir', str(tmp_path / 'out')]) == 1
    message = capsys.readouterr().err
    assert 'none.safetensors' in message
    assert 'install it again, or train some' in message
    assert not (tmp_path / 'out').exists()


def test_the_shipped_pair_is_the_synthetic_scene(repository, tmp_path):
    tool = runpy.run_path(repository / 'tools/model_converters/make_sample_pair.py')
    tool['main'](['--out-dir', str(tmp_path)])
    scene = synthetic_scene(1)
    for path, image in ((SAMPLE_IR, scene.ir[..., None]), (SAMPLE_VIS, scene.vis)):
        np.testing.assert_array_equal(read_image(tmp_path / path.name), image)
        # another processor may round the scene's floating point otherwise
        assert np.abs(read_image(path).astype(int) - image).max() <= 1

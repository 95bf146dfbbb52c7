"""Training for a given time: data decoded once, the weights as any other."""

from __future__ import annotations

import runpy

import numpy as np
import pytest

from mmsgdfuse.io.images import write_image
from mmsgdfuse.models.restoration import load_restorer


@pytest.fixture
def tool(repository):
    return runpy.run_path(str(repository / 'tools/analysis_tools/timed_training.py'))


@pytest.fixture
def data(scene, tmp_path):
    sets = [f'{name}/train' for name in ('MSRS', 'RoadScene', 'LLVIP', 'M3FD', 'TNO')]
    sets += [f'M3SVD/train/{name}' for name in ('0111_1803', '0114_1551', '0115_1834')]
    for folder in sets:
        write_image(tmp_path / 'data' / folder / 'ir/a.png', scene.ir)
        write_image(tmp_path / 'data' / folder / 'vi/a.png', scene.vis)
    return tmp_path / 'data'


@pytest.mark.slow
def test_trains_a_restorer_for_two_seconds(tool, repository, data, tmp_path, capsys):
    config = repository / 'configs/sgdfuse-restorer_ivif.py'
    tool['main'](
        [
            *(str(config), str(tmp_path / 'out'), '--seconds', '2', '--batch-size', '2'),
            *('--workers', '0', '--epoch-iterations', '2', '--cfg-options'),
            *(f'data_root={data}', 'crop_size=32', 'denoiser.base_channels=8'),
            'model.diffusion=False',
        ]
    )
    restorer = load_restorer(tmp_path / 'out/weights.safetensors')
    assert not restorer.diffusion
    assert np.isfinite(float(sum(weight.detach().sum() for weight in restorer.parameters())))
    assert 'weights.safetensors: after' in capsys.readouterr().out


def test_a_time_is_needed_for_each_phase(tool, repository, tmp_path):
    config = repository / 'configs/sgdfuse-compact_ivif.py'
    with pytest.raises(SystemExit, match='preliminary'):
        tool['main']([str(config), str(tmp_path), '--seconds', 'fusion=2'])

"""The comparison of toolboxes: its rows agree where the definitions do."""

from __future__ import annotations

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsgdfuse.datasets.synthetic import synthetic_scene

TOOL = Path(__file__).parents[2] / 'benchmarks' / 'compare_toolboxes.py'


@pytest.fixture
def tool():
    return runpy.run_path(str(TOOL), run_name='compare_toolboxes')


@pytest.fixture
def folders(tmp_path):
    for name in ('ir', 'vi', 'mean'):
        (tmp_path / name).mkdir()
    for seed in range(2):
        scene = synthetic_scene(seed=seed, size=(64, 80))
        grey = cv2.cvtColor(scene.vis, cv2.COLOR_RGB2GRAY)
        mean = ((scene.ir.squeeze().astype(int) + grey) // 2).astype(np.uint8)
        for name, image in (('ir', scene.ir), ('vi', grey), ('mean', mean)):
            cv2.imwrite(str(tmp_path / name / f'{seed}.png'), image)
    return tmp_path


def test_the_table(tool, folders, capsys):
    arguments = [str(folders / name) for name in ('ir', 'vi', 'mean')]
    assert tool['main'](arguments) == 0
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head == '| metric | toolbox | maximum | mean |'
    rows = {}
    for line in lines:
        metric, toolbox, *values = (cell.strip() for cell in line.strip('|').split('|'))
        rows[metric, toolbox] = np.array([float(value) for value in values])
    ours = {key[0]: value for key, value in rows.items() if 'this package' in key[1]}
    same = [
        ('SSIM', 'scikit-image, Gaussian window, mean'),
        ('SSIM', 'piq, downsample=False, mean'),
        ('VIF', 'piq.vif_p, sum'),
        ('VIF', 'torchmetrics, sum'),
    ]
    for key in same:
        np.testing.assert_allclose(rows[key], ours[key[0]], atol=1.01e-4)
    vifb = rows['SSIM', 'VIFB (whole windows only, sum)']
    np.testing.assert_allclose(vifb, 2 * ours['SSIM'], atol=2.1e-4)


def test_matlabs_map_agrees_inside(tool):
    scene = synthetic_scene(seed=0, size=(64, 80))
    first, second = scene.ir.squeeze(), cv2.GaussianBlur(scene.ir.squeeze(), (0, 0), 1)
    # wide equal borders, so that the borders' rule does not count
    wide = [np.pad(image, 200, mode='edge') for image in (first, second)]
    assert tool['matlab_ssim'](*wide) == pytest.approx(tool['gaussian_ssim'](*wide), abs=2e-3)

"""`mmsgdfuse register`, and what fuse and check make of its rig."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from mmsgdfuse.cli import check as check_command
from mmsgdfuse.cli import fuse, register
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.io.images import write_image
from mmsgdfuse.registration import corner_error, load_rig

TRUTH = np.array([[1.55, 0.02, -38.0], [-0.01, 1.55, -27.0], [0, 0, 1.0]])


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Two pairs of a rig: infrared 320x240, visible 430x330."""
    root = tmp_path_factory.mktemp('rig')
    for seed in (2, 4):
        scene = synthetic_scene(seed, (480, 640))
        half = np.diag([0.5, 0.5, 1])
        ir = cv2.warpPerspective(scene.ir, half, (320, 240), flags=cv2.INTER_AREA)
        vis = cv2.warpPerspective(scene.vis, TRUTH @ half, (430, 330), flags=cv2.INTER_LINEAR)
        write_image(root / 'ir' / f'{seed}.png', ir)
        write_image(root / 'vis' / f'{seed}.png', vis)
    return root


def test_from_two_folders_to_fused_images(folders, tmp_path, tiny_weights, capsys):
    rig, ir, vis = tmp_path / 'rig.yaml', str(folders / 'ir'), str(folders / 'vis')
    arguments = [ir, vis, '-o', str(rig), '--report', str(tmp_path / 'report')]
    assert register.main(arguments) == 0
    said = capsys.readouterr().out
    assert 'residual' in said
    assert str(rig) in said
    found = load_rig(rig)
    assert corner_error(found.homography, TRUTH, (240, 320)) < 3
    assert found.ir_size == (240, 320)
    assert yaml.safe_load(rig.read_text())['report']['frames'][0]['name'] == '2'
    assert sorted(path.name for path in (tmp_path / 'report').iterdir()) == [
        '2_checkerboard.png', '2_edges.png', '4_checkerboard.png', '4_edges.png'
    ]  # fmt: skip
    assert register.main(arguments) == 2  # it exists
    assert '--overwrite' in capsys.readouterr().err
    out = tmp_path / 'fused'
    code = fuse.main([
        ir, vis, '-o', str(out), '--rig', str(rig),
        '--weights', str(tiny_weights), '--device', 'cpu',
    ])  # fmt: skip
    assert code == 0
    assert cv2.imread(str(out / '2.png')).shape == (330, 430, 3)
    assert not (out / 'aligned').exists()
    aligned = tmp_path / 'aligned'
    code = fuse.main([
        ir, vis, '-o', str(aligned), '--rig', str(rig), '--aligned',
        '--weights', str(tiny_weights), '--device', 'cpu',
    ])  # fmt: skip
    assert code == 0
    shapes = {
        folder: cv2.imread(str(aligned / 'aligned' / folder / '2.png'), cv2.IMREAD_UNCHANGED).shape
        for folder in ('ir', 'vi', 'fused')
    }
    assert shapes['vi'] == shapes['fused'] == (*shapes['ir'], 3)
    assert 200 < shapes['ir'][0] <= 330
    with pytest.raises(SystemExit):
        fuse.main([ir, vis, '-o', str(aligned), '--aligned'])


def test_what_is_not_trusted_is_no_rig(folders, tmp_path, capsys):
    write_image(tmp_path / 'ir' / '2.png', np.full((240, 320), 9, np.uint8))
    rig = tmp_path / 'rig.yaml'
    arguments = [str(tmp_path / 'ir'), str(folders / 'vis'), '-o', str(rig)]
    assert register.main(arguments) == 1
    captured = capsys.readouterr()
    assert 'no part of the infrared image' in captured.err
    assert '4.png' in captured.err  # left out, and said
    assert not rig.exists()


def test_pairs_that_only_look_registered_are_found(tmp_path, capsys):
    check = check_command
    for seed, shift in ((2, 0), (4, 7)):
        scene = synthetic_scene(seed, (240, 320))
        write_image(tmp_path / 'ir' / f'{seed}.png', np.roll(scene.ir, shift, axis=1))
        write_image(tmp_path / 'vi' / f'{seed}.png', scene.vis)
    arguments = ['--root', str(tmp_path)]
    assert check.main(arguments) == 0
    capsys.readouterr()
    assert check.main([*arguments, '--max-shift', '3']) == 1
    said = capsys.readouterr().out
    assert '4.png: is 7' in said or '4.png: is 6' in said
    assert '2.png' not in said
    assert 'registration measured in 2 pair(s)' in said
    with pytest.raises(SystemExit):
        check.main([*arguments, '--max-shift', '3', '--quick'])

"""Rigs: lenses and poses against OpenCV's projection, files of every program, other sizes."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mmsgdfuse.registration import Lens, Rig, load_rig, parallax, save_rig
from mmsgdfuse.utils.errors import InputError

IR = Lens(
    np.array([[400, 0, 160], [0, 405, 128], [0, 0, 1.0]]), [-0.3, 0.1, 0.001, 0, 0], size=(256, 320)
)
VIS = Lens(
    np.array([[900, 0, 480], [0, 900, 270], [0, 0, 1.0]]),
    [0.05, -0.02, 0, 0.001, 0],
    size=(540, 960),
)
ROTATION = cv2.Rodrigues(np.array([0.01, -0.02, 0.005]))[0]
TRANSLATION = np.array([0.06, 0.002, -0.01])
HOMOGRAPHY = np.array([[2.4, 0.02, -90], [-0.02, 2.4, 15], [3e-6, -5e-5, 1]])


def camera_info(lens: Lens, model: str = 'plumb_bob') -> str:
    values = lambda array: ', '.join(map(str, np.ravel(array)))  # noqa: E731
    return (
        f'image_width: {lens.size[1]}\nimage_height: {lens.size[0]}\ncamera_name: cam\n'
        f'camera_matrix:\n  rows: 3\n  cols: 3\n  data: [{values(lens.matrix)}]\n'
        f'distortion_model: {model}\n'
        f'distortion_coefficients:\n  rows: 1\n  cols: {len(lens.distortion)}\n'
        f'  data: [{values(lens.distortion)}]\n'
    )


@pytest.mark.parametrize('distance', [2.0, 10.0, float('inf')])
def test_two_cameras_agree_with_projected_points(distance):
    rig = Rig.from_cameras(IR, VIS, ROTATION, TRANSLATION, distance)
    rng = np.random.default_rng(0)
    depth = 1e7 if np.isinf(distance) else distance
    points = np.c_[rng.uniform(-0.3, 0.3, (20, 2)) * depth, np.full(20, depth)]
    ir, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), IR.matrix, IR.distortion)
    vis, _ = cv2.projectPoints(points, ROTATION, TRANSLATION, VIS.matrix, VIS.distortion)
    np.testing.assert_allclose(rig.to_visible(ir.reshape(-1, 2)), vis.reshape(-1, 2), atol=0.02)
    np.testing.assert_allclose(rig.to_infrared(vis.reshape(-1, 2)), ir.reshape(-1, 2), atol=0.02)


def test_parallax_is_what_two_cameras_give():
    pinhole = Lens(np.diag([500.0, 500, 1]), [])
    rig = Rig.from_cameras(pinhole, pinhole, np.eye(3), [0.1, 0, 0], distance=10)
    seen = 500 * np.array([[0.1 / 4, 0]])  # of a point straight ahead of the first, 4 m away
    moved = rig.to_visible(np.zeros((1, 2)))
    expected = parallax(baseline=0.1, focal=500, plane=10, distance=4)
    assert np.linalg.norm(seen - moved) == pytest.approx(expected)
    assert parallax(0.1, 500, plane=4, distance=4) == 0
    with pytest.raises(InputError, match='positive'):
        parallax(0, 500, 10, 4)


def test_fisheye_lenses_come_back():
    lens = Lens(IR.matrix, [0.05, -0.01, 0.002, 0], fisheye=True)
    pixels = np.array([[20.0, 30], [300, 200], [160, 128]])
    np.testing.assert_allclose(lens.to_pixels(lens.to_rays(pixels)), pixels, atol=1e-6)


def test_a_homography_comes_back_with_its_report(tmp_path):
    path = tmp_path / 'rig.yaml'
    save_rig(path, Rig(HOMOGRAPHY, ir_size=(512, 640), vis_size=(1026, 1404)), dict(residual=0.5))
    rig = load_rig(path)
    np.testing.assert_array_equal(rig.homography, HOMOGRAPHY)
    assert (rig.ir_size, rig.vis_size) == ((512, 640), (1026, 1404))
    assert 'residual: 0.5' in path.read_text()
    with pytest.raises(InputError, match='lenses'):
        save_rig(path, Rig.from_cameras(IR, VIS, ROTATION, TRANSLATION, 5))


@pytest.mark.parametrize(
    'form', ['json', 'list.json', 'file_storage.yml', 'file_storage.xml', 'H.yaml']
)
def test_homographies_of_every_program(tmp_path, form):
    path = tmp_path / form
    if form.startswith('file_storage'):
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
        storage.write('H', HOMOGRAPHY)
        storage.release()
    elif form == 'list.json':
        path.write_text(json.dumps(HOMOGRAPHY.tolist()))
    elif form == 'H.yaml':
        path.write_text(f'H: {HOMOGRAPHY.ravel().tolist()}\n')
    else:
        path = tmp_path / 'rig.json'
        path.write_text(json.dumps(dict(homography=HOMOGRAPHY.tolist(), ir_size=[512, 640])))
    np.testing.assert_allclose(load_rig(path).homography, HOMOGRAPHY)


@pytest.mark.parametrize('rotation', ['matrix', 'vector'])
def test_camera_info_of_ros(tmp_path, rotation):
    (tmp_path / 'ir.yaml').write_text(camera_info(IR))
    (tmp_path / 'vis.yaml').write_text(camera_info(VIS))
    turn = ROTATION if rotation == 'matrix' else cv2.Rodrigues(ROTATION)[0]
    path = tmp_path / 'rig.yaml'
    path.write_text(
        'infrared: ir.yaml\nvisible: vis.yaml\n'
        f'rotation: {turn.tolist()}\ntranslation: {TRANSLATION.tolist()}\ndistance: 8\n'
    )
    expected = Rig.from_cameras(IR, VIS, ROTATION, TRANSLATION, 8)
    pixels = np.array([[10.0, 20], [300, 200]])
    np.testing.assert_allclose(load_rig(path).to_visible(pixels), expected.to_visible(pixels))
    near = Rig.from_cameras(IR, VIS, ROTATION, TRANSLATION, 2)
    np.testing.assert_allclose(load_rig(path, 2).to_visible(pixels), near.to_visible(pixels))


def test_stereo_calibration_of_opencv(tmp_path):
    path = tmp_path / 'stereo.yml'
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, lens in (('infrared', IR), ('visible', VIS)):
        storage.startWriteStruct(name, cv2.FileNode_MAP)
        storage.write('camera_matrix', lens.matrix)
        storage.write('distortion_coefficients', lens.distortion)
        storage.write('image_width', lens.size[1])
        storage.write('image_height', lens.size[0])
        storage.endWriteStruct()
    storage.write('R', ROTATION)
    storage.write('T', TRANSLATION)
    storage.write('distance', 8.0)
    storage.release()
    expected = Rig.from_cameras(IR, VIS, ROTATION, TRANSLATION, 8)
    pixels = np.array([[10.0, 20], [300, 200]])
    np.testing.assert_allclose(load_rig(path).to_visible(pixels), expected.to_visible(pixels))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('homography: [1, 2]', 'homography must be 9 numbers'),
        ('homography: [[1, 0, 0], [0, 0, 0], [0, 0, 1]]', 'no inverse'),
        ('homography: [[.nan, 0, 0], [0, 1, 0], [0, 0, 1]]', 'finite'),
        ('wibble: 1', 'neither a homography nor the cameras'),
        ('just text', 'is no rig'),
        ('{', 'is neither YAML'),
        ('infrared: {}\nvisible: {}', 'no camera_matrix'),
        ('infrared: nowhere.yaml\nvisible: {}', 'no such file'),
        ('homography: !!python/object/apply:os.system [touch marker]', 'is neither YAML'),
        ('homography: [1, 0, 0, 0, 1, 0, 0, 0, 1]\nir_size: [0, 5]', 'ir_size must be'),
        ('%YAML:1.0\n---\nH: [', 'FileStorage|no rig|homography'),
    ],
)
def test_what_is_no_rig_is_refused_by_name(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'rig.yaml'
    path.write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        load_rig(path)
    assert str(path) in str(raised.value)
    assert not (tmp_path / 'marker').exists()


def test_other_sizes_of_the_same_frame():
    rig = Rig(HOMOGRAPHY, ir_size=(512, 640), vis_size=(1000, 1400))
    half = rig.resized((256, 320), (500, 700))
    corner = np.array([[319.0, 255]])  # the centre of its last pixel lies between four of the rig
    np.testing.assert_allclose(
        half.to_visible(corner), (rig.to_visible(corner * 2 + 0.5) - 0.5) / 2, atol=1e-9
    )
    assert rig.resized((512, 640), (1000, 1400)).homography == pytest.approx(HOMOGRAPHY)
    with pytest.raises(InputError, match='cropped'):
        rig.resized((512, 512), (1000, 1400))
    lenses = Rig.from_cameras(IR, VIS, ROTATION, TRANSLATION, 8)
    doubled = lenses.resized((512, 640), (540, 960))
    np.testing.assert_allclose(
        doubled.to_visible(np.array([[100.5, 60.5]])), lenses.to_visible(np.array([[50.0, 30]]))
    )
    with pytest.raises(InputError, match='cropped'):
        lenses.resized((256, 256), (540, 960))


@pytest.mark.parametrize(
    'make',
    [
        lambda: Rig(np.zeros((3, 3))),
        lambda: Rig(np.eye(2)),
        lambda: Rig(np.eye(3), ir_lens=IR),
        lambda: Lens(np.eye(3), [1, 2]),
        lambda: Lens(np.zeros((3, 3)), []),
        lambda: Rig.from_cameras(IR, VIS, ROTATION, TRANSLATION, 0),
        lambda: Rig.from_cameras(IR, VIS, 2 * ROTATION, TRANSLATION, 5),
        lambda: Rig(np.diag([-1.0, 1, 1])).resized((10, 10), (10, 10)),
    ],
)
def test_impossible_rigs(make):
    with pytest.raises(InputError):
        make()


def test_the_package_needs_no_torch():
    code = (
        'import sys\n'
        'for name in ("torch", "mmengine", "mmcv"): sys.modules[name] = None\n'
        'import mmsgdfuse.registration'
    )
    subprocess.run([sys.executable, '-c', code], check=True)

"""The cross-validated segmenter: what it learns, what it cannot, and how it is scored."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsgdfuse.evaluation.downstream import MEAN
from mmsgdfuse.evaluation.pixel_segmentation import (
    _overlaps,
    _sample,
    cross_validate_pixels,
    pixel_features,
)
from mmsgdfuse.utils.errors import InputError, MissingPackageError

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'cross_validate_segmentation.py'
NAMES = [f'{100 * number:05}D' for number in range(1, 9)]


def scene(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Infrared that shows the one class, visible that does not, and the labels (48, 64)."""
    generator = np.random.default_rng(int(name[:-1]))
    labels = np.zeros((48, 64), np.uint8)
    y, x = generator.integers(0, 28), generator.integers(0, 44)
    labels[y : y + 20, x : x + 20] = 1
    noise = generator.normal(0, 8, (2, 48, 64))
    infrared = np.clip(60 + 120 * labels + noise[0], 0, 255).astype(np.uint8)
    visible = np.clip(100 + noise[1], 0, 255).astype(np.uint8)
    return infrared, visible, labels


@pytest.fixture(scope='module')
def scores():
    labels = {name: scene(name)[2] for name in NAMES}
    inputs = {
        'infrared': lambda name: [scene(name)[0]],
        'visible': lambda name: [scene(name)[1]],
        'both': lambda name: list(scene(name)[:2]),
    }
    return cross_validate_pixels(
        inputs, labels, ['background', 'target'], folds=4, step=2, trees=10
    )


def test_an_input_is_worth_what_it_shows(scores):
    column = ('IoU', 'target')
    assert scores.spread('infrared', column).mean > 80
    assert scores.spread('both', column).mean > 70
    assert scores.spread('visible', column).mean < 50
    difference, wins = scores.difference('infrared', 'visible', column)
    assert difference.mean > 30
    assert wins == 4


def test_the_mean_is_over_the_classes(scores):
    per_class = scores.values[..., :2].mean(axis=-1)
    np.testing.assert_allclose(scores.values[..., 2], per_class)
    assert scores.columns[-1] == ('IoU', MEAN)


def test_overlaps_by_hand():
    truth = np.array([0, 0, 0, 1, 1])
    predicted = np.array([0, 0, 1, 1, 2])
    found = _overlaps(truth, predicted, 4)
    np.testing.assert_allclose(found[:2], [200 / 3, 100 / 3])
    # not in the truth, though one is predicted
    assert np.isnan(found[2:4]).all()
    assert found[4] == pytest.approx(50)


def test_a_class_gives_so_many_pixels_of_a_frame():
    ids = np.repeat([0, 1, 2], [500, 70, 5])
    chosen = _sample(ids, seed=0)
    assert np.bincount(ids[chosen]).tolist() == [60, 60, 5]
    assert len(set(chosen.tolist())) == len(chosen)


def test_features_are_of_the_place_they_are_at():
    image = np.zeros((32, 48), np.uint8)
    image[16:, :] = 200
    features = pixel_features([image], step=4)
    assert features.shape == (8 * 12, features.shape[1])
    finest = features[:, 0].reshape(8, 12)
    assert finest[:3].max() < 1
    assert finest[5:].min() > 199
    rows = features[:, -2].reshape(8, 12)
    assert (np.diff(rows, axis=0) > 0).all()
    stacked = pixel_features([image, image], step=4)
    assert stacked.shape[1] == 2 * (features.shape[1] - 2) + 2


def test_ids_without_a_class_are_refused():
    labels = {name: np.full((16, 16), 3, np.uint8) for name in NAMES}
    with pytest.raises(InputError, match='class id 3'):
        cross_validate_pixels({}, labels, ['background', 'target'])


def test_scikit_learn_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.ensemble', None)
    with pytest.raises(MissingPackageError, match='pip install scikit-learn'):
        cross_validate_pixels({}, {}, ['background'])


def test_the_tool_writes_tables(tmp_path, capsys):
    folders = {name: tmp_path / name for name in ('ir', 'vi', 'labels', 'ours')}
    for folder in folders.values():
        folder.mkdir()
    for name in NAMES:
        infrared, visible, labels = scene(name)
        images = infrared, visible, labels, np.maximum(infrared, visible)
        for folder, image in zip(folders.values(), images):
            cv2.imwrite(str(folder / f'{name}.png'), image)
    main = runpy.run_path(str(TOOL), run_name='tool')['main']
    options = ['--classes', 'background', 'target', '--folds', '2', '--trees', '5']
    out = tmp_path / 'out'
    assert main([*map(str, folders.values()), *options, '--out', str(out)]) == 0
    document = json.loads((out / 'segmentation.json').read_text())
    assert list(document['inputs']) == [
        'visible', 'infrared', 'average', 'maximum', 'Laplacian pyramid', 'ours', 'both stacked',
    ]  # fmt: skip
    assert 'IoU target' in (out / 'segmentation.md').read_text()
    (folders['ours'] / f'{NAMES[0]}.png').unlink()
    assert main([*map(str, folders.values()), *options, '--out', str(out)]) == 2
    assert 'lack a partner' in capsys.readouterr().err


def test_a_pyramid_keeps_the_larger_detail():
    pyramid = runpy.run_path(str(TOOL), run_name='tool')['pyramid_fusion']
    flat = np.full((64, 64), 100, np.uint8)
    detailed = flat.copy()
    detailed[::2, ::2] += 40
    np.testing.assert_allclose(pyramid(flat, detailed), detailed, atol=12)
    np.testing.assert_array_equal(pyramid(detailed, detailed), detailed)

"""The benchmark of degraded input: from folders of pairs to the table."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from mmsgdfuse.datasets.degradation import degrade
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.evaluation.baselines import baseline_image
from mmsgdfuse.evaluation.restoration import score_restoration
from mmsgdfuse.utils.image_io import read_image, write_image

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module('degraded_benchmark')


@pytest.fixture
def scenes():
    return [synthetic_scene(seed=seed, size=(56, 64)) for seed in range(2)]


@pytest.fixture
def folder(tmp_path, scenes) -> Path:
    for index, scene in enumerate(scenes):
        noisy = degrade(
            scene.ir.reshape(56, 64, 1), 'infrared_sensor', np.random.default_rng(index)
        )
        images = dict(ir=scene.ir, vi=scene.vis, ir_noisy=noisy, vi_blurred=scene.vis)
        for name, image in images.items():
            write_image(tmp_path / 'pairs' / name / f'{index}.png', image)
    return tmp_path / 'pairs'


def test_the_command_writes_a_row_for_each_method_and_condition(
    tool, folder, scenes, tiny_weights, tmp_path, capsys
):
    out, images = tmp_path / 'out', tmp_path / 'images'
    tool.main(
        [
            *(str(folder), '--given', 'ir_noisy', 'vi_blurred', '--threads', '1'),
            *('--methods', 'maximum', 'classical+maximum', f'tiny={tiny_weights}@refine'),
            *('--degradations', 'clean/defocus', '--strengths', 'light', 'heavy'),
            *('--out', str(out), '--images', str(images)),
        ]
    )
    text = (out / 'degraded.md').read_text()
    assert '2 pairs: pairs/0, pairs/1' in capsys.readouterr().out
    for label in ('clean', 'as given', 'clean/defocus light', 'clean/defocus heavy'):
        for method in ('maximum', 'classical+maximum', 'tiny'):
            assert f'| {label} | {method} |' in text
    records = json.loads((out / 'degraded.json').read_text())['records']
    assert len(records) == 4 * 3 * 2

    scene = scenes[0]
    noisy = read_image(folder / 'ir_noisy' / '0.png')
    clean = baseline_image('maximum', scene.ir, scene.vis)
    fused = baseline_image('maximum', noisy, scene.vis)
    found = next(
        record['values']
        for record in records
        if (record['degradation'], record['method'], record['image'])
        == ('as given', 'maximum', 'pairs/0')
    )
    expected = score_restoration(fused, clean, scene.ir, scene.vis)
    assert found == pytest.approx(expected, nan_ok=True)
    saved = read_image(images / 'as_given__maximum' / 'pairs_0.png')
    np.testing.assert_array_equal(saved.squeeze(), fused)


def test_the_same_seed_gives_the_same_pair_and_each_camera_its_own_noise(tool):
    name = 'gaussian_noise/gaussian_noise'
    (condition,) = tool.build_conditions([name], ['medium'])
    grey = np.full((20, 30, 1), 100, np.uint8)
    first, again, other = (condition.apply((grey, grey), 0, index) for index in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != first[1]).any()
    assert (first[0] != other[0]).any()


def test_blur_width_adds_variances(tool):
    steps = [dict(type='gaussian_blur', sigma=3), dict(type='defocus', radius=8)]
    assert tool.blur_width([*steps, dict(type='jpeg', quality=50)]) == pytest.approx(5)
    assert tool.blur_width([]) == 0


def test_the_best_of_each_group_is_marked_and_the_clean_fusion_is_not_ranked(tool):
    values = dict.fromkeys(tool.RESTORATION_METRICS, 0.5)
    better = dict(values, VIF=0.75)
    records = [
        dict(degradation=degradation, strength='', method=method, image=image, values=row)
        for degradation in ('clean', 'as given')
        for method, row in (('a', values), ('b', better))
        for image in ('0', '1')
    ]
    table = tool.restoration_table(records)
    assert table.labels == ('clean', 'clean', 'as given', 'as given')
    column = table.head.index('VIF \u2191') - 1
    assert [row[column].place for row in table.cells] == [2, 1, 2, 1]
    assert [row[column].text for row in table.cells] == ['0.500', '0.750'] * 2
    own = table.head.index('VIF_own \u2191') - 1
    assert [row[own].place for row in table.cells] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--methods', 'brightest'], 'NAME=WEIGHTS'),
        (['--methods', 'maximum', '--degradations', 'haze'], 'INFRARED/VISIBLE'),
        (['--methods', 'maximum', '--degradations', 'clean/rain'], 'unknown degradation'),
        (['--methods', 'maximum', '--given', 'ir', 'nothing'], 'nothing'),
    ],
)
def test_what_does_not_fit_is_named(tool, folder, arguments, message):
    with pytest.raises(SystemExit, match=message):
        tool.main([str(folder), *arguments])

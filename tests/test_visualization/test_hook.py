from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import HOOKS, VISUALIZERS

from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.visualization import FusionVisualizationHook, FusionVisualizer, fusion_panel


def make_sample(name='0001.jpg', folder='ir', value=40, size=(32, 48)):
    sample = FusionDataSample(
        metainfo=dict(name=name, ir_path=f'{folder}/{name}', vis_path=f'vi/{name}')
    )
    sample.fused = torch.full((3, *size), value, dtype=torch.uint8)
    sample.preliminary = sample.fused // 2
    return sample


def make_batch(count=1, size=(32, 48)):
    ir = torch.full((1, *size), 99.6)  # as 16-bit infrared arrives
    vis = torch.full((3, *size), 7, dtype=torch.uint8)
    mask = torch.full((1, *size), 0.5)
    return dict(inputs=dict(ir=[ir] * count, vis=[vis] * count, mask_ir=[mask] * count))


class Recorder:
    def __init__(self):
        self.drawn = []

    def add_datasample(self, name, inputs, data_sample, step):
        self.drawn.append((name, step))


@pytest.fixture
def runner():
    return SimpleNamespace(visualizer=Recorder(), iter=7)


def validate(hook, runner, batches, batch_size=1):
    hook.before_val_epoch(runner)
    for index in range(batches):
        samples = [make_sample(f'{index * batch_size + i}.png') for i in range(batch_size)]
        hook.after_val_iter(runner, index, make_batch(batch_size), samples)


def test_registered_and_built_from_any_scope():
    hook = HOOKS.build(dict(type='mmsgdfuse.FusionVisualizationHook', interval=2))
    assert isinstance(hook, FusionVisualizationHook)
    visualizer = VISUALIZERS.build(dict(type='mmsgdfuse.FusionVisualizer', name='by scope'))
    assert isinstance(visualizer, FusionVisualizer)


@pytest.mark.parametrize('batch_size', [1, 2])
def test_every_nth_sample_is_drawn_whatever_the_batch_size(runner, batch_size):
    hook = FusionVisualizationHook(interval=3, max_images=2)
    validate(hook, runner, 12 // batch_size, batch_size)
    assert runner.visualizer.drawn == [('val_0', 7), ('val_3', 7)]


def test_each_validation_counts_anew(runner):
    hook = FusionVisualizationHook(interval=5, max_images=1)
    validate(hook, runner, 2)
    validate(hook, runner, 2)
    assert len(runner.visualizer.drawn) == 2


def test_panel_reaches_the_backends(tmp_path, runner):
    visualizer = FusionVisualizer(
        name='panels', vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path)
    )
    runner.visualizer = visualizer
    batch, sample = make_batch(), make_sample()

    hook = FusionVisualizationHook()
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, batch, [sample])

    found = cv2.imread(str(tmp_path / 'vis_data/vis_image/val_0001_7.png'))[..., ::-1]
    shape = (32, 48, 3)
    expected = fusion_panel(
        dict(
            ir=np.full(shape, 100, np.uint8),
            vis=np.full(shape, 7, np.uint8),
            mask_ir=np.full(shape, 128, np.uint8),
            preliminary=np.full(shape, 20, np.uint8),
            fused=np.full(shape, 40, np.uint8),
        )
    )
    np.testing.assert_array_equal(found, expected)


def test_test_images_keep_name_size_and_bytes(tmp_path, runner):
    hook = FusionVisualizationHook(out_dir=tmp_path / 'fused')
    sample = make_sample('0042.jpg', size=(33, 47))
    sample.fused = torch.arange(3 * 33 * 47).reshape(3, 33, 47).to(torch.uint8)

    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, make_batch(), [sample])

    assert [path.name for path in (tmp_path / 'fused').iterdir()] == ['0042.png']
    found = cv2.imread(str(tmp_path / 'fused/0042.png'))[..., ::-1]
    np.testing.assert_array_equal(found, sample.fused.numpy().transpose(1, 2, 0))


def test_nothing_is_written_without_a_folder(tmp_path, runner, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FusionVisualizationHook().after_test_iter(runner, 0, make_batch(), [make_sample()])
    assert not list(tmp_path.iterdir())


def test_two_pairs_of_one_name_are_not_mixed_up(tmp_path, runner):
    hook = FusionVisualizationHook(out_dir=tmp_path)
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, make_batch(), [make_sample('a.png', 'night/ir')])
    # a sampler that pads its share repeats a pair
    hook.after_test_iter(runner, 1, make_batch(), [make_sample('a.png', 'night/ir')])
    with pytest.raises(ValueError, match=r'night/ir/a\.png and day/ir/a\.png'):
        hook.after_test_iter(runner, 2, make_batch(), [make_sample('a.png', 'day/ir')])
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, make_batch(), [make_sample('a.png', 'day/ir')])


@pytest.mark.parametrize('arguments', [dict(interval=0), dict(max_images=-1)])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        FusionVisualizationHook(**arguments)


def test_panel_reaches_tensorboard(tmp_path, runner):
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    visualizer = FusionVisualizer(
        name='events', vis_backends=[dict(type='TensorboardVisBackend')], save_dir=str(tmp_path)
    )
    runner.visualizer = visualizer
    validate(FusionVisualizationHook(interval=2), runner, 3)
    visualizer.close()

    events = accumulator.EventAccumulator(str(tmp_path / 'vis_data'))
    events.Reload()
    assert events.Tags()['images'] == ['val_0', 'val_2']
    assert [image.step for image in events.Images('val_2')] == [7]

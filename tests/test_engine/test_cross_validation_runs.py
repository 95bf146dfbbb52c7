from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from downstream_sets import write_frames
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmsgdfuse.datasets.downstream import LabelError
from mmsgdfuse.engine.cross_validation import plan_runs, read_input, run_detector
from mmsgdfuse.evaluation.downstream import read_result
from mmsgdfuse.utils.config import merge_options
from mmsgdfuse.utils.image_io import write_image

pytest.importorskip('mmdet')

FRAMES = ['00001D', '00020D', '00300N', '00320N']
FOLDS = (FRAMES[:2], FRAMES[2:])
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
EPOCHS = 2


@pytest.fixture
def cfg() -> Config:
    cfg = Config.fromfile(CONFIGS / 'downstream/cross_validation/yolox-small_msrs.py')
    quick = {
        'scale': (64, 48),
        'batch_size': 2,
        'max_epochs': EPOCHS,
        'default_hooks.checkpoint.interval': 1,
    }
    return merge_options(cfg, quick)


@pytest.fixture
def plan(cfg, tmp_path):
    """Function that plans the runs on the visible images: folder of the runs, options."""
    root = write_frames(tmp_path, FRAMES)

    def plan(work_dir='runs', seeds=(0,), folder='vi', **options):
        item = read_input('visible', root / folder, root / 'labels', cfg.classes)
        planned = merge_options(Config(cfg.to_dict(), filename=cfg.filename), options)
        return plan_runs(planned, [item], FOLDS, seeds, tmp_path / work_dir)

    return plan


def frames_of(run, loader: str) -> list[str]:
    """What mmdet reads for a run."""
    from mmdet.registry import DATASETS
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(run.cfg[f'{loader}_dataloader'].dataset)
    return [Path(dataset.get_data_info(i)['img_path']).stem for i in range(len(dataset))]


def test_each_fold_is_tested_by_what_the_others_taught(plan):
    runs = plan(seeds=(0, 5))
    assert [(run.fold, run.seed) for run in runs] == [(0, 0), (1, 0), (0, 5), (1, 5)]
    assert runs[2].cfg.randomness.seed == 5
    for run in runs:
        assert frames_of(run, 'test') == FOLDS[run.fold]
        assert frames_of(run, 'train') == FOLDS[1 - run.fold]


def test_a_folder_stands_for_all_that_its_run_depends_on(plan, tmp_path):
    first = [run.folder.name for run in plan()]
    assert len(set(first)) == 2
    assert [run.folder.name for run in plan('elsewhere')] == first
    assert not {run.folder.name for run in plan(lr=0.5)} & set(first)
    label = tmp_path / 'labels/00001D.txt'
    label.write_text(label.read_text().replace('0 ', '2 ', 1) + '1 0.5 0.5 0.5 0.5\n')
    relabelled = [run.folder.name for run in plan()]
    assert not set(relabelled) & set(first)
    write_image(tmp_path / 'vi/00001D.png', np.zeros((48, 64, 3), np.uint8))
    assert not {run.folder.name for run in plan()} & {*first, *relabelled}


@HOOKS.register_module()
class KilledAfterAnEpoch(Hook):
    """Ends a training as if it were killed, once its first checkpoint is written."""

    priority = 'LOWEST'

    def after_train_epoch(self, runner):
        raise InterruptedError


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_values(plan):
    unbroken = run_detector(plan('unbroken')[0])
    report = json.loads((unbroken.folder / 'metrics.json').read_text())
    assert report['checkpoint'].endswith(f'epoch_{EPOCHS}.pth')
    assert unbroken.seconds > 0

    run = plan('broken')[0]
    hooks = list(run.cfg.custom_hooks)
    run.cfg.custom_hooks = [*hooks, dict(type='mmengine.KilledAfterAnEpoch')]
    with pytest.raises(InterruptedError):
        run_detector(run)
    assert not run.finished
    assert (run.folder / 'epoch_1.pth').is_file()
    run.cfg.custom_hooks = hooks
    resumed = run_detector(run)
    found, expected = (
        json.loads((each.folder / 'predictions/boxes.bbox.json').read_text())
        for each in (resumed, unbroken)
    )
    assert found == expected
    assert {box['image_id'] for box in found} <= {1, 2}  # of the first fold's frames
    result = read_result(resumed.folder, 'visible')
    assert result.values == read_result(unbroken.folder, 'visible').values
    assert set(result.values['AP50']) == {'person', 'bicycle', 'car'}

    written = (resumed.folder / 'metrics.json').stat().st_mtime_ns
    run_detector(plan('broken')[0])  # is done, so nothing happens
    assert (resumed.folder / 'metrics.json').stat().st_mtime_ns == written


def test_unfit_inputs_are_refused(plan, cfg, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(LabelError, match='expected images, found none'):
        read_input('fused', tmp_path / 'empty', tmp_path / 'labels', cfg.classes)
    plan()
    (tmp_path / 'ir/00320N.png').unlink()
    with pytest.raises(LabelError, match=r'(?s)infrared=.*00320N\.txt'):
        read_input('infrared', tmp_path / 'ir', tmp_path / 'labels', cfg.classes)
    write_image(tmp_path / 'ir/00320N.png', np.zeros((24, 32), np.uint8))
    inputs = [
        read_input(name, tmp_path / name, tmp_path / 'labels', cfg.classes) for name in ('vi', 'ir')
    ]
    with pytest.raises(LabelError, match='found 1 missing, additional or of another size: 00320N'):
        plan_runs(cfg, inputs, FOLDS, (0,), tmp_path / 'runs')

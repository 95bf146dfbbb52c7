"""The configs for mmdet and mmseg: each builds, and they differ in what they read alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from downstream_sets import FUSED, SIZE, drop_pretrained, write_set
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from torch import nn

from mmsgdfuse.datasets.downstream import DETECTION_SETS, SEGMENTATION_SETS, check_config
from mmsgdfuse.utils.config import merge_options
from mmsgdfuse.utils.setup_env import import_packages_of

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

FOLDER = Path(__file__).resolve().parents[1] / 'configs' / 'downstream'
DETECTORS = ('yolox-s', 'yolox-tiny', 'retinanet-r50')
SEGMENTERS = ('deeplabv3plus-r50', 'segformer-b0')
INPUTS = ('visible', 'infrared', 'fused', 'folder')
SETS = [
    *((model, name, False) for model in DETECTORS for name in DETECTION_SETS),
    *((model, name, True) for model in SEGMENTERS for name in SEGMENTATION_SETS),
]
each = pytest.mark.parametrize(('model', 'name', 'maps'), SETS)


@cache
def config_of(model: str, name: str, which: str) -> Config:
    return Config.fromfile(FOLDER / f'{model}_{name.lower()}-{which}.py')


@pytest.fixture(scope='module')
def root_of(tmp_path_factory):
    """Function that returns the root of a synthetic set, written once."""

    @cache
    def write(name: str, maps: bool) -> Path:
        return write_set(tmp_path_factory.mktemp(f'{name}_{maps}'), name, maps, images=2)

    return write


def at(cfg: Config, root: Path) -> Config:
    options = dict(data_root=str(root), cache_dir=str(root / 'masks'), scale=SIZE[::-1])
    return merge_options(cfg, options)


def test_every_combination_is_there_and_nothing_else():
    expected = {f'{model}_{name.lower()}-{which}' for model, name, _ in SETS for which in INPUTS}
    assert {path.stem for path in FOLDER.glob('*.py')} == expected


@each
def test_only_the_input_changes(model, name, maps):
    base = config_of(model, name, 'visible')
    reading = {'train_dataloader', 'val_dataloader', 'test_dataloader'}
    for which, more in (('infrared', set()), ('folder', {'fused_from'}), ('fused', {'model'})):
        cfg = config_of(model, name, which)
        changed = {key for key in cfg.keys() | base.keys() if cfg.get(key) != base.get(key)}
        assert changed == reading | more, which
    assert config_of(model, name, 'fused').model.model == base.model


@each
def test_classes_are_those_of_the_set(model, name, maps):
    known = (SEGMENTATION_SETS if maps else DETECTION_SETS)[name]
    cfg = config_of(model, name, 'fused')
    for split in ('train', 'val', 'test'):
        assert tuple(cfg[f'{split}_dataloader'].dataset.metainfo.classes) == known.classes
    if maps:
        assert set(cfg.reported) < set(known.classes)
    if (name, maps) == ('MSRS', True):
        assert set(cfg.reported) == {'background', 'car', 'person', 'curve', 'color cone', 'bike'}


@each
@pytest.mark.parametrize('which', ['visible', 'fused'])
def test_builds_its_model(model, name, maps, which, monkeypatch):
    # initial values cost more time than everything else and tell nothing about a config
    for init in ('kaiming_uniform_', 'kaiming_normal_', 'uniform_', 'normal_', 'trunc_normal_'):
        monkeypatch.setattr(nn.init, init, lambda tensor, *args, **kwargs: tensor)
    cfg = Config(config_of(model, name, which)._cfg_dict.to_dict())
    import_packages_of(cfg)
    drop_pretrained(cfg.model)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        built = MODELS.build(cfg.model)
    known = (SEGMENTATION_SETS if maps else DETECTION_SETS)[name]
    downstream = built.model if which == 'fused' else built
    head = downstream.decode_head if maps else downstream.bbox_head
    assert head.num_classes == len(known.classes)


@pytest.mark.parametrize('which', INPUTS)
@pytest.mark.parametrize(
    ('model', 'name', 'maps'),
    [('yolox-s', name, False) for name in DETECTION_SETS]
    + [('segformer-b0', name, True) for name in SEGMENTATION_SETS],
)
def test_builds_its_data_sets(model, name, maps, which, root_of):
    cfg = at(Config(config_of(model, name, which)._cfg_dict.to_dict()), root_of(name, maps))
    import_packages_of(cfg)
    check_config(cfg)
    key = 'img_path' if maps else 'img'
    channels = 6 if which == 'fused' else 3
    for split in ('train', 'test'):
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        assert len(dataset) == 2
        sample = dataset[0]
        assert sample['inputs'].shape[0] == channels
        truth = sample['data_samples']
        assert truth.gt_sem_seg.data.max() > 0 if maps else 'gt_instances' in truth
        folder = Path(dataset.data_prefix[key]).relative_to(root_of(name, maps))
        layout = (SEGMENTATION_SETS if maps else DETECTION_SETS)[name].layout
        own = layout.folders(split if '{split}' in layout.ir else None)
        fused = FUSED[name].format(split=split)
        assert (
            str(folder)
            == dict(visible=own['vis'], infrared=own['ir'], fused=own['vis'], folder=fused)[which]
        )

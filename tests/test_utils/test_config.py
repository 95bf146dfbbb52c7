"""Command-line options reach every place that a config's variable went to."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmsgdfuse.utils.config import insert_transform, merge_checked, merge_options


@pytest.fixture
def cfg() -> Config:
    return Config(
        dict(
            data_root='data',
            batch_size=8,
            model=dict(type='Net', widths=(8, 16)),
            train=dict(
                batch_size=8,
                dataset=dict(sets=[dict(data_root='data'), dict(data_root='elsewhere')]),
                pipeline=[dict(type='Crop', size=8)],
            ),
            test=dict(batch_size=1, dataset=dict(data_root='data')),
        )
    )


def test_a_variable_reaches_where_it_was_used(cfg):
    assert merge_options(cfg, dict(data_root='/other')) is cfg
    assert cfg.data_root == '/other'
    assert cfg.test.dataset.data_root == '/other'
    # another value under the same name was not the variable
    assert [entry.data_root for entry in cfg.train.dataset.sets] == ['/other', 'elsewhere']


def test_same_value_under_another_name_stays(cfg):
    merge_options(cfg, dict(batch_size=2))
    assert cfg.train.batch_size == 2
    assert cfg.test.batch_size == 1
    assert cfg.train.pipeline[0].size == 8


def test_dotted_keys_change_one_place(cfg):
    merge_options(cfg, {'train.batch_size': 2, 'model.widths': [4], 'train.pipeline.0.size': 5})
    assert cfg.batch_size == 8
    assert cfg.train.batch_size == 2
    assert cfg.model == dict(type='Net', widths=[4])
    assert cfg.train.pipeline[0] == dict(type='Crop', size=5)


def test_new_keys_are_added(cfg):
    merge_options(cfg, {'seed': 3, 'model.depth': 2})
    assert cfg.seed == 3
    assert cfg.model.depth == 2


def test_a_dotted_key_wins_over_the_variable(cfg):
    merge_options(cfg, {'test.dataset.data_root': '/test', 'data_root': '/all'})
    assert cfg.test.dataset.data_root == '/test'
    assert cfg.train.dataset.sets[0].data_root == '/all'


@pytest.mark.parametrize('options', [None, {}])
def test_nothing_to_merge(cfg, options):
    before = cfg.to_dict()
    assert merge_options(cfg, options).to_dict() == before


def test_options_are_not_changed(cfg):
    options = {'data_root': '/other', 'model.depth': 2}
    merge_options(cfg, options)
    assert options == {'data_root': '/other', 'model.depth': 2}


class TestInsertTransform:
    def test_into_every_pipeline(self):
        load, crop, new = dict(type='Load'), dict(type='Crop'), dict(type='New', size=(1, 2))
        loader = dict(batch_size=2, sets=[dict(pipeline=[load, crop]), dict(pipeline=(load,))])
        changed = insert_transform(loader, 'Load', new)
        assert changed == dict(
            batch_size=2, sets=[dict(pipeline=[load, new, crop]), dict(pipeline=(load, new))]
        )
        assert loader['sets'][0] == dict(pipeline=[load, crop])
        assert insert_transform([load], 'Load', new)[1] is not new

    def test_there_is_no_place_for_it(self):
        with pytest.raises(ValueError, match='there is no GenerateMasks in the pipelines'):
            insert_transform([dict(type='Load')], 'GenerateMasks', dict(type='DropMask'))


def test_a_pipeline_shared_with_a_variable_counts_as_reached(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(
        'scale = (640, 480)\n'
        "a_pipeline = [dict(type='Resize', scale=scale)]\n"
        'train_dataloader = dict(dataset=dict(pipeline=a_pipeline))\n'
    )
    cfg = Config.fromfile(path)
    cfg.train_dataloader.dataset.pipeline = cfg.a_pipeline
    merge_checked([cfg], {'scale': (64, 48)})
    assert cfg.train_dataloader.dataset.pipeline[0].scale == (64, 48)


def test_a_variable_that_the_config_does_not_use_is_warned_of(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("cache_dir = 'masks'\nmodel = dict(type='StudentFuser')\n")
    with pytest.warns(UserWarning, match='nothing in this config uses the variable cache_dir'):
        merge_checked([Config.fromfile(path)], {'cache_dir': 'other'})

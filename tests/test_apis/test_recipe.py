from __future__ import annotations

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsgdfuse.apis import Recipe
from mmsgdfuse.models.fusers import SGDFuse

TINY = dict(
    type='SGDFuse',
    preliminary=dict(type='PreliminaryNet', channels=8, depth=1, num_heads=2),
    denoiser=dict(type='NoiseUNet', base_channels=8, channel_mults=(1, 2), num_res_blocks=1),
    losses=dict(intensity=dict(type='MaskedIntensityLoss')),
    noise_loss=dict(type='NoisePredictionLoss'),
)
MASKS = dict(type='GenerateMasks', vis=dict(type='ThermalVisualSaliency'), cache_dir='cache')


def make_config(wrap=lambda dataset: dataset, **changes):
    dataset = dict(type='IVIFDataset', pipeline=[
        dict(type='LoadPair'), MASKS, dict(type='mmsgdfuse.PackFusionInputs')
    ])  # fmt: skip
    return Config(dict(model=TINY, test_dataloader=dict(dataset=wrap(dataset))) | changes)


@pytest.mark.parametrize('name', ['sgdfuse-compact_ivif', 'sgdfuse_msrs'])
def test_the_shipped_configs_have_a_recipe(repository, name):
    recipe = Recipe.from_config(repository / 'configs' / f'{name}.py')
    assert recipe.model['type'] == 'SGDFuse'
    assert 'losses' not in recipe.model
    assert [transform['type'] for transform in recipe.masks] == ['GenerateMasks']
    assert Recipe.from_metadata(json.loads(json.dumps(recipe.to_metadata()))) == recipe


def test_a_student_has_neither_masks_nor_a_teacher(repository):
    recipe = Recipe.from_config(repository / 'configs' / 'sgdfuse-student_ivif.py')
    assert recipe.masks == []
    assert set(recipe.model) == {'type', 'network'}


@pytest.mark.parametrize(
    'wrap',
    [
        lambda dataset: dataset,
        lambda dataset: dict(type='ConcatDataset', datasets=[dataset, dataset]),
        lambda dataset: dict(type='RepeatDataset', times=2, dataset=dataset),
    ],
)
def test_masks_are_those_of_the_test_pipeline_without_its_cache(wrap):
    recipe = Recipe.from_config(make_config(wrap))
    assert recipe.masks == [dict(type='GenerateMasks', vis=dict(type='ThermalVisualSaliency'))]
    assert set(recipe.model) == {'type', 'preliminary', 'denoiser'}


def test_a_config_without_test_data_has_no_masks():
    assert Recipe.from_config(Config(dict(model=TINY))).masks == []


@pytest.mark.parametrize('scope', [None, 'mmsgdfuse', 'mmdet'])
def test_the_model_is_built_under_any_scope(scope):
    recipe = Recipe.from_config(make_config())
    context = DefaultScope.overwrite_default_scope(scope)
    with context:
        model = recipe.build_model()
    assert isinstance(model, SGDFuse)
    assert not model.training
    assert model.denoiser.widths == [8, 16]
    recipe.build_model()  # building has not used the recipe up
    assert not any(isinstance(value, torch.Tensor) for value in recipe.model.values())


def test_errors_name_the_config(tmp_path):
    path = tmp_path / 'no_model.py'
    path.write_text('max_epochs = 3\n')
    with pytest.raises(ValueError, match=r'no_model\.py: has no model'):
        Recipe.from_config(path)
    with pytest.raises(TypeError, match='numbers, text'):
        Recipe.from_config(make_config(model=dict(TINY, seed=object())))
    with pytest.raises(TypeError, match=r"must be a fuser.*'PreliminaryNet'"):
        Recipe(model=TINY['preliminary'], masks=[]).build_model()
    with pytest.raises(FileNotFoundError, match='none'):
        Recipe.from_config(tmp_path / 'none.py')

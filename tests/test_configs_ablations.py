"""The ablations change what they say and nothing else, in every phase that it concerns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.optim import build_optim_wrapper

from mmsgdfuse.engine import plan_phases
from mmsgdfuse.registry import MODELS
from mmsgdfuse.utils.image_io import write_image
from mmsgdfuse.utils.setup_env import register_all_modules

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
FOLDER = CONFIGS / 'ablations'
NAMES = sorted(path.stem for path in FOLDER.glob('*.py'))
MASKS = ['wo-ir-mask', 'wo-sam', 'wo-vis-mask']
CHANGED = {
    'depth-2': {'model.preliminary.depth': 2},
    'depth-4': {'model.preliminary.depth': 4},
    'three-passes': {'model.feature_timesteps': (5, 50, 100)},
    'wo-diffusion': {'model.feature_noise': 'none'},
    'wo-hfah': {'model.head.type': 'LastLevelHead'},
    'wo-stage-one': {'model.preliminary.type': 'MeanOfSources'},
    'wo-stage-two': {'model.type': 'PreliminaryFuser'},
}
# which phases of the recipe an ablation trains in the same way, and can share
SHARED = {
    'depth-2': [],
    'depth-4': [],
    'three-passes': ['preliminary', 'diffusion'],
    'wo-diffusion': ['preliminary'],
    'wo-hfah': ['preliminary', 'diffusion'],
    'wo-ir-mask': ['preliminary'],
    'wo-sam': ['preliminary'],
    'wo-stage-one': [],
    'wo-stage-two': ['preliminary'],
    'wo-vis-mask': ['preliminary'],
}


@pytest.fixture(autouse=True)
def our_scope():
    register_all_modules()


@pytest.fixture(scope='module')
def recipe() -> Config:
    return Config.fromfile(CONFIGS / 'sgdfuse-compact_ivif.py')


def load(name: str) -> Config:
    return Config.fromfile(FOLDER / f'{name}.py')


def flat(node: object, prefix: str = '') -> dict[str, object]:
    """The values of a config by dotted key."""
    if not isinstance(node, dict):
        return {prefix: node}
    return {
        key: value
        for name, part in node.items()
        for key, value in flat(part, f'{prefix}.{name}' if prefix else name).items()
    }


def pipelines(cfg: Config) -> dict[str, list[dict]]:
    """The pipelines that train, watch and test."""
    train = cfg.train_dataloader.dataset.datasets[0].dataset.pipeline
    return dict(
        train=train,
        val=cfg.val_dataloader.dataset.pipeline,
        test=cfg.test_dataloader.dataset.pipeline,
    )


def same(one: Config, other: Config) -> bool:
    left, right = (
        {k: v for k, v in cfg.to_dict().items() if k not in ('work_dir', 'experiment_name')}
        for cfg in (one, other)
    )
    return left == right


def test_table_3_and_figure_10_are_there():
    assert set(NAMES) == set(CHANGED) | set(MASKS) == set(SHARED)


@pytest.mark.parametrize('name', CHANGED)
def test_changes_one_thing(name, recipe):
    before, after = flat(recipe.to_dict()), flat(load(name).to_dict())
    expected = CHANGED[name]
    assert {key: after[key] for key in expected} == expected
    changed = {key for key in before | after if before.get(key) != after.get(key)} - {'phases'}
    side_effects = dict(
        # an untrained U-Net learns at the head's rate
        **{'wo-diffusion': {'optim_wrapper.paramwise_cfg.custom_keys.denoiser.lr_mult'}},
        # the parameters of a network that is gone
        **{'wo-stage-one': {key for key in before if key.startswith('model.preliminary.')}},
        **{
            'wo-stage-two': {
                key
                for key in before
                if key.startswith('model.')
                and not key.startswith(('model.preliminary.', 'model.losses.'))
            }
        },
    ).get(name, set())
    assert changed <= set(expected) | side_effects


@pytest.mark.parametrize('name', MASKS)
def test_masks_are_changed_in_training_and_tests_alone(name, recipe):
    cfg = load(name)
    for split, pipeline in pipelines(cfg).items():
        original = pipelines(recipe)[split]
        (added,) = [transform for transform in pipeline if transform not in original]
        assert [transform for transform in pipeline if transform != added] == original
        assert pipeline[pipeline.index(added) - 1].type == 'GenerateMasks'
    prefixes = {
        repeat.dataset.data_prefix.ir: repeat.dataset.pipeline
        for repeat in cfg.train_dataloader.dataset.datasets
    }
    assert len(prefixes) == 5
    assert all(pipeline == pipelines(cfg)['train'] for pipeline in prefixes.values())
    assert cfg.model == recipe.model


class TestMasks:
    @pytest.fixture
    def pair(self, scene, tmp_path, monkeypatch) -> dict[str, str]:
        monkeypatch.chdir(tmp_path)  # the cache of masks lies below the current folder
        write_image(tmp_path / 'ir.png', scene.ir)
        write_image(tmp_path / 'vis.png', scene.vis)
        paths = {f'{key}_path': str(tmp_path / f'{key}.png') for key in ('ir', 'vis')}
        return dict(paths, name='0.png')

    @staticmethod
    def run(name: str, split: str, pair: dict[str, str]) -> dict[str, torch.Tensor]:
        cfg = load(name)
        for transform in pipelines(cfg)[split]:
            if transform.type == 'RandomCropPair':
                transform.crop_size = 64
            if transform.type == 'AugmentMasks':
                transform.drop_prob = 0.0
        return Compose(pipelines(cfg)[split])(dict(pair))['inputs']

    @pytest.mark.parametrize('split', ['train', 'test'])
    @pytest.mark.parametrize('gone', ['ir', 'vis'])
    def test_one_is_gone(self, pair, split, gone):
        other = dict(ir='vis', vis='ir')[gone]
        inputs = [self.run(f'wo-{gone}-mask', split, pair) for _ in range(4)]
        assert all(not drawn[f'mask_{gone}'].any() for drawn in inputs)
        assert any(drawn[f'mask_{other}'].any() for drawn in inputs)

    def test_crops_instead_of_masks(self, pair, scene):
        once, again = (self.run('wo-sam', 'test', pair) for _ in range(2))
        for key in ('mask_ir', 'mask_vis'):
            assert torch.equal(once[key], again[key])
            # an enlarged crop has about the grey levels of its image, which masks have not
            assert len(once[key].unique()) > 100
        assert once['mask_ir'].max() <= scene.ir.max() / 255 + 1e-6
        drawn = [self.run('wo-sam', 'train', pair)['mask_ir'] for _ in range(2)]
        assert not torch.equal(*drawn)


@pytest.mark.parametrize('name', NAMES)
class TestEach:
    def test_shares_the_phases_that_it_leaves_alone(self, name, recipe, tmp_path):
        original = {phase.name: phase.cfg for phase in plan_phases(recipe, tmp_path)}
        phases = plan_phases(load(name), tmp_path)
        found = [phase.name for phase in phases if same(phase.cfg, original[phase.name])]
        assert found == SHARED[name]

    def test_trains_an_iteration_of_every_phase(self, name, make_batch, tmp_path):
        cfg = load(name)
        shrink(cfg)
        for phase in plan_phases(cfg, tmp_path):
            model = MODELS.build(phase.cfg.model).train()
            with torch.no_grad():  # a layer that starts at zero hides what comes before it
                for parameter in model.parameters():
                    if not parameter.any():
                        parameter.normal_(std=0.1)
            optimizer = build_optim_wrapper(model, phase.cfg.optim_wrapper)
            before = {key: value.clone() for key, value in model.state_dict().items()}
            log = model.train_step(make_batch(), optimizer)
            assert log.keys() >= {'loss'}
            assert all(value.isfinite() for value in log.values())
            moved = {
                key.split('.')[0]
                for key, value in model.state_dict().items()
                if not torch.equal(value, before[key])
            }
            frozen = set(getattr(model, 'frozen', ()))
            networks = {'preliminary', 'denoiser', 'head'} & {n for n, _ in model.named_children()}
            assert moved == networks - frozen

    def test_applies_to_the_papers_size(self, name, tmp_path, monkeypatch):
        original = Config.fromfile(CONFIGS / 'sgdfuse_msrs.py')
        monkeypatch.setenv('MMSGDFUSE_RECIPE', str(CONFIGS / 'sgdfuse_msrs.py'))
        cfg = load(name)
        assert cfg.train_dataloader.batch_size == original.train_dataloader.batch_size == 24
        model = flat(cfg.model.to_dict(), 'model')
        assert {key: model[key] for key in CHANGED.get(name, {})} == CHANGED.get(name, {})
        if name in MASKS:
            assert cfg.train_dataloader != original.train_dataloader
            assert cfg.test_dataloader != original.test_dataloader
        phases = plan_phases(cfg, tmp_path)
        assert [phase.max_epochs for phase in phases] == [200] * len(phases)


@pytest.fixture
def make_batch(scene):
    """A batch of two crops, as a data loader would give it."""

    def make_batch(size: int = 48) -> dict:
        results = dict(ir=scene.ir[..., None], vis=scene.vis, name='0.png')
        results.update(ori_shape=scene.ir.shape, img_shape=scene.ir.shape)
        for key in ('mask_ir', 'mask_vis'):
            results[key] = (scene.labels > 0)[..., None].astype(np.float32)
        crop = Compose([dict(type='RandomCropPair', crop_size=size), dict(type='PackFusionInputs')])
        return pseudo_collate([crop(dict(results)) for _ in range(2)])

    return make_batch


def shrink(cfg: Config) -> None:
    """Small networks; what the phases take from the entry spreads them."""
    if cfg.model.preliminary.type == 'PreliminaryNet':
        cfg.model.preliminary.update(channels=4, num_heads=2)
    if 'denoiser' in cfg.model:
        cfg.model.denoiser.update(base_channels=8, channel_mults=(1, 2))
        cfg.model.head.update(level_channels=4, hidden_channels=4)

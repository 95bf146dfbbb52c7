"""Every config parses, builds its model, and hands its weights on to the next phase."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmsgdfuse.engine import plan_phases
from mmsgdfuse.models.fusers import DiffusionFuser, PreliminaryFuser, SGDFuse
from mmsgdfuse.registry import (
    DATA_SAMPLERS,
    HOOKS,
    METRICS,
    MODELS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISUALIZERS,
)
from mmsgdfuse.utils.setup_env import register_all_modules

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
PHASES = ['preliminary', 'diffusion', 'fusion']
# those of other packages build detectors and segmentors, which have tests of their own
ALL = sorted(
    path
    for path in CONFIGS.rglob('*.py')
    if not {'_base_', 'downstream'} & set(path.relative_to(CONFIGS).parts)
)


def name_of(path: Path) -> str:
    return path.relative_to(CONFIGS).as_posix()


def is_entry(path: Path) -> bool:
    return 'phases' in Config.fromfile(path)


ENTRIES = [path for path in ALL if is_entry(path)]


@pytest.fixture(autouse=True)
def our_scope():
    register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmsgdfuse'


def build_model(cfg: Config) -> nn.Module:
    # initial values cost more time than everything else and tell nothing about a config
    with pytest.MonkeyPatch.context() as patch:
        for init in ('kaiming_uniform_', 'uniform_', 'normal_'):
            patch.setattr(nn.init, init, lambda tensor, *args, **kwargs: tensor)
        return MODELS.build(cfg.model)


def types_in(node: object) -> set[str]:
    """Every ``type`` below a part of a config."""
    if isinstance(node, dict):
        own = {node['type']} if isinstance(node.get('type'), str) else set()
        return own.union(*(types_in(value) for value in node.values()))
    if isinstance(node, (list, tuple)):
        return set().union(*(types_in(value) for value in node))
    return set()


def measured_on(folder: str) -> bool:
    """Whether a folder holds pairs that are for measuring only.

    Beside ``dev`` and ``test`` these are the whole clips that the sequences of M3SVD/dev are cut
    from.
    """
    return bool({'dev', 'test', '0111_1716', '0115_1847'} & set(Path(folder).parts))


def test_the_clip_of_a_dev_sequence_counts_as_measured_on():
    assert measured_on('M3SVD/video/0111_1716/ir')
    assert measured_on('M3SVD/dev/0115_1847/ir_noisy')
    assert not measured_on('M3SVD/train/0106_1743/ir')


def test_there_are_entries_for_the_paper_and_for_a_cpu():
    assert {'sgdfuse_msrs.py', 'sgdfuse-compact_ivif.py'} <= {name_of(path) for path in ENTRIES}


@pytest.mark.parametrize('path', ALL, ids=name_of)
class TestEach:
    def test_builds_its_model(self, path):
        model = build_model(Config.fromfile(path))
        assert sum(p.numel() for p in model.parameters() if p.requires_grad) > 0

    def test_names_only_what_is_registered(self, path):
        cfg = Config.fromfile(path)
        parts = [
            (TRANSFORMS, [cfg.train_dataloader.dataset, cfg.val_dataloader.dataset], 'pipeline'),
            (HOOKS, [cfg.default_hooks, cfg.custom_hooks], None),
            (METRICS, [cfg.val_evaluator, cfg.test_evaluator], None),
            (DATA_SAMPLERS, [cfg.train_dataloader.sampler, cfg.test_dataloader.sampler], None),
            (OPTIMIZERS, [cfg.optim_wrapper.optimizer], None),
            (PARAM_SCHEDULERS, [cfg.param_scheduler], None),
            (VISUALIZERS, [dict(type=cfg.visualizer.type)], None),
        ]
        for registry, nodes, key in parts:
            if key is not None:
                nodes = pipelines_in(nodes)
            for name in sorted(types_in([_one_level(node) for node in _flat(nodes)])):
                assert registry.get(name) is not None, f'{name} is not in {registry.name}'

    def test_trains_by_its_own_rules(self, path):
        """What a run needs to be repeatable and to survive a kill."""
        cfg = Config.fromfile(path)
        hooks = types_in(cfg.custom_hooks)
        assert cfg.default_scope == 'mmsgdfuse'
        assert cfg.randomness.seed is not None
        assert 'EpochSeedHook' in hooks
        assert ('EMAHook' in hooks) != ('strategy' in cfg)  # it cannot average shards
        checkpoint = cfg.default_hooks.checkpoint
        assert checkpoint.interval == 1
        assert checkpoint.backend_args.backend == 'mmsgdfuse_atomic'
        assert cfg.optim_wrapper.clip_grad.max_norm > 0
        assert cfg.train_dataloader.worker_init_fn.type == 'mmsgdfuse.seed_worker'
        # workers that live on would not be seeded anew in each epoch
        assert not cfg.train_dataloader.get('persistent_workers', False)

    def test_does_not_train_on_what_it_is_judged_by(self, path):
        cfg = Config.fromfile(path)
        trained_on = prefixes_in(cfg.train_dataloader)
        assert trained_on
        assert not {folder for folder in trained_on if measured_on(folder)}
        for loader in (cfg.val_dataloader, cfg.test_dataloader):
            assert prefixes_in(loader)
            assert not trained_on & prefixes_in(loader)

    def test_data_root_reaches_every_dataset(self, path, tmp_path):
        (phase, *_) = plan_phases(Config.fromfile(path), tmp_path, {'data_root': '/elsewhere'})
        loaders = [phase.cfg[f'{split}_dataloader'] for split in ('train', 'val', 'test')]
        roots = {dataset.data_root for loader in loaders for dataset in datasets_in(loader)}
        assert roots == {'/elsewhere'}

    def test_cache_dir_reaches_every_transform(self, path, tmp_path):
        (phase, *_) = plan_phases(Config.fromfile(path), tmp_path, {'cache_dir': '/elsewhere'})
        loaders = [phase.cfg[f'{split}_dataloader'] for split in ('train', 'val', 'test')]
        assert 'work_dirs/mask_cache' not in repr(loaders)
        assert '/elsewhere' in repr(loaders)


@pytest.mark.parametrize('path', ENTRIES, ids=name_of)
class TestChain:
    def test_phases_in_order(self, path, tmp_path):
        phases = plan_phases(Config.fromfile(path), tmp_path)
        names = [phase.name for phase in phases]
        assert names == [name for name in PHASES if name in names]

    def test_inherited_weights_have_equal_shapes(self, path, tmp_path):
        held: dict[str, tuple] = {}
        for phase in plan_phases(Config.fromfile(path), tmp_path):
            shapes = {
                name: tuple(weight.shape)
                for name, weight in build_model(phase.cfg).state_dict().items()
            }
            inherited = {n: s for n, s in shapes.items() if n.split('.', 1)[0] in phase.inherits}
            assert {name.split('.', 1)[0] for name in inherited} == set(phase.inherits)
            assert {name: held.get(name) for name in inherited} == inherited
            held = shapes

    def test_the_entry_itself_is_the_last_phase(self, path, tmp_path):
        cfg = Config.fromfile(path)
        last = plan_phases(cfg, tmp_path)[-1].cfg
        assert cfg.model == last.model
        assert cfg.test_dataloader == last.test_dataloader

    def test_one_schedule_for_training_and_sampling(self, path, tmp_path):
        schedules = [
            phase.cfg.model.schedule
            for phase in plan_phases(Config.fromfile(path), tmp_path)
            if 'schedule' in phase.cfg.model
        ]
        assert all(schedule == schedules[0] for schedule in schedules)


class TestPaper:
    """The recipe of Section 4.1.3, and the networks."""

    @pytest.fixture
    def phases(self, tmp_path):
        return plan_phases(Config.fromfile(CONFIGS / 'sgdfuse_msrs.py'), tmp_path)

    def test_recipe(self, phases):
        for phase in phases:
            assert phase.cfg.train_dataloader.batch_size == 24
            assert phase.cfg.optim_wrapper.optimizer == dict(type='Adam', lr=1e-4)
            (crop,) = [
                transform
                for transform in phase.cfg.train_dataloader.dataset.pipeline
                if transform.type == 'RandomCropPair'
            ]
            assert crop.crop_size in (160, (160, 160), [160, 160])
        assert phases[-1].max_epochs == 200

    def test_networks(self, phases):
        models = [build_model(phase.cfg) for phase in phases]
        assert [type(model) for model in models] == [PreliminaryFuser, DiffusionFuser, SGDFuse]
        final = models[-1]
        assert final.feature_timesteps == [5, 50, 100]
        assert len(final.denoiser.feature_channels) == 5
        assert final.denoiser.in_channels == 5
        assert final.prediction_type == 'epsilon'
        schedule = final.schedule
        assert schedule.num_train_timesteps == 1000
        assert schedule.betas[0].item() == pytest.approx(1e-6)
        assert schedule.betas[-1].item() == pytest.approx(1e-2)
        weights = {name: loss.loss_weight for name, loss in final.losses.items()}
        assert weights == dict(intensity=1.5, gradient=1.0)

    def test_the_compact_model_is_much_smaller(self, phases):
        compact = build_model(Config.fromfile(CONFIGS / 'sgdfuse-compact_ivif.py'))
        paper = build_model(phases[-1].cfg)
        sizes = [sum(p.numel() for p in model.parameters()) for model in (compact, paper)]
        # 20 MB of half-precision weights
        assert sizes[0] < 10e6 < sizes[1]


def datasets_in(node: object) -> list[dict]:
    """Every config below that reads files."""
    if isinstance(node, dict):
        own = [node] if 'data_prefix' in node else []
        return own + [found for value in node.values() for found in datasets_in(value)]
    if isinstance(node, (list, tuple)):
        return [found for value in node for found in datasets_in(value)]
    return []


def prefixes_in(node: object) -> set[str]:
    return {dataset['data_prefix']['ir'] for dataset in datasets_in(node)}


def pipelines_in(node: object) -> list[list]:
    return [dataset['pipeline'] for dataset in datasets_in(node)]


def _flat(nodes: list) -> list[dict]:
    """The configs of a list, or of the values of a dict, of any depth."""
    flat: list[dict] = []
    for node in nodes:
        if isinstance(node, (list, tuple)):
            flat += _flat(list(node))
        elif 'type' in node:
            flat.append(node)
        else:
            flat += _flat(list(node.values()))
    return flat


def _one_level(node: dict) -> dict:
    """Only its own type: what it is made of belongs to other registries."""
    return dict(type=node['type'])

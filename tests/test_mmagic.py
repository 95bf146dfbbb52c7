"""A config of mmagic trains and tests our model on mmagic's data set, transforms and metrics."""

from __future__ import annotations

import math
import sys

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.models.fusers import SGDFuse
from mmsgdfuse.registry import METRICS
from mmsgdfuse.utils.setup_env import import_packages_of

CONFIG = """
default_scope = 'mmagic'
custom_imports = dict(imports=['mmsgdfuse'], allow_failed_imports=False)

keys = ['ir', 'vis', 'mask_ir', 'mask_vis']
loading = [
    dict(type='LoadImageFromFile', key='ir', color_type='grayscale'),
    dict(type='LoadImageFromFile', key='vis', channel_order='rgb'),
    dict(type='mmsgdfuse.GenerateMasks'),
]
dataset = dict(
    type='BasicImageDataset',
    data_root=DATA_ROOT,
    data_prefix=dict(ir='ir', vis='vi'),
    metainfo=dict(dataset_type='pairs', task_name='fusion'),
)
train_dataloader = dict(
    batch_size=2,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **dataset,
        pipeline=[
            *loading,
            dict(type='Flip', keys=keys, flip_ratio=0.5, direction='horizontal'),
            dict(type='mmsgdfuse.PackFusionInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, pipeline=[*loading, dict(type='mmsgdfuse.PackFusionInputs')]),
)
model = dict(
    type='SGDFuse',
    _scope_='mmsgdfuse',
    preliminary=dict(type='PreliminaryNet', channels=4, depth=1, num_heads=1),
    denoiser=dict(type='NoiseUNet', base_channels=8, channel_mults=(1, 2), num_res_blocks=1),
    head=dict(type='HFAH', level_channels=4, hidden_channels=8),
    feature_timesteps=(5,),
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
val_cfg = dict()
val_evaluator = [
    dict(type='mmsgdfuse.FusionMetric', names=['EN', 'Qabf']),
    dict(type='mmsgdfuse.MMagicMetric', metric=dict(type='PSNR', gt_key='ir', pred_key='fused')),
]
"""


def test_mmagic_trains_and_scores_our_model(tmp_path):
    pytest.importorskip('mmagic')
    for seed in range(2):
        scene = synthetic_scene(seed=seed, size=(48, 64))
        images = dict(ir=scene.ir, vi=cv2.cvtColor(scene.vis, cv2.COLOR_RGB2BGR))
        for folder, image in images.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            assert cv2.imwrite(str(tmp_path / folder / f'{seed}.png'), image)
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.replace('DATA_ROOT', repr(str(tmp_path))))
    cfg = Config.fromfile(path)
    cfg.work_dir = str(tmp_path / 'work')

    runner = Runner.from_cfg(cfg)
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.train()

    assert type(runner.train_dataloader.dataset).__module__.startswith('mmagic.')
    assert isinstance(runner.model, SGDFuse)
    assert runner.iter == 2
    assert any((value != before[key]).any() for key, value in runner.model.state_dict().items())
    assert 0 < runner.message_hub.get_scalar('val/fusion/EN').current() <= 8
    assert 5 < runner.message_hub.get_scalar('val/mmagic/PSNR').current() < 60


def test_where_mmagic_cannot_be_imported_the_config_is_refused(tmp_path, monkeypatch):
    """As the tools do before they build anything, and by the metric in anybody's Runner."""
    for name in [name for name in sys.modules if name.split('.')[0] == 'mmagic']:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / 'mmagic').mkdir()
    (tmp_path / 'mmagic' / '__init__.py').write_text('from diffusers import NoSuchThing\n')
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.replace('DATA_ROOT', repr(str(tmp_path))))
    cfg = Config.fromfile(path)

    versions = r'NoSuchThing.*mmagic 1\.2\.0 with diffusers 0\.28\.2.*mmengine 0\.10\.7'
    with pytest.raises(ImportError, match=versions):
        import_packages_of(cfg)
    with pytest.raises(ImportError, match=versions):
        METRICS.build(cfg.val_evaluator[1])


@pytest.fixture
def batch() -> tuple[dict, list[dict]]:
    """A batch of one pair, and a result that is 10 grey levels brighter than ``vis``."""
    generator = torch.Generator().manual_seed(0)
    ir = torch.randint(0, 200, (1, 40, 48), generator=generator, dtype=torch.uint8)
    vis = torch.randint(0, 200, (3, 40, 48), generator=generator, dtype=torch.uint8)
    return dict(inputs=dict(ir=[ir], vis=[vis])), [dict(fused=vis + 10, name='a.png')]


def score(batch: tuple[dict, list[dict]], **metric) -> dict[str, float]:
    pytest.importorskip('mmagic')
    built = METRICS.build(dict(type='MMagicMetric', metric=metric))
    built.process(*batch)
    return built.evaluate(1)


def test_psnr_of_a_known_error(batch):
    scores = score(batch, type='PSNR', gt_key='vis', pred_key='fused')
    assert scores == {'mmagic/PSNR': pytest.approx(20 * math.log10(255 / 10), rel=1e-6)}


def test_mae_against_infrared(batch):
    expected = (batch[1][0]['fused'].float() - batch[0]['inputs']['ir'][0].float()).abs().mean()
    scores = score(batch, type='MAE', gt_key='ir', pred_key='fused')
    assert scores['mmagic/MAE'] == pytest.approx(float(expected) / 255, rel=1e-6)


def test_luma_is_that_of_rgb(batch):
    batch[1][0]['fused'] = batch[0]['inputs']['vis'][0].clone()
    batch[1][0]['fused'][0] += 30  # red, whose weight in the BT.601 luma is 65.481 / 255
    scores = score(batch, type='PSNR', gt_key='vis', pred_key='fused', convert_to='Y')
    assert scores['mmagic/PSNR'] == pytest.approx(
        20 * math.log10(255 / (30 * 65.481 / 255)), abs=0.01
    )


def test_metrics_without_reference_and_with_default_names():
    scene = synthetic_scene(seed=0, size=(288, 384))  # NIQE looks at blocks of 96 pixels
    vis = torch.from_numpy(scene.vis).permute(2, 0, 1)
    pair = dict(inputs=dict(ir=[torch.from_numpy(scene.ir)[None]], vis=[vis]))
    noisy = vis + torch.randint(0, 40, vis.shape, dtype=torch.uint8)
    clean, worse = (
        score((pair, [dict(fused=image)]), type='NIQE', input_order='CHW')['mmagic/NIQE']
        for image in (vis, noisy)
    )
    assert 0 < clean < worse
    assert score((pair, [dict(fused=vis)]), type='MAE') == {'mmagic/MAE': 0}


def test_refuses_metrics_of_distributions():
    pytest.importorskip('mmagic')
    with pytest.raises(TypeError, match='SlicedWassersteinDistance is not computed image by image'):
        METRICS.build(
            dict(type='MMagicMetric', metric=dict(type='SWD', fake_nums=1, image_shape=(3, 32, 32)))
        )

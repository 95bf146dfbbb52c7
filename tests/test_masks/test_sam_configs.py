"""The configs with SAM's masks train, here with a small SAM of random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.engine import check_config, plan_phases, run_phases
from mmsgdfuse.utils.image_io import write_image
from mmsgdfuse.utils.setup_env import register_all_modules

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PRINTED = 'sgdfuse-as-printed_msrs.py'


@pytest.mark.parametrize('name', ['sgdfuse_sam_msrs.py', PRINTED])
def test_it_trains_in_all_phases(name, tiny_sam, tmp_path, monkeypatch):
    # mmengine formats it by yapf for the log, which takes longer than the training
    monkeypatch.setattr(Config, 'pretty_text', property(lambda cfg: repr(cfg.to_dict())))
    register_all_modules()
    for split in ('train', 'test'):
        for seed in range(2):
            scene = synthetic_scene(seed=seed, size=(48, 64))
            write_image(tmp_path / 'MSRS' / split / 'ir' / f'{seed}.png', scene.ir)
            write_image(tmp_path / 'MSRS' / split / 'vi' / f'{seed}.png', scene.vis)
    options = {
        'data_root': str(tmp_path), 'cache_dir': str(tmp_path / 'masks'), 'crop_size': 48,
        'batch_size': 1, 'num_workers': 0, 'max_epochs': 1,
        'mask_generator.model_type': 'tiny', 'mask_generator.checkpoint': str(tiny_sam),
        'mask_generator.device': 'cpu', 'mask_generator.points_per_side': 2,
        'mask_generator.pred_iou_thresh': 0.0, 'mask_generator.stability_score_thresh': 0.0,
        'preliminary.channels': 8, 'preliminary.depth': 1, 'denoiser.base_channels': 8,
        'denoiser.channel_mults': [1, 2], 'model.head.level_channels': 4,
        'model.head.hidden_channels': 8,
    }  # fmt: skip
    phases = plan_phases(Config.fromfile(CONFIGS / name), tmp_path / 'work', options)
    for index, phase in enumerate(phases):
        check_config(phase.cfg)
        # the options reach every place in every phase
        loaders = repr([phase.cfg.train_dataloader, phase.cfg.val_dataloader])
        assert loaders.count("'tiny'") == 4
        assert 'ThermalVisualSaliency' not in loaders
        phase.cfg.experiment_name = f'{tmp_path.name}_{index}'
    checkpoint = run_phases(phases)
    assert checkpoint == tmp_path / 'work' / 'fusion' / 'epoch_1.pth'
    assert len(list((tmp_path / 'masks').glob('SAMMaskGenerator-*/*.png'))) >= 4
    assert not list((tmp_path / 'masks').glob('Thermal*'))


def test_as_printed():
    cfg = Config.fromfile(CONFIGS / PRINTED)
    assert cfg.model.head.source_skip is False
    assert cfg.model.head.prediction == 'image'
    assert cfg.model.losses.intensity == dict(
        type='MaskedIntensityLoss', target='channel', mask_floor=0.0, loss_weight=1.5
    )
    assert cfg.model.losses.gradient.mask_floor == 0
    assert 'SAMMaskGenerator' in repr(cfg.train_dataloader)

"""Tiny models and batches for the tests of the fusers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.models.fusers import BaseFuser
from mmsgdfuse.registry import MODELS
from mmsgdfuse.structures import FusionDataSample

PRELIMINARY = dict(type='PreliminaryNet', channels=8, depth=1, num_heads=2)
DENOISER = dict(type='NoiseUNet', base_channels=8, channel_mults=(1, 2), num_res_blocks=1)
HEAD = dict(type='HFAH', level_channels=4, hidden_channels=8)
# few and coarse steps, so that single precision can tell signal from noise
SCHEDULE = dict(type='LinearNoiseSchedule', num_train_timesteps=20, beta_start=0.02, beta_end=0.2)

STAGE_TWO = dict(
    preliminary=PRELIMINARY, denoiser=DENOISER, schedule=SCHEDULE, start_timestep=8, num_steps=3
)
PHASES = dict(
    PreliminaryFuser=dict(preliminary=PRELIMINARY),
    DiffusionFuser=STAGE_TWO,
    SGDFuse=dict(STAGE_TWO, head=HEAD, feature_timesteps=(2, 8)),
    StudentFuser=dict(network=dict(type='StudentNet', widths=(8, 8), depths=(1, 1))),
)


@pytest.fixture
def build(tiny_weights) -> Callable[..., BaseFuser]:
    """Build a fuser by its name; keyword arguments replace those of the tiny model."""

    def build(name: str, **kwargs) -> BaseFuser:
        if name == 'StudentFuser':
            kwargs.setdefault('teacher', tiny_weights)
        model = MODELS.build({**PHASES[name], 'type': name, **kwargs})
        # a layer that starts at zero would hide whatever comes before it
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.1)
        return model

    return build


@pytest.fixture
def make_data() -> Callable[..., dict]:
    """A batch as the data loader gives it: one synthetic scene per size."""

    def make_data(*sizes: tuple[int, int], masks: bool = True) -> dict:
        fields = ['ir', 'vis', 'mask_ir', 'mask_vis'] if masks else ['ir', 'vis']
        inputs: dict[str, list] = {field: [] for field in fields}
        samples = []
        for seed, size in enumerate(sizes):
            scene = synthetic_scene(seed=seed, size=size)
            images = dict(
                ir=scene.ir[None],
                vis=scene.vis.transpose(2, 0, 1),
                mask_ir=(scene.labels > 0)[None].astype('float32'),
                mask_vis=scene.vis.max(axis=2)[None].astype('float32') / 255,
            )
            for field in fields:
                inputs[field].append(torch.from_numpy(images[field].copy()))
            samples.append(
                FusionDataSample(metainfo=dict(name=f'{seed}.png', ori_shape=size, img_shape=size))
            )
        return dict(inputs=inputs, data_samples=samples)

    return make_data


@pytest.fixture
def make_inputs(make_data) -> Callable[..., dict[str, torch.Tensor]]:
    """What the preprocessor makes of a batch: tensors (N, C, H, W) in the networks' ranges."""

    def make_inputs(count: int = 2, size: tuple[int, int] = (32, 40), masks: bool = True) -> dict:
        preprocessor = MODELS.build(dict(type='FusionDataPreprocessor'))
        return preprocessor(make_data(*[size] * count, masks=masks))['inputs']

    return make_inputs


def pytest_generate_tests(metafunc):
    """Run a test that asks for ``phase`` with the model of each phase."""
    if 'phase' in metafunc.fixturenames:
        metafunc.parametrize('phase', list(PHASES))

"""What the two processes of test_parallel_training.py do, and the parts that it shares.

torchrun starts ``parallel_job.py DATA OUT``; each process writes ``OUT/<rank>.pth``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size, is_distributed
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.engine import plan_phases, run_phases
from mmsgdfuse.registry import HOOKS, MODELS
from mmsgdfuse.utils.compat import distribute_on_cpu
from mmsgdfuse.utils.image_io import write_image

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'sgdfuse'
EPOCHS = 2
PAIRS = 7  # an odd number, so that the processes' shares are padded

PRELIMINARY = dict(channels=4, depth=1, num_heads=1)
DENOISER = dict(base_channels=8, channel_mults=(1, 2), num_res_blocks=1)
HEAD = dict(level_channels=4, hidden_channels=8)
_DIFFUSION = dict(
    preliminary=dict(type='PreliminaryNet', **PRELIMINARY),
    denoiser=dict(type='NoiseUNet', **DENOISER),
)
MODELS_OF_PHASES = dict(
    preliminary=dict(type='PreliminaryFuser', preliminary=_DIFFUSION['preliminary']),
    diffusion=dict(type='DiffusionFuser', **_DIFFUSION),
    fusion=dict(
        type='SGDFuse',
        **_DIFFUSION,
        head=dict(type='HFAH', **HEAD),
        feature_timesteps=(5, 50),
        feature_noise='seeded',
        train_denoiser=True,
        train_preliminary=True,
    ),
)

# Adam makes full steps of what is only rounding in a gradient that should be zero; only a clipped
# gradient shows by which norm it is clipped, and only momentum an optimizer state that is lost.
COMPARABLE = {
    'optim_wrapper.optimizer.type': 'SGD',
    'optim_wrapper.optimizer.lr': 0.1,
    'optim_wrapper.optimizer.momentum': 0.9,
    'optim_wrapper.clip_grad.max_norm': 0.1,
}


@HOOKS.register_module()
class KillHook(Hook):
    """Kills the second process in the second epoch, having made the file that KILL names."""

    def after_train_iter(self, runner, batch_idx, **kwargs):
        if 'KILL' in os.environ and (get_rank(), runner.epoch, batch_idx) == (1, 1, 0):
            Path(os.environ['KILL']).touch()
            os.kill(os.getpid(), signal.SIGKILL)


def write_pairs(root: Path) -> None:
    """Small pairs in the layout that the configs of MSRS read."""
    for split, count in dict(train=PAIRS, test=1).items():
        for seed in range(count):
            scene = synthetic_scene(seed=seed, size=(48, 56))
            write_image(root / 'MSRS' / split / 'ir' / f'{seed}.png', scene.ir)
            write_image(root / 'MSRS' / split / 'vi' / f'{seed}.png', scene.vis)


def options(data_root: Path, phase: str) -> dict:
    """``--cfg-options`` that cut a config of the paper's size down to seconds."""
    cut = {
        'data_root': str(data_root),
        'cache_dir': str(data_root / 'masks'),
        'crop_size': 32,
        'batch_size': 2,
        'train_dataloader.batch_size': 2,
        'num_workers': 0,
        'max_epochs': EPOCHS,
        'train_cfg.val_interval': EPOCHS,
        'default_hooks.logger.interval': 1,
    }
    parts = dict(preliminary=PRELIMINARY)
    if phase != 'preliminary':
        parts['denoiser'] = DENOISER
        cut['model.num_steps'] = 1
    if phase == 'fusion':
        parts['head'] = HEAD
        cut |= {'model.train_denoiser': True, 'model.train_preliminary': True}
    for part, values in parts.items():
        cut |= {f'model.{part}.{name}': value for name, value in values.items()}
    return cut


def train(config: str, data_root: Path, work_dir: Path, resume: bool = False, **more) -> dict:
    """Train by a shipped config, and return what this process has then."""
    seen: dict = {}

    class Keep(Hook):
        def before_train(self, runner):
            seen['start'] = weights_of(runner.model)

        def after_train_iter(self, runner, batch_idx, data_batch=None, **kwargs):
            paths = [sample.ir_path for sample in data_batch['data_samples']]
            seen.setdefault('paths', []).append(paths)

        def after_train(self, runner):
            seen['end'] = weights_of(runner.model)
            for hook in runner.hooks:
                if hasattr(hook, 'ema_model'):
                    # mmengine has swapped the two for the last validation, and back
                    seen['average'] = weights_of(hook.ema_model)

    HOOKS.register_module(module=Keep, force=True)
    phase_name = config.split('-')[1].split('_')[0]
    cfg = Config.fromfile(CONFIGS / config)
    (phase,) = plan_phases(cfg, work_dir, {**options(data_root, phase_name), **more})
    phase.cfg.custom_hooks.append(dict(type='Keep'))
    phase.cfg.launcher = 'pytorch'
    distribute_on_cpu(phase.cfg)
    run_phases([phase], resume=resume)
    return seen


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    if isinstance(model, MMDistributedDataParallel):
        model = model.module
    return {name: value.clone() for name, value in model.state_dict().items()}


def batch_of(count: int) -> dict[str, Tensor]:
    """Random inputs in double precision, as a data preprocessor would return them."""
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int) -> Tensor:
        return torch.rand(count, channels, 32, 32, generator=generator, dtype=torch.double)

    return dict(ir=draw(1) * 2 - 1, vis=draw(3) * 2 - 1, mask_ir=draw(1), mask_vis=draw(1))


def share_of(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """This process's part of a batch."""
    return {name: value.chunk(get_world_size())[get_rank()] for name, value in batch.items()}


@contextmanager
def shared_draws() -> Iterator[None]:
    """Let each process draw its part of the noise that one process draws for the whole batch."""
    generator = torch.Generator().manual_seed(0)
    world, rank, randint = get_world_size(), get_rank(), torch.randint

    def share(draw, count, *shape, **kwargs):
        return draw(size=(count * world, *shape), generator=generator, **kwargs).chunk(world)[rank]

    with (
        mock.patch.object(
            torch, 'randn_like', lambda like: share(torch.randn, *like.shape, dtype=like.dtype)
        ),
        mock.patch.object(
            torch,
            'randint',
            lambda high, size, **_: share(lambda **kwargs: randint(high, **kwargs), *size),
        ),
    ):
        yield


def build(phase: str) -> nn.Module:
    """A model in double precision, the same in every process; distributed if there are several."""
    init_default_scope('mmsgdfuse')
    torch.manual_seed(0)
    model = MODELS.build(MODELS_OF_PHASES[phase]).double().train()
    if is_distributed():
        return MMDistributedDataParallel(model, broadcast_buffers=False)
    return model


def loss_of(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    losses = model(batch, mode='loss')
    return sum(losses.values())


def gradients(phase: str) -> dict[str, Tensor]:
    """Of the loss of four pairs, which the processes share."""
    model = build(phase)
    with shared_draws():
        loss_of(model, share_of(batch_of(4))).backward()
    plain = model.module if is_distributed() else model
    return {name: p.grad for name, p in plain.named_parameters() if p.requires_grad}


def step(parts: int) -> dict[str, Tensor]:
    """Weights after one clipped step on four pairs, whose gradients come in ``parts`` parts."""
    model = build('preliminary')
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    wrapper = OptimWrapper(optimizer, accumulative_counts=parts, clip_grad=dict(max_norm=0.1))
    wrapper.initialize_count_status(model, 0, parts)
    own = {name: value.chunk(parts) for name, value in share_of(batch_of(4)).items()}
    for part in range(parts):
        with wrapper.optim_context(model):
            loss = loss_of(model, {name: value[part] for name, value in own.items()})
        wrapper.update_params(loss)
    return weights_of(model)


def main(data_root: Path, out: Path) -> None:
    torch.set_num_threads(1)
    distribute_on_cpu(Config(dict(launcher='pytorch')))
    result = {f'gradients {phase}': gradients(phase) for phase in MODELS_OF_PHASES}
    result['step'] = step(parts=2)
    for phase in ('preliminary', 'fusion'):
        result[phase] = train(f'sgdfuse-{phase}_1xb24-200e_msrs.py', data_root, out / phase)
    result['diffusion'] = train(
        'sgdfuse-diffusion_1xb24-200e_msrs.py', data_root, out / 'diffusion', **COMPARABLE
    )
    sharded = 'sgdfuse-diffusion_2xb12-200e_msrs-fsdp.py'
    short = {**COMPARABLE, 'max_epochs': 1, 'param_scheduler.0.end': EPOCHS}
    train(sharded, data_root, out / 'fsdp', **short)
    train(sharded, data_root, out / 'fsdp', resume=True, **COMPARABLE)
    torch.save(result, out / f'{get_rank()}.pth')


if __name__ == '__main__':
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Train the phases of a config, each for a given time, on an accelerator that is lent for minutes.

    python tools/analysis_tools/timed_training.py configs/sgdfuse-compact_ivif.py OUT \
        --seconds preliminary=30 diffusion=50 fusion=290 --cfg-options data_root=DATA
    python tools/analysis_tools/timed_training.py configs/sgdfuse-restorer_ivif.py OUT --seconds 450

The images and the masks are decoded once and stay in memory. The learning rate follows half a
cosine over each phase's time (TimeBudgetHook), in bfloat16. OUT/<phase>/ holds the logs and the
last checkpoint, OUT/weights.safetensors the result, which tools/fuse.py takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import Compose
from torch.utils.data import Dataset

from mmsgdfuse.apis import Recipe
from mmsgdfuse.engine import Phase, plan_phases, run_phases
from mmsgdfuse.registry import DATASETS, MODELS, SCOPE
from mmsgdfuse.utils.cli import add_config_options
from mmsgdfuse.utils.setup_env import register_all_modules
from mmsgdfuse.utils.weights import load_weights, save_weights

# transforms that give the same result in every epoch
_DETERMINISTIC = ('LoadPair', 'GenerateMasks', 'LoadMasks', 'LoadSemanticMasks')
_ENDLESS = 10**6


@DATASETS.register_module(force=True)
class DecodedDataset(Dataset):
    """A training set whose images and masks are decoded once, when it is built.

    Args:
        datasets: Configs of ``IVIFDataset``, or of ``RepeatDataset`` around one.
        length: Number of samples of an epoch; the images are repeated up to it.
    """

    def __init__(self, datasets: Sequence[dict], length: int) -> None:
        parts = [DATASETS.build(each) for each in datasets]
        self._decoded: list[tuple[dict[str, Any], Compose]] = []
        known: dict[tuple[str, str], dict[str, Any]] = {}
        with ThreadPoolExecutor(8) as threads:
            for part in parts:
                times = getattr(part, 'times', 1)
                source = getattr(part, 'dataset', part)
                transforms = source.pipeline.transforms
                count = sum(type(each).__name__ in _DETERMINISTIC for each in transforms)
                first, rest = Compose(transforms[:count]), Compose(transforms[count:])
                infos = [source.get_data_info(index) for index in range(len(source))]
                results = list(threads.map(first, infos))
                for info, result in zip(infos, results):
                    shared = known.setdefault((info['ir_path'], info['vis_path']), result)
                    self._decoded += [(shared, rest)] * times
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        decoded, transforms = self._decoded[index % len(self._decoded)]
        return transforms(dict(decoded))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, of one phase or of several')
    parser.add_argument('out', type=Path, help='folder for logs, checkpoints and weights')
    parser.add_argument(
        '--seconds', nargs='+', required=True, metavar='[PHASE=]SECONDS',
        help='time of each phase; one number for a config of one phase',
    )  # fmt: skip
    parser.add_argument('--batch-size', type=int, default=32, help='default: 32')
    parser.add_argument('--workers', type=int, default=4, help='data loader workers (default: 4)')
    parser.add_argument(
        '--epoch-iterations', type=int, default=200,
        help='iterations between two checkpoints; a phase ends with a whole epoch (default: 200)',
    )  # fmt: skip
    parser.add_argument('--learning-rate', type=float, help="factor of the config's own rate")
    parser.add_argument('--load-from', help='weights that the first phase starts from')
    add_config_options(parser)
    return parser.parse_args(argv)


def prepare(phase: Phase, seconds: float, args: argparse.Namespace) -> None:
    """Change a phase's config: its time, its batches, and the data in memory."""
    cfg = phase.cfg
    loader = cfg.train_dataloader
    datasets = loader.dataset.get('datasets') or [loader.dataset]
    loader.dataset = dict(
        type='DecodedDataset', datasets=datasets, length=args.epoch_iterations * args.batch_size
    )
    loader.update(
        batch_size=args.batch_size,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
        pin_memory=True,
    )
    cfg.param_scheduler = None
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', []), dict(type='TimeBudgetHook', seconds=seconds),
    ]  # fmt: skip
    cfg.train_cfg = dict(by_epoch=True, max_epochs=_ENDLESS, val_interval=_ENDLESS)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1
    cfg.default_hooks.pop('visualization', None)
    cfg.visualizer = dict(type='mmengine.Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    cfg.env_cfg.cudnn_benchmark = True  # all batches have one shape
    cfg.optim_wrapper.type = 'mmsgdfuse.BFloat16OptimWrapper'
    if args.learning_rate:
        cfg.optim_wrapper.optimizer.lr *= args.learning_rate


def times(phases: list[Phase], arguments: list[str]) -> list[float]:
    """Seconds of each phase, in the order of the phases."""
    if len(phases) == 1 and len(arguments) == 1 and '=' not in arguments[0]:
        return [float(arguments[0])]
    given = dict(argument.split('=', 1) for argument in arguments)
    names = [phase.name for phase in phases]
    if set(given) != set(names):
        raise SystemExit(f'--seconds needs a time for each of {names}, found {sorted(given)}')
    return [float(given[name]) for name in names]


def main(argv: list[str] | None = None) -> None:
    """Train."""
    args = parse_args(argv)
    register_all_modules()
    cfg = Config.fromfile(args.config)
    phases = plan_phases(cfg, args.out, args.cfg_options)
    recipe = Recipe.from_config(phases[-1].cfg)
    for phase, seconds in zip(phases, times(phases, args.seconds)):
        prepare(phase, seconds, args)
    checkpoint = run_phases(phases, load_from=args.load_from)
    model = MODELS.build(dict(recipe.model, _scope_=SCOPE))
    training = load_weights(model, checkpoint)
    weights = args.out / 'weights.safetensors'
    save_weights(model, weights, dict(recipe.to_metadata(), training=training))
    print(f'{weights}: after {training}')


if __name__ == '__main__':
    main()

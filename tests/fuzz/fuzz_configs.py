"""Mutate the compact recipe's configs and see how a run of each ends.

    python tests/fuzz/fuzz_configs.py --count 200 --seed 0

Each mutation changes one key of one phase's config: deletes it, sets it to None, to a value of
another type, to a negative or a huge number, adds an unknown key beside it, or misspells a class's
name. The config is then checked, built and trained for one iteration on synthetic pairs, all in
this process. The outcomes:

- refused: an error of the package names the key;
- trained: the first iteration ran and the loss is finite, so the change did no harm or is
  one of taste;
- unnamed: an error that does not name the key;
- crash: an exception that is none of the package's errors, so a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import random
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.engine import check_config, plan_phases
from mmsgdfuse.engine.building import build_runner, prepare_training
from mmsgdfuse.utils.config import walk
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.image_io import write_image
from mmsgdfuse.utils.setup_env import register_all_modules

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = REPOSITORY / 'configs' / 'sgdfuse-compact_ivif.py'
MUTATIONS = ('delete', 'none', 'type', 'negative', 'huge', 'unknown', 'typo')
OUTCOMES = ('refused', 'trained', 'unnamed', 'crash')
FOLDERS = [f'{name}/train' for name in ('MSRS', 'RoadScene', 'LLVIP', 'M3FD', 'TNO')]
# what a Runner reads: a change of a variable beside it changes nothing
MUTATED = (
    'model', 'train_dataloader', 'val_dataloader', 'optim_wrapper', 'param_scheduler', 'train_cfg',
    'val_cfg', 'val_evaluator', 'default_hooks', 'custom_hooks', 'visualizer', 'log_processor',
    'randomness', 'env_cfg', 'log_level', 'default_scope', 'load_from', 'resume',
)  # fmt: skip


def make_pairs(root: Path) -> None:
    """One small pair for each training set of the recipe, and one to validate on."""
    for seed, folder in enumerate([*FOLDERS, 'MSRS/dev']):
        scene = synthetic_scene(seed=seed, size=(56, 64))
        write_image(root / folder / 'ir' / f'{seed}.png', scene.ir)
        write_image(root / folder / 'vi' / f'{seed}.png', scene.vis)


def plan(root: Path) -> list[Config]:
    """The configs of the three phases, with networks and data that take no time."""
    options: dict[str, Any] = {
        'data_root': str(root), 'cache_dir': str(root / 'masks'), 'crop_size': 48,
        'batch_size': 2, 'max_epochs': 1, 'val_dataloader.dataset.indices': 1,
        'model.preliminary.channels': 8, 'model.preliminary.depth': 1,
        'model.denoiser.base_channels': 8, 'model.denoiser.channel_mults': [1, 2],
        'model.head.level_channels': 4, 'model.head.hidden_channels': 8,
    }  # fmt: skip
    return [phase.cfg for phase in plan_phases(Config.fromfile(CONFIG), root / 'work', options)]


def mutate(cfg: Config, rng: random.Random) -> tuple[str, str]:
    """Change one key of a config in place; the mutation's name and the key's path."""
    kind = rng.choice(MUTATIONS)
    plain = cfg._cfg_dict
    parts = [(p, n) for p, n in walk(plain) if p.split('.')[0] in MUTATED and _fits(kind, p, n)]
    path, value = rng.choice(parts)
    *parents, key = path.split('.')
    owner: Any = plain
    for name in parents:
        owner = owner[int(name) if isinstance(owner, (list, tuple)) else name]
    if kind == 'delete':
        del owner[key]
    elif kind == 'unknown':
        owner[key]['wibble'] = 1
        path += '.wibble'
    else:
        owner[key] = {
            'none': lambda: None,
            'type': lambda: rng.choice([v for v in ('text', 7, [1], {'a': 1}) if v != value]),
            'negative': lambda: -8 if not value else -abs(value) * 4,
            'huge': lambda: 10**9 if isinstance(value, int) else 1e30,
            'typo': lambda: _misspelt(value, rng),
        }[kind]()
    return kind, path


def _fits(kind: str, path: str, value: Any) -> bool:
    key = path.rpartition('.')[2]
    if key.isdigit():
        return False
    if kind in ('negative', 'huge'):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == 'typo':
        return key == 'type' and isinstance(value, str)
    if kind == 'unknown':
        return isinstance(value, dict) and key not in ('custom_keys', 'losses', 'default_hooks')
    return True


def _misspelt(text: str, rng: random.Random) -> str:
    place = rng.randrange(1, len(text))
    return (
        text[:place] + text[place + 1 :]
        if rng.random() < 0.5
        else text[:place] + 'x' + text[place:]
    )


def try_config(cfg: Config, path: str, work_dir: Path) -> tuple[str, str]:
    """Check, build and train one iteration; the outcome and what was said."""
    register_all_modules()
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = work_dir.name  # mmengine keeps the hubs and loggers of each name
    try:
        check_config(cfg)
        runner = build_runner(cfg)
        prepare_training(runner, cfg)
        batch = next(iter(runner.train_dataloader))
        losses = runner.model.train_step(batch, runner.optim_wrapper)
        if not torch.isfinite(losses['loss']):
            return 'unnamed', f'loss {losses["loss"]}'
    except (MMSGDFuseError, OSError) as error:
        text = str(error)
        return ('refused' if _named(path, text) else 'unnamed'), text
    except Exception:  # noqa: BLE001  (what a crash is)
        return 'crash', traceback.format_exc()
    return 'trained', ''


def _named(path: str, text: str) -> bool:
    """Whether a message names the key, its owner or the key that now lacks something."""
    keys = path.split('.')
    # a constructor names its argument itself: `model.head: level_channels must be ...`
    if len(keys) > 2 and '.'.join(keys[:-2]) + ':' in text and keys[-1] in text:
        return True
    return path in text or '.'.join(keys[:-1]) + ':' in text or f'{keys[0]}: is missing' in text


def fuzz(count: int, seed: int, root: Path) -> list[tuple[str, str, str, str]]:
    """Mutation, key, outcome and message of each of ``count`` configs."""
    make_pairs(root)
    register_all_modules()
    configs = plan(root)
    rng = random.Random(seed)
    results = []
    for index in range(count):
        cfg = copy.deepcopy(configs[index % len(configs)])
        kind, path = mutate(cfg, rng)
        quiet = io.StringIO()
        with (
            contextlib.redirect_stdout(quiet),
            contextlib.redirect_stderr(quiet),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter('ignore')
            outcome, text = try_config(cfg, path, root / 'work' / str(seed) / str(index))
        results.append((kind, path, outcome, text))
    return results


def table(results: list[tuple[str, str, str, str]]) -> str:
    """Outcomes by mutation, as Markdown."""
    counts = Counter((kind, outcome) for kind, _, outcome, _ in results)
    totals = Counter(outcome for _, _, outcome, _ in results)
    rows = [f'| mutation | {" | ".join(OUTCOMES)} |', '|---' * (len(OUTCOMES) + 1) + '|']
    for kind in MUTATIONS:
        rows.append(f'| {kind} | {" | ".join(str(counts[kind, o]) for o in OUTCOMES)} |')
    rows.append(f'| all {len(results)} | {" | ".join(str(totals[o]) for o in OUTCOMES)} |')
    return '\n'.join(rows)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--count', type=int, default=200, help='how many configs (default: 200)')
    parser.add_argument('--seed', type=int, default=0, help='of the mutations (default: 0)')
    parser.add_argument('--show', nargs='*', default=['unnamed', 'crash'], choices=OUTCOMES,
                        help='outcomes whose messages are printed')  # fmt: skip
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        results = fuzz(args.count, args.seed, Path(folder))
    for index, (kind, path, outcome, text) in enumerate(results):
        if outcome in args.show:
            sys.stdout.write(f'{index}: {kind} {path}: {outcome}\n{text}\n')
    sys.stdout.write(f'{table(results)}\n')
    return int(any(outcome in ('unnamed', 'crash') for _, _, outcome, _ in results))


if __name__ == '__main__':
    raise SystemExit(main())

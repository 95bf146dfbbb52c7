"""Train SGDFuse: all phases of a config one after the other, or one of them.

Examples:
    mmsgdfuse train configs/sgdfuse_msrs.py
    mmsgdfuse train configs/sgdfuse_msrs.py --resume
    mmsgdfuse train configs/sgdfuse-compact_ivif.py --cfg-options data_root=/data
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmsgdfuse.engine import (
    check_config,
    check_model,
    mixed_precision,
    plan_phases,
    run_phases,
    select_phase,
)
from mmsgdfuse.utils.cli import add_config_options, add_debug, add_launcher, run_reporting
from mmsgdfuse.utils.compat import distribute_on_cpu
from mmsgdfuse.utils.config import load_config
from mmsgdfuse.utils.setup_env import import_packages_of, register_all_modules


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse train',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'config',
        help='config file, or mmsgdfuse::NAME for one that ships; with `phases`, all are trained',
    )
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints (default: work_dirs/<name of the config>)',
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on from the last checkpoint of the unfinished phase',
    )
    parser.add_argument('--phase', help='train this phase alone')
    parser.add_argument(
        '--load-from',
        help='checkpoint that the first phase starts from, or exported '
        '*.safetensors that all phases start from',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='automatic mixed precision: float16 on a GPU, bfloat16 on a CPU',
    )
    add_config_options(parser)
    add_launcher(parser)
    add_debug(parser)
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    return build_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Train; the exit status is 2 after a mistake in the config or the data."""
    args = parse_args(argv)
    return run_reporting(lambda: train(args), args.debug)


def train(args: argparse.Namespace) -> None:
    register_all_modules()
    cfg = load_config(args.config)
    name = Path(args.config.rpartition('::')[2]).stem
    work_dir = args.work_dir or cfg.get('work_dir') or Path('work_dirs') / name
    phases = plan_phases(cfg, work_dir, args.cfg_options)
    for phase in phases:
        import_packages_of(phase.cfg)
        check_config(phase.cfg)
    load_from = args.load_from
    if args.phase:
        phases, load_from = select_phase(phases, args.phase, load_from)
    for phase in phases[1:]:  # a fault must not wait until the phases before are trained
        check_model(phase.cfg)
    for phase in phases:
        phase.cfg.launcher = args.launcher
        if args.amp:
            phase.cfg.optim_wrapper.update(mixed_precision())
        distribute_on_cpu(phase.cfg)
    checkpoint = run_phases(phases, resume=args.resume, load_from=load_from)
    print(f'finished; the last checkpoint is {checkpoint}')

"""Options that several command-line tools take."""

from __future__ import annotations

import argparse
from typing import Any

from mmengine.config import DictAction


def add_config_options(parser: Any) -> None:
    """Add ``--cfg-options`` to a parser or a group of one."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change the config, of every phase if it has several, e.g. data_root=/data',
    )


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add ``--launcher``, which mmengine's Runner reads from the config."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed job are started',
    )
    # torchrun's predecessor passes it; mmengine reads the environment, which has it, too
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)

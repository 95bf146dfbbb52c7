"""Options that several command-line tools take."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from mmsgdfuse.utils.errors import InputError, MMSGDFuseError
from mmsgdfuse.utils.text import printable

Item = TypeVar('Item')


def add_config_options(parser: Any) -> None:
    """Add ``--cfg-options`` to a parser or a group of one."""
    from mmengine.config import DictAction  # not every subcommand needs mmengine

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


def print_error(error: BaseException | str) -> None:
    """One line on standard error, whatever characters a file name has."""
    sys.stderr.write(printable(f'error: {error}') + '\n')


@contextmanager
def checking_arguments() -> Iterator[None]:
    """Turn the ValueError by which an option's value is refused into an InputError."""
    try:
        yield
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(str(error)) from error


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add ``--debug``, for :func:`run_reporting`."""
    parser.add_argument(
        '--debug', action='store_true', help='show the traceback of a mistake in the input, too'
    )


def run_reporting(work: Callable[[], int | None], debug: bool) -> int:
    """Run a tool; a mistake in its input ends in a line on stderr, and a bug in its traceback.

    Args:
        work: Does what the tool is for, and may return an exit status.
        debug: Whether a mistake shows its traceback, too.

    Returns:
        The exit status: that of ``work``, 2 after a mistake.
    """
    try:
        return work() or 0
    except (MMSGDFuseError, OSError) as error:
        if debug:
            raise
        more = ' (--debug shows the traceback)' if error.__cause__ is not None else ''
        print_error(f'{error}{more}')
        return 2


def add_shard(parser: Any) -> None:
    """Add ``--shard i/n`` to a parser or a group of one, for :func:`share_of`."""
    parser.add_argument(
        '--shard',
        type=_shard,
        default=(1, 1),
        metavar='i/n',
        help='do the i-th of n parts (from 1); multiplies with torchrun and slurm',
    )


def share_of(items: Sequence[Item], shard: tuple[int, int]) -> Sequence[Item]:
    """This process's share, the same split on every machine.

    Args:
        items: In the same order everywhere.
        shard: Part and number of parts, from 1. Each part is split again among the processes
            of torchrun (``RANK``, ``WORLD_SIZE``) or slurm (``SLURM_PROCID``, ``SLURM_NTASKS``).
    """
    environment = os.environ
    rank = int(environment.get('RANK', environment.get('SLURM_PROCID', 0)))
    world = int(environment.get('WORLD_SIZE', environment.get('SLURM_NTASKS', 1)))
    part, parts = shard
    return items[(part - 1) * world + rank :: parts * world]


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition('/')
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"'{text}' is no part i/n with 1 <= i <= n, such as 2/8")
    return int(part), int(parts)

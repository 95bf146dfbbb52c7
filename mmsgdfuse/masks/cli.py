"""Choosing a mask generator on a command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from mmsgdfuse.masks.base import BaseMaskGenerator
from mmsgdfuse.registry import MASK_GENERATORS
from mmsgdfuse.utils.errors import InputError


def add_generator_arguments(parser: Any) -> None:
    """Add ``--generator``, ``--options`` and ``--config`` to a parser or a group of one."""
    parser.add_argument(
        '--generator',
        metavar='NAME',
        help='registered generator (default: ThermalVisualSaliency)',
    )
    parser.add_argument(
        '--options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help="the generator's arguments, e.g. composer=union model_type=vit_l",
    )
    parser.add_argument(
        '--config',
        type=Path,
        metavar='FILE',
        help='take the generator from `mask_generator` of this config',
    )


def generator_from_arguments(args: argparse.Namespace) -> BaseMaskGenerator:
    """The generator that the arguments ask for.

    Args:
        args (argparse.Namespace): With the arguments of :func:`add_generator_arguments`.

    Raises:
        InputError: Both or neither of a name and a config can be used, the name is not
            registered, or the generator refuses an option.
    """
    if args.generator and args.config:
        raise InputError('give --generator or --config, not both')
    if args.config:
        config = Config.fromfile(args.config)
        if 'mask_generator' not in config:
            raise InputError(f'{args.config}: has no `mask_generator`; give a --generator')
        cfg = dict(config.mask_generator)
    else:
        cfg = {'type': args.generator or 'ThermalVisualSaliency'}
    name = cfg['type']
    if MASK_GENERATORS.get(name) is None:
        known = ', '.join(sorted(MASK_GENERATORS.module_dict))
        raise InputError(f"no mask generator is called '{name}': choose one of {known}")
    try:
        return MASK_GENERATORS.build({**cfg, **args.options})
    except TypeError as error:
        raise InputError(f'{name} has no such option: {error}') from error
    except ValueError as error:  # what the generator's constructor says of an option
        raise InputError(str(error)) from error

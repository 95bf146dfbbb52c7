"""The group of all subcommands.

click gives the group, its help, completion for shells and the version. The options of each
subcommand are argparse's: several take lists (``--metrics EN SD``, ``--cfg-options a=1 b=2``),
which click's options cannot, and every flag that the scripts of ``tools/`` had goes on to work.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import click

from mmsgdfuse.version import __version__

# Name and summary of each module of this package that is a subcommand. Nothing is imported for
# the list, so that the help comes at once.
SUBCOMMANDS = {
    'fuse': 'Fuse infrared and visible images.',
    'video': 'Fuse videos, cameras, streams or sequences of images.',
    'register': 'Estimate how the pixels of two cameras correspond.',
    'masks': 'Compute masks of folders of images.',
    'check': 'Check image pairs and list every fault.',
    'train': 'Train a config.',
    'test': 'Test a checkpoint on a data set.',
    'evaluate': 'Score folders of fused images.',
    'report': 'Write one page about a run.',
    'export': 'Write a model as ONNX, to run without torch.',
    'info': 'Show versions, devices, weights and what is optional.',
}
_EPILOG = (
    'Exit codes: 0 all is done; 1 some of the input could not be used, and the output names it; '
    '2 the command line, the config or a file that everything needs is wrong; 130 stopped by '
    'Ctrl-C, what was done before stays.'
)


class ParserCommand(click.Command):
    """A subcommand whose options an argparse parser reads.

    Args:
        name: Of the subcommand and of its module, which has ``build_parser()`` and
            ``main(argv)``; the latter returns the exit code or None for 0.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, add_help_option=False, short_help=SUBCOMMANDS[name])

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(f'mmsgdfuse.cli.{self.name}')

    def get_help(self, ctx: click.Context) -> str:
        return self.module.build_parser().format_help()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """What completion offers."""
        return [_parameter(action) for action in self.module.build_parser()._actions]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)  # argparse reads them when the command runs
        return ctx.args

    def invoke(self, ctx: click.Context) -> Any:
        main: Callable[[list[str]], int | None] = self.module.main
        ctx.exit(main(ctx.args) or 0)


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return ParserCommand(name) if name in SUBCOMMANDS else None


@click.group(
    cls=_LazyGroup, epilog=_EPILOG, context_settings={'help_option_names': ['-h', '--help']}
)
@click.version_option(__version__, prog_name='mmsgdfuse')
def main() -> None:
    """Infrared and visible image fusion: one picture with the heat of one and the detail of both.

    `mmsgdfuse fuse thermal.png photo.jpg -o fused.png` is a first try. Each subcommand has its
    own --help.
    """


def _parameter(action: argparse.Action) -> click.Parameter:
    kind: click.ParamType = click.STRING
    if action.choices is not None:
        kind = click.Choice([str(choice) for choice in action.choices])
    elif not action.option_strings or action.metavar in ('FILE', 'FOLDER'):
        kind = click.Path()
    if not action.option_strings:
        return click.Argument([action.dest], type=kind, required=False, nargs=-1)
    flag = action.nargs == 0
    return click.Option(
        [*action.option_strings, action.dest], type=click.BOOL if flag else kind, is_flag=flag,
        help=action.help, hidden=action.help == argparse.SUPPRESS, multiple=not flag,
    )  # fmt: skip

"""The command ``mmsgdfuse``: a file per subcommand, which reads arguments and calls the package."""

from mmsgdfuse.cli.command import main

__all__ = ['main']

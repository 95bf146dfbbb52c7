"""Fetch an official Segment Anything checkpoint and verify its published SHA-256.

    python tools/download_sam.py vit_b

An interrupted download goes on where it stopped. Without a network the message says which file to
put where.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from mmsgdfuse.masks import SAM_CHECKPOINTS, CheckpointError, default_checkpoint, download


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = ', '.join(f'{name}: {c.size / 1e6:.0f} MB' for name, c in SAM_CHECKPOINTS.items())
    parser.add_argument(
        'model_type', choices=list(SAM_CHECKPOINTS), help=f'which checkpoint ({sizes})'
    )
    parser.add_argument(
        '--out', type=Path, metavar='FOLDER', help='where to (default: checkpoints)'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Download."""
    args = parse_args(argv)
    checkpoint = SAM_CHECKPOINTS[args.model_type]
    path = default_checkpoint(args.model_type)
    if args.out:
        path = args.out / path.name
    columns = ('[progress.description]{task.description}', BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn()) as bar:
        task = bar.add_task(path.name, total=checkpoint.size)
        try:
            download(
                checkpoint.url,
                path,
                checkpoint.sha256,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except CheckpointError as error:
            sys.exit(str(error))
        bar.update(task, completed=checkpoint.size)
    print(f'{path}: complete, SHA-256 verified')


if __name__ == '__main__':
    main()

r"""Turn a checkpoint of training into weights to pass on: half precision, nothing but inference.

    python tools/model_converters/export_weights.py work_dirs/NAME/fusion/epoch_60.pth \
        configs/sgdfuse-compact_ivif.py sgdfuse-compact.safetensors \
        --metadata command='python tools/train.py configs/sgdfuse-compact_ivif.py'

The averaged weights are exported where training kept an average. The header of the file holds
the model's and the masks' config, so that `FusionInferencer(weights=FILE)` needs no other file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from mmsgdfuse.apis import Recipe
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.weights import load_weights, read_metadata, save_weights
from mmsgdfuse.version import __version__


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', type=Path, help='*.pth of tools/train.py')
    parser.add_argument('config', type=Path, help='config of the phase that it comes from')
    parser.add_argument('out', type=Path, help='*.safetensors to write')
    parser.add_argument(
        '--metadata',
        nargs='+',
        type=key_and_text,
        default=[],
        metavar='KEY=TEXT',
        help="what else to note in the header, e.g. command='python tools/train.py ...'",
    )
    parser.add_argument('--float32', action='store_true', help='keep single precision')
    parser.add_argument('--overwrite', action='store_true', help='replace an existing file')
    return parser.parse_args(argv)


def key_and_text(argument: str) -> tuple[str, str]:
    """'phase=fusion' -> ('phase', 'fusion')."""
    key, separator, text = argument.partition('=')
    if not (key and separator):
        raise argparse.ArgumentTypeError(f'{argument!r} is not of the form KEY=TEXT')
    return key, text


def current_commit() -> str | None:
    """Commit of this checkout, marked where files differ from it; None outside of git."""
    try:
        result = subprocess.run(
            ['git', 'describe', '--always', '--abbrev=40', '--exclude=*', '--dirty'],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if args.out.exists() and not args.overwrite:
        sys.exit(f'{args.out} exists; pass --overwrite to replace it')
    try:
        recipe = Recipe.from_config(args.config)
        model = recipe.build_model()
        training = load_weights(model, args.checkpoint)
        metadata = dict(
            recipe.to_metadata(),
            config=args.config.name,
            training=training,
            version=__version__,
            commit=current_commit(),
            **dict(args.metadata),
        )
        save_weights(
            model, args.out, metadata, dtype=torch.float32 if args.float32 else torch.float16
        )
    except (MMSGDFuseError, OSError) as error:
        sys.exit(str(error))
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f'{args.out}: {count:,} weights, {args.out.stat().st_size / 1e6:.1f} MB')
    for key, value in read_metadata(args.out).items():
        print(f'  {key}: {value}')


if __name__ == '__main__':
    main()

"""Show what the losses themselves ask for, and which metric each of their weights costs.

    python tools/analysis_tools/loss_frontier.py data/MSRS/train
    python tools/analysis_tools/loss_frontier.py data/MSRS/train --vary edges=12 --vary quiet=0
    python tools/analysis_tools/loss_frontier.py data/MSRS/train --vary gradient.gain=1.1 gradient=8

No network takes part: a step of the luma is added to each crop, begins with the brighter source
(`maximum`) and follows the gradient of the config's losses. `recipe` is where its own weights lead,
and each `--vary` is one row more. What the model lacks to `recipe`, a better network or more
training may give; what `recipe` lacks, only other losses. All crops are one batch, and the same
command gives the same numbers on the same machine.

It is meant for pairs that are trained on: weights that are chosen by the metrics of other pairs
are tuned on those, which then prove nothing any more.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from torch import Tensor, nn

from mmsgdfuse.apis import FusionInferencer, FusionResult
from mmsgdfuse.apis.recipe import Recipe
from mmsgdfuse.datasets import IVIFDataset
from mmsgdfuse.evaluation.exports import evaluation_json
from mmsgdfuse.evaluation.functional import fusion_metrics
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.tables import metric_table, to_markdown, to_rich
from mmsgdfuse.models.data_preprocessors import FusionDataPreprocessor
from mmsgdfuse.models.downstream import RuleFuser
from mmsgdfuse.models.fusers.base import build_losses, joint_mask, to_uint8
from mmsgdfuse.utils.errors import InputError, MMSGDFuseError
from mmsgdfuse.utils.files import write_text

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'sgdfuse-compact_ivif.py'
METRICS = ('EN', 'SD', 'SF', 'MI', 'SCD', 'VIF', 'Qabf', 'SSIM', 'Nabf', 'QRG')
RULE, SHIPPED, RECIPE = 'maximum', 'shipped', 'recipe'


@dataclass(frozen=True)
class Crops:
    """The crops of all pairs, as files have them and as losses take them.

    Attributes:
        names: Of the pairs.
        sources: Infrared (H, W, 1) and visible (H, W, 3) crop of each, uint8.
        fused: What the model makes of each whole pair, cropped, uint8 (N, H, W, 3).
        inputs: The batch: ``ir`` (N, 1, H, W) and ``vis`` (N, 3, H, W) in [-1, 1], ``mask_ir``
            and ``mask_vis`` (N, 1, H, W) in [0, 1] where there are masks.
    """

    names: tuple[str, ...]
    sources: list[tuple[np.ndarray, np.ndarray]]
    fused: np.ndarray
    inputs: dict[str, Tensor]

    def measure(self, images: np.ndarray) -> np.ndarray:
        """The metrics of uint8 (N, H, W, 3) images, (N, len(METRICS))."""
        return np.array(
            [
                [*fusion_metrics(ir, vis, image, METRICS).values()]
                for (ir, vis), image in zip(self.sources, images)
            ]
        )


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='holds the folders ir and vi of training pairs')
    parser.add_argument(
        '--config',
        type=Path,
        default=CONFIG,
        help="whose model's losses and whose masks are taken (default: the compact one)",
    )
    parser.add_argument(
        '--vary',
        nargs='+',
        action='append',
        type=setting,
        default=[],
        metavar='LOSS=WEIGHT',
        help='one row more, where these losses have other weights than in the config; 0 leaves '
        'one out. LOSS.ARGUMENT=NUMBER changes another argument. May be given several times',
    )
    parser.add_argument(
        '--weights',
        type=Path,
        help='model to compare with, which fuses whole pairs that are cropped then '
        '(default: the shipped one)',
    )
    pairs = parser.add_argument_group('pairs')
    pairs.add_argument(
        '--crop',
        type=positive(int),
        nargs=2,
        default=(192, 256),
        metavar=('HEIGHT', 'WIDTH'),
        help='size of the crop from the middle of each (default: 192 256)',
    )
    pairs.add_argument(
        '--step', type=positive(int), default=3, help='take every STEPth pair (default: 3)'
    )
    descent = parser.add_argument_group('descent')
    descent.add_argument(
        '--iterations', type=positive(int), default=250, help='steps of Adam (default: 250)'
    )
    descent.add_argument(
        '--lr',
        type=positive(float),
        default=0.03,
        help='learning rate at the start, which falls to 0 by a cosine; the luma is in -1..1 '
        '(default: 0.03)',
    )
    descent.add_argument(
        '--threads', type=positive(int), help="of PyTorch (default: PyTorch's own choice)"
    )
    parser.add_argument(
        '--out', type=Path, metavar='FOLDER', help='write frontier.md and frontier.json there, too'
    )
    return parser.parse_args(argv)


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """An argparse type: a finite number above 0."""

    def convert(text: str) -> float:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f'must be above 0, found {text}')
        return value

    convert.__name__ = kind.__name__  # what argparse calls it where the text is no number
    return convert


def setting(text: str) -> tuple[str, float]:
    """An argparse type: ``LOSS=WEIGHT`` or ``LOSS.ARGUMENT=NUMBER``."""
    name, _, number = text.partition('=')
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(
            'must be LOSS=WEIGHT or LOSS.ARGUMENT=NUMBER with a number of 0 or more, such as '
            f'edges=12, found {text}'
        )
    return name, value


def read_losses(cfg: Config) -> dict[str, dict]:
    """The configs of a model's losses.

    Raises:
        ValueError: It names none.
    """
    losses = cfg.to_dict().get('model', {}).get('losses')
    if not losses:
        raise InputError(f'{cfg.filename}: has no model.losses; give a config that names them')
    return losses


def vary(losses: Mapping[str, dict], changes: Mapping[str, float]) -> nn.ModuleDict:
    """Build losses with other weights or arguments; those of weight 0 are left out.

    Args:
        losses: Configs by name.
        changes: New weight by name, and new value of an argument by ``name.argument``.

    Raises:
        ValueError: There is no such loss, it has no such argument or takes no such value, or none
            is left.
    """
    changed = {name: dict(loss) for name, loss in losses.items()}
    for key, value in changes.items():
        name, _, argument = key.partition('.')
        if name not in changed:
            raise InputError(f'--vary: the config has no loss {name}; it has {", ".join(losses)}')
        changed[name][argument or 'loss_weight'] = value
    kept = {name: loss for name, loss in changed.items() if loss.get('loss_weight') != 0}
    try:
        return build_losses(kept)
    except TypeError as error:  # an argument that the loss does not have
        raise InputError(f'--vary {describe(changes)}: {error}') from error


def describe(changes: Mapping[str, float]) -> str:
    """Weights and arguments as ``--vary`` takes them."""
    return ' '.join(f'{key}={value:g}' for key, value in changes.items())


def load_crops(args: argparse.Namespace, fuse: FusionInferencer) -> Crops:
    """The middle of every pair, with masks and fused images that saw the whole of it.

    Raises:
        ValueError: The folders do not hold pairs, or one is smaller than the crop.
    """
    dataset = IVIFDataset(data_root=str(args.folder), data_prefix=dict(ir='ir', vis='vi'))
    names, results = [], []
    for index in track(range(0, len(dataset), args.step), 'fusing', transient=True):
        pair = dataset.get_data_info(index)
        names.append(Path(pair['name']).stem)
        results.append(_crop(fuse(pair['ir_path'], pair['vis_path']), args.crop, pair['vis_path']))
    inputs = {
        key: [torch.from_numpy(np.atleast_3d(array)).movedim(-1, 0) for array in arrays]
        for key in ('ir', 'vis', 'mask_ir', 'mask_vis')
        if (arrays := [result[key] for result in results if result[key] is not None])
    }
    return Crops(
        names=tuple(names),
        sources=[(result['ir'], result['vis']) for result in results],
        fused=np.stack([result['fused'] for result in results]),
        inputs=FusionDataPreprocessor()(dict(inputs=inputs))['inputs'],
    )


def _crop(result: FusionResult, size: tuple[int, int], path: str) -> dict[str, np.ndarray | None]:
    """The middle of all arrays of a result."""
    sides = result.fused.shape[:2]
    if any(side < wanted for side, wanted in zip(sides, size)):
        raise InputError(
            f'{path}: is {sides} (H, W), too small for --crop {size[0]} {size[1]}; give a '
            'smaller one'
        )
    window = tuple(
        slice((side - wanted) // 2, (side - wanted) // 2 + wanted)
        for side, wanted in zip(sides, size)
    )
    return {
        name: np.ascontiguousarray(array[window])
        for name, array in vars(result).items()
        if isinstance(array, np.ndarray)
    }


def descend(
    losses: Iterable[nn.Module],
    inputs: Mapping[str, Tensor],
    start: Tensor,
    iterations: int,
    lr: float,
    title: str = '',
) -> tuple[Tensor, list[float]]:
    """Follow the gradient of a sum of losses from an image, in its luma alone.

    Args:
        losses: They are added up.
        inputs: As :class:`Crops` has them.
        start: Images (N, 3, H, W) in [-1, 1], what lies beyond being cut off.
        iterations: Steps of Adam.
        lr: Its learning rate at the start, which falls to 0 by a cosine.
        title: What the progress bar says.

    Returns:
        The images in [-1, 1], and the sum before every step and after the last.
    """
    ir, vis, mask = inputs['ir'], inputs['vis'], joint_mask(inputs)
    # the same step on R, G and B moves the luma by that step and leaves the chroma alone
    step = torch.zeros_like(ir, requires_grad=True)
    optimizer = torch.optim.Adam([step], lr=lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    history = []
    for iteration in track(range(iterations + 1), escape(title), transient=True):
        fused = (start + step).clamp(-1, 1)
        total = torch.stack([loss(fused, ir, vis, mask) for loss in losses]).sum()
        history.append(total.item())
        if iteration < iterations:
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            scheduler.step()
    return fused.detach(), history


def frontier(args: argparse.Namespace) -> Scores:
    """Descend every variant and measure all rows.

    Raises:
        OSError, ValueError: Arguments or files do not fit; the message says which.
    """
    cfg = Config.fromfile(args.config)
    losses = read_losses(cfg)
    changes = [dict(change) for change in ([], *args.vary)]
    rows = {describe(change) or RECIPE: vary(losses, change) for change in changes}
    masks = Recipe.from_config(cfg).masks
    fuse = FusionInferencer(weights=args.weights, device='cpu', masks=masks or None)
    crops = load_crops(args, fuse)

    start = RuleFuser(RULE).fuse(crops.inputs)['fused']
    values = [crops.measure(_arrays(start)), crops.measure(crops.fused)]
    weights = {name: loss.loss_weight for name, loss in rows[RECIPE].items()}
    height, width = args.crop
    notes = [f'{len(crops.names)} crops of {height}x{width}; {RECIPE}: {describe(weights)}']
    for row, varied in rows.items():
        images, history = descend(
            varied.values(), crops.inputs, start, args.iterations, args.lr, row
        )
        values.append(crops.measure(_arrays(images)))
        notes.append(
            f'{row}: loss {history[0]:.3f} at the start, {history[-1]:.3f} after '
            f'{args.iterations} iterations'
        )
    return Scores(
        methods=(args.weights.stem if args.weights else SHIPPED, *rows),
        baselines=(RULE,),
        metrics=METRICS,
        images=crops.names,
        values=np.stack(values),
        notes=tuple(notes),
    )


def _arrays(images: Tensor) -> np.ndarray:
    """(N, 3, H, W) in [-1, 1] -> uint8 (N, H, W, 3)."""
    return to_uint8(images).movedim(1, -1).numpy()


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        scores = frontier(args)
    except (MMSGDFuseError, OSError) as error:
        sys.exit(str(error))
    table = metric_table(scores)
    table = replace(table, footnotes=(*table.footnotes, *scores.notes))
    Console(soft_wrap=True).print(to_rich(table))
    if args.out:
        command = f'Written by `{shlex.join(sys.argv)}`.'
        write_text(args.out / 'frontier.md', f'{command}\n\n{to_markdown(table)}')
        write_text(args.out / 'frontier.json', evaluation_json(scores, []))


if __name__ == '__main__':
    main()

"""Test a trained model on a config's test set: fused images and metric values.

    mmsgdfuse test configs/sgdfuse-compact_ivif.py work_dirs/NAME/fusion/epoch_60.pth
    mmsgdfuse test CONFIG weights.safetensors --cfg-options data_root=/data

Writes OUT/metrics.json and OUT/fused/<name>.png; for a config of mmdet or mmseg
(configs/downstream) OUT/predictions/ instead of the fused images.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper

from mmsgdfuse.engine import check_config, prepare_testing
from mmsgdfuse.engine.building import build_runner
from mmsgdfuse.evaluation.downstream import keep_predictions
from mmsgdfuse.evaluation.exports import to_json
from mmsgdfuse.utils.cli import add_config_options, add_debug, add_launcher, run_reporting
from mmsgdfuse.utils.compat import distribute_on_cpu
from mmsgdfuse.utils.config import ConfigError, load_config, merge_checked
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.setup_env import import_packages_of, register_all_modules
from mmsgdfuse.utils.weights import load_weights


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse test',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file that the model was trained with')
    parser.add_argument('checkpoint', help='*.pth of mmsgdfuse train, or *.safetensors')
    parser.add_argument(
        '--out-dir',
        type=Path,
        metavar='OUT',
        help='folder for images and values (default: WORK_DIR/test/<name of the checkpoint>)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='folder of the run, as for mmsgdfuse train (default: work_dirs/<name of the config>)',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier result there')
    add_config_options(parser)
    add_launcher(parser)
    add_debug(parser)
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.out_dir is None:
        name = Path(args.config.rpartition('::')[2]).stem
        work_dir = args.work_dir or Path('work_dirs') / name
        args.out_dir = work_dir / 'test' / Path(args.checkpoint).stem
    return args


def prepare_config(args: argparse.Namespace) -> Config:
    """The config of the test run."""
    cfg = load_config(args.config)
    merge_checked([cfg], args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = str(args.out_dir)
    cfg.resume = False
    cfg.load_from = None  # weights are loaded strictly, below
    if cfg.get('default_scope') in ('mmdet', 'mmseg'):
        keep_predictions(cfg, args.out_dir)
        return cfg
    # whatever the config shows in training, a test writes the fused images
    hook = dict(type='mmsgdfuse.FusionVisualizationHook', out_dir=str(args.out_dir / 'fused'))
    cfg.default_hooks = dict(cfg.get('default_hooks', {}), visualization=hook)
    return cfg


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    values = args.out_dir / 'metrics.json'
    if values.exists() and not args.overwrite:
        print(f'error: {values} exists; pass --overwrite, or another --out-dir', file=sys.stderr)
        return 2
    return run_reporting(lambda: test(args, values), args.debug)


def test(args: argparse.Namespace, values: Path) -> None:
    """Test, and write ``values``."""
    register_all_modules()
    cfg = prepare_config(args)
    import_packages_of(cfg)
    check_config(cfg, 'test')
    distribute_on_cpu(cfg)
    runner = build_runner(cfg)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    try:
        load_weights(model, args.checkpoint)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    prepare_testing(runner, cfg)
    metrics = runner.test()
    if is_main_process():
        write_metrics(values, args, metrics)


def write_metrics(path: Path, args: argparse.Namespace, metrics: dict[str, float]) -> None:
    # JSON does not know numpy's numbers
    values = {name: float(value) for name, value in metrics.items()}
    content = dict(config=args.config, checkpoint=args.checkpoint, metrics=values)
    write_text(path, to_json(content))
    print(f'{path}: {len(metrics)} values; what the model made is beside it')

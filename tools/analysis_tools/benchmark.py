"""Measure what a fuser costs: parameters, FLOPs, peak memory and time of each part and mode.

    python tools/analysis_tools/benchmark.py
    python tools/analysis_tools/benchmark.py configs/sgdfuse_msrs.py --modes features
    python tools/analysis_tools/benchmark.py --weights sgdfuse.safetensors --device cuda

Each row is measured in a process of its own. docs/benchmark.md says what the numbers mean.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console
from rich.table import Table as RichTable
from torch import nn

from mmsgdfuse.apis import FusionInferencer, Recipe
from mmsgdfuse.apis.inferencer import MIN_SIDE
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.evaluation.tables import Cell, Table, to_markdown
from mmsgdfuse.models.fusers import DiffusionFuser, SGDFuse
from mmsgdfuse.models.fusers.sgdfuse import INFERENCE_MODES
from mmsgdfuse.registry import SCOPE, TRANSFORMS
from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.utils.errors import InputError, MMSGDFuseError
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.profiling import (
    FLOPS_COUNTED,
    Memory,
    Spread,
    count_flops,
    count_parameters,
    describe_device,
    in_fresh_process,
    measure_memory,
    time_beside,
)
from mmsgdfuse.utils.setup_env import register_all_modules
from mmsgdfuse.utils.weights import load_weights, read_metadata

DEFAULT_CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'sgdfuse-compact_ivif.py'
# what takes long to import of the above
IMPORTS = ('mmsgdfuse.apis', 'mmsgdfuse.evaluation.tables')
REFERENCE_CHANNELS = 32
REFERENCE = (
    f'one 3x3 convolution of {REFERENCE_CHANNELS} to {REFERENCE_CHANNELS} channels at the size '
    'of the image, in single precision'
)


@dataclass(frozen=True)
class Job:
    """One row of the table: what is measured, and how.

    Attributes:
        recipe: Model and masks.
        weights: File of weights; ``None`` leaves them random, which costs the same.
        part: Name of a component or an inference mode; ``None`` is the whole model as it is.
        size: Height and width in pixels.
        device: 'cpu', 'cuda', 'cuda:1', ...
        threads: Threads of PyTorch and OpenCV.
        repeats: Timed runs at most.
        budget: Seconds after which no further run begins, once there are three.
        num_steps: Sampling steps of 'refine' and 'sample'; ``None`` as the model is configured.
    """

    recipe: Recipe
    weights: str | None
    part: str | None
    size: tuple[int, int]
    device: str
    threads: int
    repeats: int
    budget: float
    num_steps: int | None


@dataclass(frozen=True)
class Part:
    """Something that can be measured.

    Attributes:
        title: What a table calls it.
        run: Runs it once.
        modules: The networks that it runs through, those of the masks apart.
        makes_masks: Whether it also runs through those.
    """

    title: str
    run: Callable[[], Any]
    modules: tuple[nn.Module, ...] = ()
    makes_masks: bool = False


@dataclass(frozen=True)
class Row:
    """What was measured of a part.

    Attributes:
        name: Name of the component or the mode.
        title: What a table calls it.
        error: Why there are no numbers; '' if there are.
        parameters: Number of parameters.
        flops: Floating-point operations for one pair of images.
        evaluations: Passes through the U-Net for one pair, each with one image or a batch.
        milliseconds: Time for one pair.
        ratio: Time over that of the reference, which ran just before.
        reference_milliseconds: Time of the reference.
        memory: Memory of the process, see :func:`mmsgdfuse.utils.profiling.measure_memory`.
    """

    name: str
    title: str
    error: str = ''
    parameters: int = 0
    flops: int = 0
    evaluations: int = 0
    milliseconds: Spread | None = None
    ratio: Spread | None = None
    reference_milliseconds: Spread | None = None
    memory: Memory | None = None


class Bench:
    """A model with a pair of images, ready to be measured.

    Args:
        job: The row to measure.
    """

    def __init__(self, job: Job) -> None:
        self.model = job.recipe.build_model()
        if job.weights:
            load_weights(self.model, job.weights)
        self.scene = synthetic_scene(seed=0, size=job.size)
        self.inferencer = FusionInferencer(
            self.model,
            device=job.device,
            mode=job.part if job.part in INFERENCE_MODES else None,
            masks=job.recipe.masks,
            num_steps=job.num_steps,
        )
        self.masks = job.recipe.masks
        self.evaluations = 0

    def part(self, name: str | None) -> Part:
        """A component or, by the name of a mode or ``None``, the whole model."""
        if name is None or name in INFERENCE_MODES:
            return self.whole()
        return self.components()[name]

    def whole(self) -> Part:
        """From two arrays to the fused array: masks, networks and everything in between."""
        mode = getattr(self.inferencer.model, 'inference_mode', None)
        title = type(self.model).__name__ if mode is None else mode
        if mode in ('refine', 'sample'):
            title += f', {self.inferencer.model.num_steps} steps'
        return Part(
            title,
            lambda: self.inferencer(self.scene.ir, self.scene.vis),
            (self.model,),
            makes_masks=True,
        )

    def components(self) -> dict[str, Part]:
        """The model's parts by name, in the order in which an image passes through them."""
        model, inputs = self.model, self._inputs()
        parts = {'masks': Part('masks, both images', self._make_masks, makes_masks=True)}
        if hasattr(model, 'preliminary'):
            parts['stage_one'] = Part(
                'Stage I',
                lambda: model.preliminary(inputs['ir'], inputs['vis']),
                (model.preliminary,),
            )
        if isinstance(model, DiffusionFuser):
            condition = model.condition(inputs)
            level = model.schedule.noise_level(
                torch.tensor([model.start_timestep], device=condition.device)
            )
            parts['unet_step'] = Part(
                'U-Net, one step', lambda: model.denoiser(condition, level), (model.denoiser,)
            )
        if isinstance(model, SGDFuse):
            features = model.features(condition)
            count = len(model.feature_timesteps)
            parts['unet_features'] = Part(
                f'U-Net, features of {count} time{"s" if count > 1 else ""}',
                lambda: model.features(condition),
                (model.denoiser,),
            )
            parts['hfah'] = Part(
                'HFAH',
                lambda: model.head(features, inputs['ir'], inputs['vis'], condition[:, 3:]),
                (model.head,),
            )
        return parts

    @cached_property
    def mask_transforms(self) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
        """What makes the masks; built on first use, since the inferencer has its own."""
        return [TRANSFORMS.build(dict(transform, _scope_=SCOPE)) for transform in self.masks]

    def mask_networks(self) -> list[nn.Module]:
        """The networks of the mask generators, such as SAM; most have none."""
        generators = [
            cached.generator
            for transform in self.mask_transforms
            for cached in getattr(transform, 'generators', {}).values()
        ]
        models = [getattr(generator, 'model', None) for generator in generators]
        return [model for model in models if isinstance(model, nn.Module)]

    def count_evaluations(self) -> None:
        """Count every pass through the U-Net from now on in :attr:`evaluations`."""
        denoiser = getattr(self.model, 'denoiser', None)
        if denoiser is None:
            return
        features = denoiser.features

        def counting(*args: Any) -> Any:
            self.evaluations += 1
            return features(*args)

        denoiser.features = counting

    def _inputs(self) -> dict[str, torch.Tensor]:
        """What the networks see: the cost does not depend on the masks' values."""
        labels = torch.from_numpy((self.scene.labels > 0).astype('float32'))[None]
        batch = dict(
            inputs=dict(
                ir=[torch.from_numpy(self.scene.ir)[None]],
                vis=[torch.from_numpy(self.scene.vis).permute(2, 0, 1)],
                mask_ir=[labels],
                mask_vis=[labels],
            ),
            data_samples=[FusionDataSample(metainfo=dict(img_shape=self.scene.ir.shape))],
        )
        inputs = self.model.data_preprocessor(batch, False)['inputs']
        return {name: image.to(memory_format=torch.channels_last) for name, image in inputs.items()}

    def _make_masks(self) -> None:
        results = dict(ir=self.scene.ir[..., None], vis=self.scene.vis)
        for transform in self.mask_transforms:
            results = transform(results)


def measure(job: Job) -> Row:
    """Measure one row; the first run, which counts, also warms up."""
    cv2.setNumThreads(job.threads)
    torch.set_num_threads(job.threads)
    register_all_modules()
    with torch.inference_mode():
        bench = Bench(job)
        part = bench.part(job.part)
        bench.count_evaluations()
        counted: list[int] = []
        memory = measure_memory(lambda: counted.append(count_flops(part.run)), job.device)
        evaluations = bench.evaluations
        times, reference_times = time_beside(
            part.run, reference_run(job), job.repeats, job.budget, job.device
        )
    networks = bench.mask_networks() if part.makes_masks else []
    return Row(
        name=row_name(job),
        title=part.title,
        parameters=count_parameters(*part.modules, *networks),
        flops=counted[0],
        evaluations=evaluations,
        milliseconds=Spread.of([1e3 * seconds for seconds in times]),
        ratio=Spread.of([one / other for one, other in zip(times, reference_times)]),
        reference_milliseconds=Spread.of([1e3 * seconds for seconds in reference_times]),
        memory=memory,
    )


def row_name(job: Job) -> str:
    return job.part or job.recipe.model['type'].rsplit('.', 1)[-1]


def reference_run(job: Job) -> Callable[[], torch.Tensor]:
    """What every time is compared with: :data:`REFERENCE`."""
    layer = nn.Conv2d(REFERENCE_CHANNELS, REFERENCE_CHANNELS, 3, padding=1)
    layer = layer.to(job.device, memory_format=torch.channels_last)
    image = torch.zeros(1, REFERENCE_CHANNELS, *job.size, device=job.device)
    image = image.to(memory_format=torch.channels_last)
    return lambda: layer(image)


def measure_apart(job: Job) -> Row:
    """:func:`measure` in a process of its own; one that runs out of memory is a row, too."""
    try:
        return in_fresh_process(measure, job, preload=IMPORTS)
    except (MemoryError, torch.OutOfMemoryError):
        return Row(row_name(job), row_name(job), error='out of memory')


def plan(args: argparse.Namespace, recipe: Recipe) -> tuple[list[Job], list[Job]]:
    """The jobs of the components and those of the whole model.

    Raises:
        ValueError: A mode is asked for that the model does not have.
    """
    whole = Job(
        recipe=recipe,
        weights=args.weights,
        part=None,
        size=tuple(args.size),
        device=args.device,
        threads=args.threads,
        repeats=args.repeats,
        budget=args.budget,
        num_steps=args.num_steps,
    )
    with torch.inference_mode():
        bench = Bench(replace(whole, device='cpu', size=(32, 32)))
        components = [replace(whole, part=name) for name in bench.components()]
    if isinstance(bench.model, SGDFuse):
        return components, [replace(whole, part=mode) for mode in args.modes or INFERENCE_MODES]
    if args.modes:
        raise InputError(f'{type(bench.model).__name__} infers in one way only; leave --modes out')
    return components, [whole]


def read_recipe(config: str | None, weights: str | None) -> Recipe:
    """Model and masks as the arguments say; the default is the compact SGDFuse."""
    if config is None and weights is not None and 'model' in read_metadata(weights):
        return Recipe.from_file(weights)
    return Recipe.from_config(config or DEFAULT_CONFIG)


def build_table(rows: list[Row]) -> list[list[str]]:
    """The head and one line of text per row."""
    lines = [['', 'parameters', 'GFLOPs', 'passes', 'ms', 'quartiles', 'ratio', 'peak MiB']]
    for row in rows:
        if row.error:
            lines.append([row.title, row.error, *[''] * (len(lines[0]) - 2)])
            continue
        time, memory = row.milliseconds, row.memory
        lines.append(
            [
                row.title,
                f'{row.parameters:,}',
                f'{row.flops / 1e9:,.1f}' if row.flops else '\u2013',
                str(row.evaluations or ''),
                f'{time.median:,.1f}',
                f'{time.low:,.1f} .. {time.high:,.1f} ({time.count})',
                f'{row.ratio.median:.2f}',
                '' if memory is None else f'{memory.peak / 2**20:,.0f}',
            ]
        )
    return lines


def explain(result: dict, rows: list[Row]) -> list[str]:
    """What a reader of the table must know."""
    height, width = result['size']
    memory = (
        'what PyTorch had allocated on the GPU at its peak'
        if torch.device(result['device']).type == 'cuda'
        else "the largest resident set of the row's own process"
    )
    idle = [row.memory.idle for row in rows if row.memory is not None]
    measured = [row.reference_milliseconds.median for row in rows if not row.error]
    setting = (
        f'{result["model"]}, one pair of {width}x{height}, {result["machine"]}, '
        f'{result["threads"]} threads, PyTorch {result["torch"]}'
    )
    notes = [
        setting,
        f'FLOPs: {FLOPS_COUNTED}',
        'passes: evaluations of the U-Net; the last reads the features of all times as a batch',
        'ms: median, quartiles and, in parentheses, number of runs',
    ]
    if measured:
        notes.append(
            f'ratio: time over that of {REFERENCE}, which ran before each run '
            f'({min(measured):,.1f} .. {max(measured):,.1f} ms)'
        )
    if idle:
        notes.append(
            f'peak: {memory}; before the run it was {min(idle) / 2**20:,.0f} .. '
            f'{max(idle) / 2**20:,.0f} MiB'
        )
    return notes


def to_rich(components: list[Row], modes: list[Row]) -> RichTable:
    """The table for the terminal."""
    head, *lines = build_table([*components, *modes])
    table = RichTable()
    for index, name in enumerate(head):
        table.add_column(name, justify='right' if index else 'left')
    for index, line in enumerate(lines, start=1):
        table.add_row(*line, end_section=index == len(components))
    return table


def to_text(components: list[Row], modes: list[Row], notes: list[str]) -> str:
    """The table in Markdown."""
    head, *lines = build_table([*components, *modes])
    table = Table(
        head=tuple(head),
        labels=tuple(line[0] for line in lines),
        cells=tuple(tuple(Cell(text) for text in line[1:]) for line in lines),
        rule_after=len(components),
        footnotes=tuple(notes),
    )
    return to_markdown(table)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config',
        nargs='?',
        help='training config (default: that in the header of --weights, or '
        f'configs/{DEFAULT_CONFIG.name})',
    )
    parser.add_argument(
        '--weights', help='*.safetensors or *.pth (default: random ones, which cost the same)'
    )
    parser.add_argument(
        '--modes',
        nargs='+',
        choices=INFERENCE_MODES,
        metavar='MODE',
        help=f'of {", ".join(INFERENCE_MODES)} (default: all)',
    )
    parser.add_argument(
        '--num-steps', type=int, help='sampling steps of refine and sample (default: as configured)'
    )
    parser.add_argument(
        '--size',
        nargs=2,
        type=int,
        default=[480, 640],
        metavar=('HEIGHT', 'WIDTH'),
        help='in pixels (default: 480 640)',
    )
    parser.add_argument('--device', default='cpu', help='cpu, cuda, cuda:1, ... (default: cpu)')
    parser.add_argument(
        '--threads',
        type=int,
        default=torch.get_num_threads(),
        help='of PyTorch and OpenCV (default here: %(default)s)',
    )
    parser.add_argument('--repeats', type=int, default=10, help='timed runs (default: 10)')
    parser.add_argument(
        '--budget',
        type=float,
        default=60,
        metavar='SECONDS',
        help='begin no further run of a row after this time, once there are three (default: 60)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('outputs/benchmark'),
        help='folder for benchmark.json and benchmark.md (default: %(default)s)',
    )
    args = parser.parse_args(argv)
    for name in ('threads', 'repeats', 'num_steps'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, found {value}')
    if min(args.size) < MIN_SIDE:
        parser.error(f'--size must be at least {MIN_SIDE} each way, found {args.size}')
    if torch.device(args.device).type == 'cuda' and not torch.cuda.is_available():
        parser.error(f'--device {args.device}: no CUDA GPU was found; leave it out for the CPU')
    return args


def main(argv: list[str] | None = None) -> None:
    """Measure."""
    args = parse_args(argv)
    register_all_modules()
    errors = Console(stderr=True)
    try:
        recipe = read_recipe(args.config, args.weights)
        jobs, whole_jobs = plan(args, recipe)
        with errors.status('') as status:
            rows = []
            for job in [*jobs, *whole_jobs]:
                status.update(f'measuring {row_name(job)}')
                rows.append(measure_apart(job))
    except (MMSGDFuseError, OSError) as error:
        sys.exit(f'error: {error}')
    components, modes = rows[: len(jobs)], rows[len(jobs) :]
    result = dict(
        model=f'{row_name(replace(whole_jobs[0], part=None))} of '
        f'{Path(args.config or args.weights or DEFAULT_CONFIG).name}',
        size=args.size,
        device=args.device,
        machine=describe_device(args.device),
        threads=args.threads,
        torch=torch.__version__,
        flops_counted=FLOPS_COUNTED,
        reference=REFERENCE,
        components=[asdict(row) for row in components],
        modes=[asdict(row) for row in modes],
    )
    notes = explain(result, rows)
    # not cut to a terminal's width where there is none
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(to_rich(components, modes))
    for note in notes:
        console.print(note, markup=False, highlight=False)
    for name, text in {
        'benchmark.json': json.dumps(result, indent=1) + '\n',
        'benchmark.md': to_text(components, modes, notes),
    }.items():
        write_text(args.out / name, text)
    console.print(f'written to {args.out}', highlight=False, markup=False)


if __name__ == '__main__':
    main()

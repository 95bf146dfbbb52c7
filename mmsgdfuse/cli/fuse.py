"""Fuse infrared and visible images: a pair, two folders, two globs, or a list of pairs.

    mmsgdfuse fuse thermal.png photo.jpg -o fused.png
    mmsgdfuse fuse data/MSRS/test/ir data/MSRS/test/vi -o outputs/msrs
    mmsgdfuse fuse 'night/*_ir.png' 'night/*_vis.png' -o outputs/night --panel
    mmsgdfuse fuse flight flight --pairs '*_T:*_V' -o outputs/flight --dry-run
    mmsgdfuse fuse --pairs pairs.csv -o outputs/listed

Two folders are matched by file name up to the suffix, two globs likewise or by what their
wildcards stand for; --pairs names other ways. A result has the size of its visible image.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmsgdfuse.apis import BACKENDS, MODES, FusionInferencer, FusionResult
from mmsgdfuse.io import SCALINGS, InfraredReader
from mmsgdfuse.io.files import write_text
from mmsgdfuse.io.images import IMAGE_SUFFIXES, ImageFileError, write_image
from mmsgdfuse.io.infrared import SCOPES
from mmsgdfuse.io.polarity import POLARITIES
from mmsgdfuse.pairing import PAIRING_HELP, ImagePair, PairPlan, plan_pairs
from mmsgdfuse.registration import AUTO, GRIDS, RigSource, load_rig, valid_box
from mmsgdfuse.utils.cli import add_shard, checking_arguments, print_error, share_of
from mmsgdfuse.utils.errors import InputError, MMSGDFuseError
from mmsgdfuse.utils.text import printable


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse fuse',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'ir', metavar='IR', nargs='?', help='infrared image, folder, or glob in quotes'
    )
    parser.add_argument(
        'vis', metavar='VIS', nargs='?', help='visible image, folder, or glob in quotes'
    )
    parser.add_argument('--pairs', metavar='RULE', help=PAIRING_HELP)
    parser.add_argument(
        '--dry-run', action='store_true', help='show the pairs and faults, and do nothing else'
    )

    output = parser.add_argument_group('output')
    output.add_argument(
        '-o', '--out', type=Path, metavar='OUT',
        help='folder for the results; for one pair also a file',
    )  # fmt: skip
    output.add_argument(
        '--suffix',
        choices=IMAGE_SUFFIXES,
        default='.png',
        help='format of the results in a folder (default: .png, which loses nothing)',
    )
    output.add_argument(
        '--panel', action='store_true',
        help='also draw sources, masks and results side by side into OUT/panels',
    )  # fmt: skip
    output.add_argument(
        '--aligned', action='store_true',
        help='with a rig: also write the rectangle that both cameras see of the sources and the '
        'result into OUT/aligned/ir, vi and fused, which `mmsgdfuse evaluate` takes',
    )  # fmt: skip
    existing = output.add_mutually_exclusive_group()
    existing.add_argument('--overwrite', action='store_true', help='replace existing results')
    existing.add_argument(
        '--skip-existing', action='store_true', help='keep existing results and do the rest'
    )

    archive = parser.add_argument_group('archives', 'Any number of processes share the pairs.')
    add_shard(archive)
    archive.add_argument(
        '--summary', type=Path, metavar='FILE',
        help='write a line of JSON per pair: its name, and written, skipped or the fault',
    )  # fmt: skip
    archive.add_argument('--json', action='store_true', help='print the counts as JSON')

    model = parser.add_argument_group('model')
    model.add_argument('--weights', help='*.safetensors, or *.pth with --config (default: shipped)')
    model.add_argument('--config', help='config that the weights were trained with')
    model.add_argument('--device', help="such as 'cpu' or 'cuda:1' (default: the GPU if any)")
    model.add_argument('--mode', choices=MODES, help='how to infer (default: features)')
    model.add_argument(
        '--restore', action='store_true',
        help='remove noise, stripes and blur from both images first',
    )  # fmt: skip
    model.add_argument(
        '--backend', choices=BACKENDS,
        help='what runs the model (default: onnxruntime for *.onnx and where torch is missing)',
    )  # fmt: skip
    model.add_argument(
        '--tile', type=int, metavar='PIXELS',
        help='side of the tiles of large images; 0 for whole images (default: by the size)',
    )  # fmt: skip
    model.add_argument('--seed', type=int, help='of the diffusion noise (default: 0)')
    model.add_argument('--num-steps', type=int, help="sampling steps of 'refine' and 'sample'")
    model.add_argument(
        '--start-timestep', type=int, help="diffusion time that 'refine' starts from"
    )

    masks = parser.add_argument_group(
        'masks',
        'By default they are generated without weights, as the model was trained; a '
        'student does without.',
    )
    source = masks.add_mutually_exclusive_group()
    source.add_argument(
        '--mask-dirs', nargs=2, metavar=('IR', 'VIS'),
        help='two folders of masks: 8-bit grey PNGs named like the images, or of '
        'mmsgdfuse masks',
    )  # fmt: skip
    source.add_argument('--sam-checkpoint', metavar='FILE', help='generate them with this SAM')
    source.add_argument('--no-masks', action='store_true', help='fuse as if nothing stood out')
    masks.add_argument(
        '--sam-type',
        choices=('vit_b', 'vit_l', 'vit_h'),
        default='vit_b',
        help='size of that SAM (default: vit_b)',
    )
    masks.add_argument(
        '--emphasis', type=float, default=1,
        help='how strongly masked things are lifted; 0 is not at all (default: 1, as trained)',
    )  # fmt: skip
    masks.add_argument('--mask-cache', metavar='FOLDER', help='keep generated masks in here')

    infrared = parser.add_argument_group(
        'infrared',
        'Files of 8 bits are used as they are; docs/cameras.md tells what cameras write.',
    )
    infrared.add_argument(
        '--scaling',
        choices=SCALINGS,
        default='auto',
        help='how more than 8 bits become 0..255: by what an image uses, without its defects, all '
        'bits, its least and greatest value, or its percentiles (default: auto)',
    )
    infrared.add_argument(
        '--percentiles', type=float, nargs=2, default=(0.5, 99.5), metavar=('LOW', 'HIGH'),
        help="range of 'percentile', 0..100 (default: 0.5 99.5)",
    )  # fmt: skip
    infrared.add_argument(
        '--range', type=float, nargs=2, metavar=('LOW', 'HIGH'),
        help='values that become 0 and 255: counts, or degrees where the file has them',
    )  # fmt: skip
    infrared.add_argument(
        '--range-scope', choices=SCOPES, default='image',
        help='what one range is for: each image, or all pairs of this run, which keeps the '
        'frames of a sequence alike (default: image)',
    )  # fmt: skip
    infrared.add_argument(
        '--polarity', choices=POLARITIES, default='white-hot',
        help='what hot looks like; auto turns pictures that are clearly black-hot '
        '(default: white-hot)',
    )  # fmt: skip
    infrared.add_argument(
        '--palette', default='auto', metavar='NAME',
        help="false colours: 'auto' finds the palette, 'luma' takes the luma of any colours, or "
        "name it, or give a picture of the camera's temperature scale (default: auto)",
    )  # fmt: skip
    infrared.add_argument(
        '--raw', metavar='LAYOUT',
        help='infrared files without header, such as 640x512,uint16le or 640x512,uint16le,64 '
        'with the bytes to skip',
    )  # fmt: skip
    parser.add_argument(
        '--visible-bits', type=int, metavar='N',
        help='bits that visible images of 16 bits use, 8 to 16 (default: told from each image)',
    )  # fmt: skip
    registration = parser.add_argument_group(
        'registration', 'For pairs of two cameras as they are; docs/cameras.md has the steps.'
    )
    transform = registration.add_mutually_exclusive_group()
    transform.add_argument(
        '--rig', type=Path, metavar='FILE',
        help='how the pixels of the two cameras correspond, such as mmsgdfuse register writes it',
    )  # fmt: skip
    transform.add_argument(
        '--register', action='store_true', help='register each pair alone, which takes seconds'
    )
    registration.add_argument(
        '--grid', choices=GRIDS, default='visible',
        help="whose pixels the result has (default: visible)",
    )  # fmt: skip
    registration.add_argument(
        '--distance', type=float, metavar='D',
        help='distance at which the images agree, for a rig with lenses (default: as in its file)',
    )  # fmt: skip
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.aligned and args.rig is None and not args.register:
        parser.error('--aligned needs --rig or --register')
    if args.out is None and not args.dry_run:
        parser.error('the following arguments are required: -o/--out')
    return args


# What a user may take for a format of results; other points in a name are those of a folder.
OTHER_FORMATS = {*Image.registered_extensions(), '.avi', '.heic', '.mp4', '.npy', '.svg'} - {
    *IMAGE_SUFFIXES
}


_AHEAD = 3


@dataclass
class Job:
    """One pair, and where its results go."""

    pair: ImagePair
    fused: Path
    panel: Path | None
    aligned: Path | None = None

    @property
    def outputs(self) -> list[Path]:
        outputs = [self.fused] if self.panel is None else [self.fused, self.panel]
        return outputs + list(self.aligned_paths.values())

    @property
    def aligned_paths(self) -> dict[str, Path]:
        """Where the cropped images go, by their name in the result."""
        if self.aligned is None:
            return {}
        folders = dict(ir='ir', vis='vi', fused='fused')
        name = f'{self.fused.stem}.png'
        return {key: self.aligned / folder / name for key, folder in folders.items()}


@dataclass
class Report:
    """What a run did."""

    out: Path
    written: int = 0
    skipped: int = 0
    unread: list[str] = field(default_factory=list)
    interrupted: bool = False
    stopped_by: str = ''
    notes: dict[str, list[str]] = field(default_factory=dict)
    rows: list[dict[str, str]] = field(default_factory=list)

    def note_fault(self, job: Job, error: Exception) -> None:
        """Keep why a pair was left out."""
        text = str(error)
        if 'OutOfMemory' in type(error).__name__:
            text = f'{job.pair.ir}: too large for this GPU; add --device cpu'
        self.unread.append(text)
        self.rows.append(dict(name=job.pair.name, status='fault', fault=text))

    def note_written(self, job: Job, result: FusionResult, writing: Future[None]) -> None:
        """Wait until a result is written, and keep what a user should know of the pair."""
        try:
            writing.result()
        except OSError as error:  # the next result could not be written either
            self.stopped_by = (
                self.stopped_by or f'{job.fused}: {error.strerror or error}; mend this'
            )
            return
        self.written += 1
        self.rows.append(dict(name=job.pair.name, status='written', file=str(job.fused)))
        name, mapping = job.pair.name, result.ir_mapping
        said = [] if mapping.changes_nothing else [f'infrared: {mapping}']
        for text in (*said, *result.notices):
            self.notes.setdefault(text, []).append(name)

    def to_json(self) -> str:
        """The counts for a program."""
        counts = dict(written=self.written, skipped=self.skipped, faults=len(self.unread))
        stopped = self.interrupted or bool(self.stopped_by)
        return json.dumps(dict(counts, out=str(self.out), stopped=stopped, unread=self.unread))

    def __str__(self) -> str:
        text = (
            f'wrote {self.written} to {self.out}, skipped {self.skipped} that existed, '
            f'could not read {len(self.unread)}'
        )
        text = '\n  '.join([text + (':' if self.unread else ''), *self.unread])
        if self.stopped_by:
            text += f'\ncould not write {self.stopped_by}'
        for note, names in self.notes.items():
            more = f' and {len(names) - 3} more' if len(names) > 3 else ''
            text += f'\n  {", ".join(names[:3])}{more}: {note}'
        if self.interrupted or self.stopped_by:
            text += '\nstopped before the end; add --skip-existing to go on'
        return text


def find_pairs(args: argparse.Namespace) -> PairPlan:
    """The pairs that the arguments mean; single files must be there.

    Raises:
        ImageFileError: A file that was named does not exist.
        InputError: The arguments do not fit each other.
    """
    found = plan_pairs(args.ir, args.vis, args.pairs)
    if args.pairs is None and len(found.pairs) == 1:
        for path in found.pairs[0][1:]:
            if not path.exists():
                raise ImageFileError(f'{path}: no such file; check the path')
    return found


def plan(args: argparse.Namespace, found: PairPlan) -> tuple[list[Job], Report]:
    """What is to be done, after all that can be known beforehand was looked at.

    Raises:
        InputError: The arguments do not fit each other, or a source would be overwritten.
        FileExistsError: Results exist, and nothing says what to do with them.
    """
    pairs, faults = share_of(found.pairs, args.shard), list(share_of(found.faults, args.shard))
    report = Report(args.out, unread=faults)
    report.rows += [dict(name='', status='fault', fault=fault) for fault in faults]
    suffix = args.out.suffix.lower()
    to_file = suffix in IMAGE_SUFFIXES and not args.out.is_dir()
    if suffix in OTHER_FORMATS and not args.out.is_dir():
        raise InputError(
            f'{args.out}: {suffix} is no format of results; give one of '
            f'{", ".join(IMAGE_SUFFIXES)}, or a folder'
        )
    if args.out.is_file() and not to_file:
        raise InputError(f'{args.out}: is a file, and no image; give a folder or an image file')
    if to_file and len(pairs) + len(faults) > 1:
        raise InputError(f'{args.out} is one file for {len(pairs)} pairs; give a folder as -o')
    jobs = []
    for pair in pairs:
        fused = args.out if to_file else args.out / f'{pair.name}{args.suffix}'
        panel = fused.parent / 'panels' / f'{fused.stem}.png' if args.panel else None
        aligned = fused.parent / 'aligned' if args.aligned else None
        jobs.append(Job(pair, fused, panel, aligned))

    sources = {path.resolve() for pair in pairs for path in (pair.ir, pair.vis)}
    endangered = [out for job in jobs for out in job.outputs if out.resolve() in sources]
    if endangered:
        raise InputError(f'{endangered[0]} is a source; give another folder as -o')
    existing = [out for job in jobs for out in job.outputs if out.exists()]
    if existing and not (args.overwrite or args.skip_existing):
        raise FileExistsError(
            f'{existing[0]} exists' + (f' and {len(existing) - 1} more' if existing[1:] else '')
            + '; pass --skip-existing to keep or --overwrite to replace them'
        )  # fmt: skip
    if args.skip_existing:
        todo = [job for job in jobs if not all(out.exists() for out in job.outputs)]
        report.skipped = len(jobs) - len(todo)
        report.rows += [
            dict(name=job.pair.name, status='skipped', file=str(job.fused))
            for job in jobs
            if job not in todo
        ]
        jobs = todo
    return jobs, report


def masks_from_arguments(args: argparse.Namespace) -> dict[str, Any] | None:
    """The masks that are asked for; None leaves them to the model."""
    if args.no_masks:
        return dict(type='DropMask')
    if args.mask_dirs:
        for folder in args.mask_dirs:
            if not Path(folder).is_dir():
                raise FileNotFoundError(f'{folder}: no such folder of masks; check the path')
        return dict(type='LoadMasks', ir=args.mask_dirs[0], vis=args.mask_dirs[1])
    if args.sam_checkpoint:
        if not Path(args.sam_checkpoint).is_file():
            raise FileNotFoundError(
                f'{args.sam_checkpoint}: no such checkpoint; tools/download_sam.py fetches one'
            )
        return dict(
            type='SAMMaskGenerator', model_type=args.sam_type, checkpoint=args.sam_checkpoint
        )
    return None


def reader_from_arguments(args: argparse.Namespace) -> InfraredReader:
    """How the infrared files are to be read."""
    return InfraredReader(
        args.scaling, tuple(args.percentiles), args.range, args.range_scope, args.polarity,
        args.palette, args.raw,
    )  # fmt: skip


def rig_from_arguments(args: argparse.Namespace) -> RigSource | None:
    """The rig that is asked for; None for registered pairs."""
    if args.rig is not None:
        return load_rig(args.rig, args.distance)
    return AUTO if args.register else None


def run(jobs: list[Job], inferencer: FusionInferencer, report: Report, console: Console) -> None:
    """Fuse the pairs; one that cannot be used is noted and left out.

    A thread reads the next pairs and makes their masks, another writes results, and this one runs
    the network.
    """
    columns = (
        TextColumn('fusing'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn('{task.description}'),
    )
    pairs = ((job.pair.ir, job.pair.vis) for job in jobs)
    results = inferencer.batch(pairs, on_error='yield', prefetch=_AHEAD)
    writing: deque[tuple[Job, FusionResult, Future[None]]] = deque()
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(1) as writer:
        task = progress.add_task('', total=len(jobs))
        try:
            for job, result in zip(jobs, results):
                progress.update(task, description=escape(printable(job.pair.name)))
                progress.advance(task)
                if isinstance(result, Exception):
                    report.note_fault(job, result)
                else:
                    writing.append((job, result, writer.submit(write, job, result)))
                while len(writing) > _AHEAD:
                    report.note_written(*writing.popleft())
                if report.stopped_by:
                    break
        except KeyboardInterrupt:
            report.interrupted = True
        finally:
            results.close()
            while writing:
                report.note_written(*writing.popleft())


def write(job: Job, result: FusionResult) -> None:
    """Write what a pair gives; the fused image is the last, so that it stands for all."""
    if job.panel is not None:
        write_image(job.panel, result.panel())
    if result.valid is not None:
        box = valid_box(result.valid)
        for key, path in job.aligned_paths.items():
            write_image(path, getattr(result, key)[box])
    write_image(job.fused, result.fused)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    console = Console(stderr=True)
    try:
        found = find_pairs(args)
        if args.dry_run:
            print(printable(str(found)))
            return 1 if found.faults else 0
        with checking_arguments():
            reader = reader_from_arguments(args)
        jobs, report = plan(args, found)
        masks = masks_from_arguments(args)
        if jobs:
            if args.range_scope == 'folder':
                reader.fit(job.pair.ir for job in jobs)
            inferencer = FusionInferencer(
                args.config,
                args.weights,
                args.device,
                mode=args.mode,
                masks=masks,
                mask_cache=args.mask_cache,
                emphasis=args.emphasis,
                seed=args.seed,
                num_steps=args.num_steps,
                start_timestep=args.start_timestep,
                reading=reader,
                visible_bits=args.visible_bits,
                restore=args.restore,
                rig=rig_from_arguments(args),
                grid=args.grid,
                backend=args.backend,
                tile=args.tile,
            )
            run(jobs, inferencer, report, console)
    except (MMSGDFuseError, OSError) as error:
        print_error(error)
        return 2
    if args.summary is not None:
        write_text(args.summary, ''.join(f'{json.dumps(row)}\n' for row in report.rows))
    print(printable(report.to_json() if args.json else str(report)))
    if report.interrupted:
        return 130
    if report.stopped_by:
        return 2
    return 1 if report.unread else 0

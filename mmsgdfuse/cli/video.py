"""Fuse two videos, two cameras or streams, two sequences of images, or one side-by-side video.

    mmsgdfuse video thermal.mp4 colour.mp4 -o fused.mp4
    mmsgdfuse video frames/ir frames/vi -o fused --fps 30
    mmsgdfuse video rtsp://cam/ir rtsp://cam/vis -o udp://localhost:5000 --drop --reconnects 100
    mmsgdfuse video both.mp4 --side-by-side ir-left -o fused.mkv
    mmsgdfuse video thermal.mp4 colour.mp4 -o - | ffplay -f rawvideo -pixel_format rgb24 \
        -video_size 640x480 -

The frames of the result are those of the visible video; each gets the infrared frame that is
nearest in time. Ctrl-C ends the output so that it can be played.
"""

from __future__ import annotations

import argparse
import os

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from mmsgdfuse.apis import MODES, FusionInferencer
from mmsgdfuse.apis.video import SteadyFilter, VideoReport, fuse_video, split_side_by_side
from mmsgdfuse.io import InfraredReader
from mmsgdfuse.io.infrared import AUTO
from mmsgdfuse.io.polarity import POLARITIES
from mmsgdfuse.io.video import frame_rate, open_writer, read_frames
from mmsgdfuse.registration import GRIDS, load_rig
from mmsgdfuse.utils.cli import print_error
from mmsgdfuse.utils.errors import MMSGDFuseError
from mmsgdfuse.utils.text import printable

_SIDES = ('ir-left', 'ir-right', 'ir-top', 'ir-bottom')


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse video',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('ir', metavar='IR', help='infrared video, stream, camera, folder or glob')
    parser.add_argument('vis', metavar='VIS', nargs='?', help='visible one, in the same form')
    parser.add_argument(
        '-o', '--out', required=True,
        help='video file, folder of PNG files, address of a stream, or - for raw RGB frames',
    )  # fmt: skip
    parser.add_argument('--overwrite', action='store_true', help='replace an existing file')
    parser.add_argument(
        '--side-by-side', choices=_SIDES, help='IR is one video with both images; where infrared is'
    )
    timing = parser.add_argument_group('time')
    timing.add_argument(
        '--tolerance', type=float, default=0.02, metavar='SECONDS',
        help='between the two frames of a pair (default: %(default)s)',
    )  # fmt: skip
    timing.add_argument(
        '--fps', type=float, help='of sequences of images, and of the output (default: as VIS, 30)'
    )
    timing.add_argument(
        '--drop', action='store_true', help='drop pairs that come faster than they are fused'
    )
    timing.add_argument(
        '--reconnects', type=int, default=0, metavar='N',
        help='how often a stream that ends is opened again (default: %(default)s)',
    )  # fmt: skip
    timing.add_argument(
        '--steady', type=float, default=0.7, metavar='0..1',
        help='weight of the frame before where nothing changes; 0 is off (default: %(default)s)',
    )  # fmt: skip
    model = parser.add_argument_group('model')
    model.add_argument('--mode', choices=MODES, default='student', help='(default: %(default)s)')
    model.add_argument('--weights', help='*.safetensors of your own')
    model.add_argument('--device', help="such as 'cpu' or 'cuda:1' (default: the GPU if any)")
    model.add_argument(
        '--restore', action='store_true', help='remove noise, stripes and blur first'
    )
    reading = parser.add_argument_group('reading', 'As for mmsgdfuse fuse.')
    reading.add_argument('--rig', metavar='FILE', help='of cameras that are not registered')
    reading.add_argument('--grid', choices=GRIDS, default='visible')
    reading.add_argument('--range', type=float, nargs=2, metavar=('LOW', 'HIGH'))
    reading.add_argument('--polarity', choices=POLARITIES, default='white-hot')
    reading.add_argument('--palette', default=AUTO, metavar='NAME')
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if (args.vis is None) == (args.side_by_side is None):
        parser.error('give IR and VIS, or one video and --side-by-side')
    return args


def main(argv: list[str] | None = None) -> int:
    """Fuse, and return the exit code."""
    args = parse_args(argv)
    report = VideoReport()
    console = Console(stderr=True)
    try:
        stopped = fuse(args, report, console)
    except (MMSGDFuseError, OSError) as error:
        print_error(error)
        return 2
    for text in report.failed:
        print_error(text)
    console.print(printable(f'{args.out}: {report}'), markup=False, highlight=False)
    if stopped:
        return 130
    return 1 if report.failures or not report.fused else 0


def fuse(args: argparse.Namespace, report: VideoReport, console: Console) -> bool:
    """Fuse and write; whether it was stopped by Ctrl-C."""
    check_output(args)
    streams = [source for source in (args.ir, args.vis) if source is not None]
    fps = args.fps or frame_rate(streams[-1]) or 30.0
    if args.side_by_side:
        frames = read_frames(args.ir, fps, args.reconnects)
        infrared_first = args.side_by_side in ('ir-left', 'ir-top')
        vertical = args.side_by_side in ('ir-top', 'ir-bottom')
        ir, vis = split_side_by_side(frames, infrared_first, vertical)
    else:
        ir, vis = (read_frames(source, fps, args.reconnects) for source in (args.ir, args.vis))
    inferencer = FusionInferencer(
        weights=args.weights,
        mode=args.mode,
        device=args.device,
        restore=args.restore,
        reading=InfraredReader(
            range=args.range, polarity=args.polarity, palette=args.palette, scope='folder'
        ),
        rig=None if args.rig is None else load_rig(args.rig),
        grid=args.grid,
    )
    steady = SteadyFilter(args.steady)
    writer = open_writer(args.out, fps)
    columns = TextColumn('{task.description}'), TimeElapsedColumn()
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task('', total=None)
            for frame in fuse_video(
                ir, vis, inferencer,
                tolerance=args.tolerance, steady=steady, drop=args.drop, report=report,
            ):  # fmt: skip
                writer.write(frame.fused, frame.time)
                progress.update(task, description=str(report))
    except KeyboardInterrupt:
        return True
    except BrokenPipeError:  # who reads the pipe has seen enough
        return False
    finally:
        writer.close()
    return False


def check_output(args: argparse.Namespace) -> None:
    """Refuse to replace a file, unless that is asked for."""
    if os.path.isfile(args.out) and not args.overwrite:
        raise FileExistsError(f'{args.out} exists; pass --overwrite to replace it')
    if os.path.isdir(args.out) and os.listdir(args.out) and not args.overwrite:
        raise FileExistsError(f'{args.out} is not empty; pass --overwrite, or give another folder')

"""Frames in and out: video files, cameras and network streams by PyAV, sequences of images."""

from __future__ import annotations

import glob
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from mmsgdfuse.io.files import atomic_path
from mmsgdfuse.io.images import IMAGE_SUFFIXES, write_image
from mmsgdfuse.utils.errors import InputError, MissingPackageError

# not AVI, which keeps no time of a frame
VIDEO_SUFFIXES = ('.mp4', '.mkv', '.mov', '.webm')
PIPE = '-'
_URL = '://'
# Waited before a stream is opened again, seconds
_RECONNECT_PAUSE = 1.0


class VideoError(InputError):
    """A video that cannot be opened, read or written; the message names it and the remedy."""


class Frame(NamedTuple):
    """A frame of a video.

    Attributes:
        time: Seconds since the first frame of its source.
        pixels: uint8 RGB (H, W, 3); of a sequence of images, the path of the file.
    """

    time: float
    pixels: np.ndarray | str


class FrameWriter(Protocol):
    """What takes fused frames."""

    def write(self, pixels: np.ndarray, seconds: float) -> None:
        """Write one frame, uint8 RGB (H, W, 3), shown ``seconds`` after the first one."""

    def close(self) -> None:
        """End the output so that it can be played, also after a part of the frames."""


def require_av() -> Any:
    """PyAV.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingPackageError(
            "videos need PyAV: pip install 'mmsgdfuse[video]'; sequences of images do without"
        ) from None
    return av


def is_stream(source: str) -> bool:
    """Whether a source is live: a network address or a camera, which may come back."""
    return _URL in source or source.startswith('/dev/')


def read_frames(
    source: str | os.PathLike, fps: float = 30.0, reconnects: int = 0
) -> Iterator[Frame]:
    """The frames of a video, a stream, or a sequence of images.

    Args:
        source: Video file; address that ffmpeg reads (``rtsp://...``); camera (``/dev/video0``);
            folder of images, or glob of images.
        fps: Frames per second of a sequence of images. Default 30.
        reconnects: How often a stream that ends or fails is opened again. Its time goes on by
            the clock. Default 0.

    Raises:
        VideoError: The source cannot be opened or decoded, or has no frame.
        MissingPackageError: PyAV is not installed.
    """
    name = os.fspath(source)
    paths = _image_sequence(name)
    if paths is not None:
        if fps <= 0:
            raise InputError(f'fps must be positive, found {fps}')
        for index, path in enumerate(paths):
            yield Frame(index / fps, path)
        return
    av = require_av()
    started = time.monotonic()
    for attempt in range(reconnects + 1):
        offset = time.monotonic() - started if attempt else 0.0
        try:
            for frame in _decode(av, name):
                yield Frame(frame.time + offset, frame.pixels)
        except av.FFmpegError as error:
            if attempt == reconnects:
                raise VideoError(f'{name}: cannot be read ({error}); check it') from error
        if attempt < reconnects:
            time.sleep(_RECONNECT_PAUSE)


def frame_rate(source: str | os.PathLike) -> float | None:
    """Frames per second that a video says it has; None for images and where it says nothing."""
    name = os.fspath(source)
    if _image_sequence(name) is not None:
        return None
    av = require_av()
    try:
        with av.open(name) as container:
            rate = _video_stream(container, name).average_rate
    except av.FFmpegError as error:
        raise VideoError(f'{name}: cannot be opened ({error}); check it') from error
    return float(rate) if rate else None


def _decode(av: Any, name: str) -> Iterator[Frame]:
    start = None
    with av.open(name) as container:
        stream = _video_stream(container, name)
        stream.thread_type = 'AUTO'
        for index, frame in enumerate(container.decode(stream)):
            seconds = frame.time
            if seconds is None:
                seconds = index / float(stream.average_rate or 30)
            start = seconds if start is None else start
            yield Frame(float(seconds - start), frame.to_ndarray(format='rgb24'))
    if start is None:
        raise VideoError(f'{name}: has no frame; check it')


def _video_stream(container: Any, name: str) -> Any:
    if not container.streams.video:
        raise VideoError(f'{name}: has no video stream; give another file')
    return container.streams.video[0]


def _image_sequence(name: str) -> list[str] | None:
    """Sorted image files of a folder or a glob; None for anything else."""
    if _URL in name:
        return None
    if os.path.isdir(name):
        found = [os.path.join(name, entry) for entry in os.listdir(name)]
    elif glob.has_magic(name) and not os.path.lexists(name):
        found = glob.glob(name)
    elif os.path.lexists(name):
        return None
    else:
        raise VideoError(f'{name}: no such file or folder; check the path')
    images = sorted(path for path in found if Path(path).suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise VideoError(f'{name}: holds no images; give a video, or images of one sequence')
    return images


def open_writer(out: str | os.PathLike, fps: float) -> FrameWriter:
    """A writer for an output.

    Args:
        out: Video file (``.mp4``, ``.mkv``, ``.mov``, ``.webm``), folder of PNG files,
            ``-`` for raw RGB bytes on standard output, or an address that ffmpeg writes to
            (``rtmp://...``, ``rtsp://...``, ``udp://...``).
        fps: Frames per second.

    Raises:
        InputError: The suffix is that of no video.
        VideoError: The output cannot be opened.
        MissingPackageError: PyAV is not installed.
    """
    name = os.fspath(out)
    if name == PIPE:
        return _PipeWriter()
    if _URL in name:
        formats = {'rtmp': 'flv', 'rtsp': 'rtsp', 'udp': 'mpegts', 'tcp': 'mpegts', 'srt': 'mpegts'}
        scheme = name.partition(_URL)[0]
        return _VideoWriter(name, fps, formats.get(scheme))
    suffix = Path(name).suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return _FileWriter(Path(name), fps)
    if suffix and not Path(name).is_dir():
        raise InputError(
            f'{name}: {suffix} is no format of videos; give one of {", ".join(VIDEO_SUFFIXES)}, a '
            'folder for single images, or - for raw frames'
        )
    return _FolderWriter(Path(name))


class _PipeWriter:
    def write(self, pixels: np.ndarray, seconds: float) -> None:
        sys.stdout.buffer.write(np.ascontiguousarray(pixels).tobytes())

    def close(self) -> None:
        with suppress(BrokenPipeError):
            sys.stdout.buffer.flush()


class _FolderWriter:
    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0

    def write(self, pixels: np.ndarray, seconds: float) -> None:
        write_image(self.folder / f'{self._count:06d}.png', pixels)
        self._count += 1

    def close(self) -> None:
        """Every file is whole already."""


class _VideoWriter:
    """H.264 in 4:2:0, which every player takes; the size is that of the first frame."""

    def __init__(self, name: str, fps: float, form: str | None = None) -> None:
        self._av, self._name = require_av(), name
        # the time base of the frames: a thousandth of a second
        self._rate = Fraction(fps).limit_denominator(1001)
        try:
            self._container = self._av.open(name, 'w', format=form)
        except (self._av.FFmpegError, OSError) as error:
            raise VideoError(f'{name}: cannot be opened for writing ({error})') from error
        self._stream: Any = None
        self._size: tuple[int, ...] = ()
        self._last = -1

    def write(self, pixels: np.ndarray, seconds: float) -> None:
        if self._stream is None:
            self._start(pixels)
        if pixels.shape != self._size:
            raise VideoError(
                f'{self._name}: a frame is {pixels.shape[:2]} (H, W), the first was '
                f'{self._size[:2]}; one video has one size'
            )
        height, width = (side - side % 2 for side in pixels.shape[:2])  # 4:2:0 needs even sides
        frame = self._av.VideoFrame.from_ndarray(
            np.ascontiguousarray(pixels[:height, :width]), format='rgb24'
        )
        self._last = max(self._last + 1, round(seconds * 1000))
        frame.pts, frame.time_base = self._last, Fraction(1, 1000)
        self._send(frame)

    def close(self) -> None:
        if self._stream is not None:
            self._send(None)
        self._container.close()

    def _start(self, pixels: np.ndarray) -> None:
        self._size = pixels.shape
        codec = 'libvpx-vp9' if self._name.endswith('.webm') else 'libx264'
        self._stream = self._container.add_stream(codec, rate=self._rate)
        self._stream.height, self._stream.width = (side - side % 2 for side in pixels.shape[:2])
        self._stream.pix_fmt = 'yuv420p'
        self._stream.codec_context.time_base = Fraction(1, 1000)
        self._stream.options = {'crf': '18'}

    def _send(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (self._av.FFmpegError, OSError) as error:
            raise VideoError(f'{self._name}: cannot be written ({error})') from error


class _FileWriter(_VideoWriter):
    """A video file that takes its place when it is closed, and is whole from then on."""

    def __init__(self, path: Path, fps: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._place = atomic_path(path)
        super().__init__(str(self._place.__enter__()), fps)

    def close(self) -> None:
        try:
            super().close()
            if self._stream is None:
                raise VideoError(f'{self._name}: no frame was written')
        except BaseException as error:
            self._place.__exit__(type(error), error, error.__traceback__)
            raise
        self._place.__exit__(None, None, None)

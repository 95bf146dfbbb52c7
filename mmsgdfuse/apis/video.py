"""Fusing two videos frame by frame."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from mmsgdfuse.apis.inferencer import FusionInferencer, FusionResult
from mmsgdfuse.io.video import Frame, read_frames
from mmsgdfuse.utils.errors import InputError, MMSGDFuseError

_QUEUE = 4
_WINDOW = (5, 5)
_KEPT_LATENCIES = 1000


@dataclass
class VideoReport:
    """What a run did; it grows while the frames come.

    Attributes:
        fused: Frames that came out.
        unpaired: Frames of either camera without a partner within the tolerance.
        dropped: Pairs that were left out because they came faster than they were fused.
        failed: Pairs that could not be fused, a sentence each, of the first ten.
        failures: How many they are.
        latencies: Seconds per frame, of the last thousand.
    """

    fused: int = 0
    unpaired: int = 0
    dropped: int = 0
    failures: int = 0
    failed: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def note(self, seconds: float) -> None:
        """Count a fused frame."""
        self.fused += 1
        self.latencies.append(seconds)
        del self.latencies[:-_KEPT_LATENCIES]

    def note_failure(self, error: Exception) -> None:
        """Count a pair that could not be fused."""
        self.failures += 1
        if len(self.failed) < 10:
            self.failed.append(str(error))

    def __str__(self) -> str:
        text = f'{self.fused} frames'
        if self.latencies:
            rate = self.fused / max(time.monotonic() - self.started, 1e-9)
            half, most = np.percentile(self.latencies, (50, 95)) * 1000
            text += f', {rate:.1f} frames/s, latency p50 {half:.0f} ms, p95 {most:.0f} ms'
        for count, reason in (
            (self.unpaired, 'without a partner in time'),
            (self.dropped, 'dropped to keep up'),
            (self.failures, 'not fused'),
        ):
            if count:
                text += f'; {count} {reason}'
        return text


@dataclass(frozen=True, eq=False)
class FusedFrame:
    """One frame of a fused video.

    Attributes:
        time: Seconds since the first frame of the visible video.
        fused: uint8 RGB (H, W, 3).
        result: What fusing the pair gave, before steadying.
    """

    time: float
    fused: np.ndarray
    result: FusionResult


class SteadyFilter:
    """Averages fused frames over time where neither camera sees a change.

    The weight of the frame before is ``strength * exp(-(d / scale) ** 2)``, where ``d`` is the
    larger of both cameras' differences from their frame before, a mean over 5x5 pixels. What moves
    keeps its own frame, so that it leaves no trail.

    Args:
        strength: Largest weight of the frame before, 0 to below 1; 0 changes nothing. Default 0.7.
        scale: Difference in grey levels at which the weight has fallen to 37 %. Default 4.

    Raises:
        InputError: A value is outside its range.
    """

    def __init__(self, strength: float = 0.7, scale: float = 4.0) -> None:
        if not 0 <= strength < 1 or scale <= 0:
            raise InputError(
                f'strength must lie in 0..1 and scale above 0, found {strength} and {scale}'
            )
        self.strength, self.scale = strength, scale
        self._before: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def __call__(self, fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
        """The steadied frame.

        Args:
            fused: uint8 (H, W, 3).
            ir: Infrared frame as it was fused, uint8 (H, W, 1).
            vis: Visible frame as it was fused, uint8 (H, W, 3).
        """
        heat = ir[..., 0].astype(np.float32)
        light = cv2.cvtColor(vis, cv2.COLOR_RGB2GRAY).astype(np.float32)
        steady = fused.astype(np.float32)
        before = self._before
        if before is not None and before[2].shape == steady.shape:
            change = np.maximum(
                cv2.blur(np.abs(heat - before[0]), _WINDOW),
                cv2.blur(np.abs(light - before[1]), _WINDOW),
            )
            weight = self.strength * np.exp(-((change / self.scale) ** 2))
            steady += weight[..., None] * (before[2] - steady)
        self._before = heat, light, steady
        return np.rint(steady).astype(np.uint8)


def fuse_video(
    ir: str | os.PathLike | Iterable[Frame],
    vis: str | os.PathLike | Iterable[Frame],
    inferencer: FusionInferencer | None = None,
    *,
    tolerance: float = 0.02,
    steady: SteadyFilter | None = None,
    fps: float = 30.0,
    reconnects: int = 0,
    drop: bool = False,
    report: VideoReport | None = None,
) -> Iterator[FusedFrame]:
    """Fuse two videos; the frames of the result are those of the visible one.

    A thread decodes and pairs the frames, four pairs ahead at most, so that memory does not grow
    with the length.

    Args:
        ir: Infrared video, see :func:`mmsgdfuse.io.video.read_frames`, or frames.
        vis: Visible video in the same form.
        inferencer: What fuses a pair. Default: the shipped student, which is the fastest.
        tolerance: Most seconds between the two frames of a pair. Default 0.02.
        steady: Filter over time; None (default) is :class:`SteadyFilter` with its defaults.
        fps: Frames per second of sequences of images. Default 30.
        reconnects: How often a stream that ends is opened again. Default 0.
        drop: Whether pairs are dropped that come faster than they are fused, as a live view
            needs it. Default False: they wait.
        report: Counts what happens. Default: nobody reads it.

    Yields:
        The fused frames in order. A pair that cannot be fused is counted and left out.

    Raises:
        InputError: ``tolerance`` is negative.
        VideoError: A video cannot be read.
    """
    if tolerance < 0:
        raise InputError(f'tolerance must be at least 0 seconds, found {tolerance}')
    inferencer = inferencer or FusionInferencer(mode='student')
    steady = SteadyFilter() if steady is None else steady
    report = VideoReport() if report is None else report
    infrared_frames, visible_frames = (
        read_frames(source, fps, reconnects) if isinstance(source, (str, os.PathLike)) else source
        for source in (ir, vis)
    )
    matched = match_frames(infrared_frames, visible_frames, tolerance, report)
    with _Prefetch(matched, drop, report) as pairs:
        for infrared, visible in pairs:
            start = time.monotonic()
            try:
                result = inferencer(infrared.pixels, visible.pixels)
            except (MMSGDFuseError, OSError) as error:
                report.note_failure(error)
                continue
            fused = steady(result.fused, result.ir, result.vis)
            report.note(time.monotonic() - start)
            yield FusedFrame(visible.time, fused, result)


def match_frames(
    ir: Iterable[Frame], vis: Iterable[Frame], tolerance: float, report: VideoReport | None = None
) -> Iterator[tuple[Frame, Frame]]:
    """Pair each visible frame with the infrared frame that is nearest in time.

    Args:
        ir: Infrared frames, rising in time.
        vis: Visible frames, rising in time. With fewer infrared ones, such as 9 a second beside
            30, those without one near enough are left out.
        tolerance: Most seconds between the two.
        report: Counts the frames without a partner.
    """
    report = VideoReport() if report is None else report
    infrared = iter(ir)
    before: Frame | None = None
    after = next(infrared, None)
    used_before = True
    for frame in vis:
        while after is not None and after.time <= frame.time:
            report.unpaired += not used_before
            before, after, used_before = after, next(infrared, None), False
        near = min(
            (each for each in (before, after) if each is not None),
            key=lambda each: abs(each.time - frame.time),
            default=None,
        )
        if near is None or abs(near.time - frame.time) > tolerance + 1e-9:
            report.unpaired += 1
            continue
        used_before = used_before or near is before
        if near is after:
            report.unpaired += not used_before
            before, after, used_before = after, next(infrared, None), True
        yield near, frame


def split_side_by_side(
    frames: Iterable[Frame], infrared_first: bool = True, vertical: bool = False
) -> tuple[Iterator[Frame], Iterator[Frame]]:
    """The two halves of a stream that has both images side by side.

    Args:
        frames: The stream.
        infrared_first: Whether the infrared image is left (or above). Default True.
        vertical: Whether the images stand one above the other. Default False.

    Returns:
        Infrared and visible frames, to be read in step.
    """
    waiting: tuple[list[Frame], list[Frame]] = ([], [])
    source = iter(frames)

    def half(which: int) -> Iterator[Frame]:
        while True:
            if not waiting[which]:
                frame = next(source, None)
                if frame is None:
                    return
                for part, place in zip(_halves(frame, vertical), waiting):
                    place.append(part)
            yield waiting[which].pop(0)

    first, second = half(0), half(1)
    return (first, second) if infrared_first else (second, first)


def _halves(frame: Frame, vertical: bool) -> tuple[Frame, Frame]:
    if isinstance(frame.pixels, str):
        raise InputError('single images are not split; give a video with both images')
    middle = frame.pixels.shape[0 if vertical else 1] // 2
    if vertical:
        parts = frame.pixels[:middle], frame.pixels[middle : 2 * middle]
    else:
        parts = frame.pixels[:, :middle], frame.pixels[:, middle : 2 * middle]
    return Frame(frame.time, parts[0]), Frame(frame.time, parts[1])


class _Prefetch:
    """Runs an iterator in a thread, a few items ahead."""

    _END = object()

    def __init__(self, source: Iterator, drop: bool, report: VideoReport) -> None:
        self._source, self._drop, self._report = source, drop, report
        self._items: queue.Queue = queue.Queue(_QUEUE)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Prefetch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def __iter__(self) -> Iterator:
        while True:
            item = self._items.get()
            if item is self._END:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        try:
            for item in self._source:
                if not self._put(item, self._drop):
                    return
        except BaseException as error:  # noqa: BLE001  (raised where the items are read)
            self._put(error, drop=False)
        self._put(self._END, drop=False)

    def _put(self, item: object, drop: bool) -> bool:
        while not self._stopped.is_set():
            try:
                self._items.put(item, timeout=0.1)
                return True
            except queue.Full:
                if drop:
                    self._discard_oldest()
        return False

    def _discard_oldest(self) -> None:
        try:
            self._items.get_nowait()
        except queue.Empty:
            return
        self._report.dropped += 1

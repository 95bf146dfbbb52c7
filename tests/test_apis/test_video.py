"""Fused videos: pairs in time, steady where nothing moves, crisp where something does."""

from __future__ import annotations

import threading
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.apis.video import (
    SteadyFilter,
    VideoReport,
    fuse_video,
    match_frames,
    split_side_by_side,
)
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.evaluation import temporal_difference
from mmsgdfuse.io.video import Frame
from mmsgdfuse.utils.errors import InputError


class Average:
    """Stands for a model: the mean of the two frames, with noise of its own."""

    def __init__(self, noise: float = 0.0) -> None:
        self.rng, self.noise, self.calls = np.random.default_rng(0), noise, 0

    def __call__(self, ir, vis):
        self.calls += 1
        mean = (ir.astype(float) + vis) / 2 + self.noise * self.rng.standard_normal(vis.shape)
        fused = np.clip(np.rint(mean), 0, 255).astype(np.uint8)
        return SimpleNamespace(fused=fused, ir=ir[..., :1], vis=vis)


def frames(count: int, fps: float, shift: float = 0.0, value: int = 80) -> list[Frame]:
    still = np.full((32, 40, 3), value, np.uint8)
    return [Frame(index / fps + shift, still) for index in range(count)]


def times(pairs) -> list[tuple[float, float]]:
    return [(round(ir.time, 3), round(vis.time, 3)) for ir, vis in pairs]


def test_frames_of_equal_rate_pair_in_order():
    report = VideoReport()
    pairs = times(match_frames(frames(5, 10), frames(5, 10, 0.01), 0.02, report))
    assert pairs == [(i / 10, round(i / 10 + 0.01, 3)) for i in range(5)]
    assert report.unpaired == 0


def test_unequal_rates_and_lost_frames_are_counted():
    report = VideoReport()
    pairs = times(match_frames(frames(3, 10), frames(9, 30), 0.001, report))
    assert pairs == [(0.0, 0.0), (0.1, 0.1), (0.2, 0.2)]
    assert report.unpaired == 6
    report = VideoReport()
    infrared = frames(6, 10)
    del infrared[2]
    pairs = times(match_frames(infrared, frames(6, 10), 0.02, report))
    assert [visible for _, visible in pairs] == [0.0, 0.1, 0.3, 0.4, 0.5]
    assert report.unpaired == 1
    # one infrared frame may serve two visible ones
    assert len(times(match_frames(frames(2, 10), frames(4, 20), 0.06))) == 4


def test_noise_is_averaged_where_nothing_changes():
    still = [Frame(i / 30, synthetic_scene(0, (64, 80)).vis) for i in range(12)]
    plain, steady = (
        [f.fused for f in fuse_video(still, still, Average(4), steady=SteadyFilter(strength))]
        for strength in (0.0, 0.7)
    )
    vis = [frame.pixels for frame in still]
    assert temporal_difference(steady, vis) < 0.6 * temporal_difference(plain, vis)


def test_what_moves_leaves_no_trail():
    moving = []
    for index in range(10):
        image = np.full((64, 120, 3), 60, np.uint8)
        image[24:40, 10 + 8 * index : 22 + 8 * index] = 220
        moving.append(Frame(index / 30, image))
    steadied = [frame.fused for frame in fuse_video(moving, moving, Average())]
    for frame, fused in zip(moving, steadied):
        np.testing.assert_allclose(fused.astype(int), frame.pixels, atol=1)


def test_the_shipped_student_is_the_default(monkeypatch):
    scene = synthetic_scene(1, (48, 64))
    infrared = [Frame(0.0, scene.ir), Frame(0.1, scene.ir)]
    visible = [Frame(0.0, scene.vis), Frame(0.1, scene.vis)]
    found = list(fuse_video(infrared, visible))
    expected = FusionInferencer(mode='student', device='cpu')(scene.ir, scene.vis).fused
    np.testing.assert_array_equal(found[0].fused, expected)
    assert [frame.time for frame in found] == [0.0, 0.1]


def test_a_pair_that_cannot_be_fused_is_counted(tiny_weights):
    model = FusionInferencer(weights=tiny_weights, device='cpu', masks=dict(type='DropMask'))
    good = synthetic_scene(1, (48, 64))
    small = np.zeros((20, 20, 3), np.uint8)
    visible = [Frame(i / 10, p) for i, p in enumerate((good.vis, small, good.vis))]
    infrared = [Frame(i / 10, p) for i, p in enumerate((good.ir, small[..., 0], good.ir))]
    report = VideoReport()
    assert len(list(fuse_video(infrared, visible, model, report=report))) == 2
    assert report.failures == 1
    assert '32 pixels or more' in report.failed[0]
    assert '1 not fused' in str(report)


def test_five_thousand_frames_take_no_more_memory_than_few():
    still = np.full((32, 40, 3), 80, np.uint8)

    def endless(count):
        return (Frame(index / 30, still.copy()) for index in range(count))

    report = VideoReport()
    video = fuse_video(endless(5000), endless(5000), Average(), report=report)
    tracemalloc.start()
    try:
        for _ in range(200):
            next(video)
        before = tracemalloc.get_traced_memory()[0]
        assert sum(1 for _ in video) == 4800
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 1e6
    assert report.fused == 5000
    assert len(report.latencies) == 1000


def test_live_pairs_are_dropped_and_others_wait():
    arrived = threading.Event()

    def live():
        yield from frames(60, 30)
        arrived.set()

    report = VideoReport()
    video = fuse_video(live(), frames(60, 30), Average(), drop=True, report=report)
    next(video)
    assert arrived.wait(30)  # the camera does not wait for us
    rest = list(video)
    assert report.dropped > 0
    assert report.dropped + len(rest) + 1 == 60
    waiting = VideoReport()
    assert len(list(fuse_video(frames(60, 30), frames(60, 30), Average(), report=waiting))) == 60
    assert waiting.dropped == 0


def test_a_source_that_fails_is_raised_where_frames_are_read():
    def broken():
        yield from frames(2, 30)
        raise InputError('camera: went away')

    video = fuse_video(broken(), frames(5, 30), Average())
    with pytest.raises(InputError, match='went away'):
        list(video)


@pytest.mark.parametrize('vertical', [False, True])
def test_side_by_side(vertical):
    both = np.zeros((40, 64, 3), np.uint8)
    both[20:] = 9 * vertical
    both[:, 32:] += np.uint8(9 * (not vertical))
    stream = [Frame(float(i), both) for i in range(3)]
    ir, vis = split_side_by_side(stream, vertical=vertical)
    pairs = list(zip(ir, vis))
    assert len(pairs) == 3
    assert pairs[0][0].pixels.max() == 0
    assert pairs[0][1].pixels.min() == 9
    swapped, _ = split_side_by_side(stream, infrared_first=False, vertical=vertical)
    assert next(swapped).pixels.min() == 9


@pytest.mark.parametrize('make', [lambda: SteadyFilter(1.0), lambda: SteadyFilter(scale=0)])
def test_bad_filters(make):
    with pytest.raises(InputError, match='strength'):
        make()
    with pytest.raises(InputError, match='tolerance'):
        next(fuse_video([], [], Average(), tolerance=-1))

"""The temporal metric: known motion, known flicker, and how folders of frames are scored."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from mmsgdfuse.evaluation.folders import EvaluationError
from mmsgdfuse.evaluation.functional import (
    FlowAlignment,
    fusion_metrics,
    resolve_names,
    temporal_difference,
    temporal_differences,
)
from mmsgdfuse.evaluation.metrics import FusionMetric
from mmsgdfuse.evaluation.scoring import score_folders
from mmsgdfuse.utils.errors import InputError


def moving(frames: int, step: int = 2, size: int = 96) -> list[np.ndarray]:
    """Frames of a smooth random texture that moves to the left by whole pixels."""
    wide = np.random.default_rng(3).uniform(0, 255, (size, size + step * frames))
    wide = cv2.GaussianBlur(wide, (0, 0), 3)
    wide = cv2.normalize(wide, None, 20, 220, cv2.NORM_MINMAX).astype(np.uint8)
    return [wide[:, step * i : step * i + size].copy() for i in range(frames)]


@pytest.fixture
def video() -> list[np.ndarray]:
    return moving(4)


def test_motion_alone_is_no_change(video):
    unaligned = np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(video, video[1:])])
    assert temporal_difference(video, video) < 0.1 * unaligned


def test_flicker_is_its_size(video):
    brighter = [frame + np.uint8(6 * (index % 2)) for index, frame in enumerate(video)]
    assert temporal_difference(brighter, video) == pytest.approx(6, abs=0.2)
    values = list(temporal_differences(brighter, video))
    assert len(values) == 3
    assert temporal_difference(brighter, video) == pytest.approx(np.mean(values))


def test_the_difference_is_of_the_moved_frame(video):
    aligned = FlowAlignment(video[0], video[1])
    assert aligned.valid.mean() > 0.9
    # whole pixels to the left: what was two columns to the right is here now
    noise = np.random.default_rng(5).integers(0, 256, (2, *video[0].shape), dtype=np.uint8)
    inner = np.s_[12:-12, 12:-12]
    aligned.valid[:] = False
    aligned.valid[inner] = True
    moved = np.roll(noise[0], -2, axis=1)
    expected = np.abs(noise[1].astype(float) - moved)[inner].mean()
    assert aligned.difference(*noise) == pytest.approx(expected, rel=0.03)


def test_what_comes_into_view_does_not_count(video):
    hidden = [frame.copy() for frame in video]
    hidden[1][30:60, 30:60] = 255 - hidden[1][30:60, 30:60] // 2
    valid = FlowAlignment(hidden[0], hidden[1]).valid
    assert valid[30:60, 30:60].mean() < 0.7 < valid[:20].mean()


def test_colour_counts_by_its_luma(video):
    colour = [np.stack([frame] * 3, axis=-1) for frame in video]
    assert temporal_difference(colour, colour) == temporal_difference(video, video)


def test_streams_are_read_as_they_come(video):
    def stream():
        yield from video[:2]
        raise AssertionError('the third frame was asked for before the second value was taken')

    assert next(temporal_differences(stream(), stream())) < 1


def test_bad_sequences_are_refused(video):
    with pytest.raises(ValueError, match='differ in size'):
        temporal_difference([video[0], video[1][:50]], video[:2])
    with pytest.raises(ValueError, match='differ in size'):
        FlowAlignment(video[0], video[1][:50])
    with pytest.raises(ValueError, match='zip'):
        temporal_difference(video[:2], video[:3])
    with pytest.raises(ValueError, match='16 pixels'):
        FlowAlignment(video[0][:8], video[1][:8])
    with pytest.raises(TypeError, match='uint8'):
        FlowAlignment(video[0] / 255, video[1])
    assert math.isnan(temporal_difference(video[:1], video[:1]))


@pytest.fixture
def frames(tmp_path, video):
    """Folders of a video, its infrared frames, and a method that flickers."""
    for name in ('ir', 'vi', 'fused'):
        (tmp_path / name).mkdir()
    for index, frame in enumerate(video):
        name = f'{index:03}.png'
        cv2.imwrite(str(tmp_path / 'ir' / name), np.full_like(frame, 100))
        cv2.imwrite(str(tmp_path / 'vi' / name), frame)
        cv2.imwrite(str(tmp_path / 'fused' / name), frame + np.uint8(10 * (index % 2)))
    return tmp_path


def test_folders_of_frames(frames):
    folders = frames / 'ir', frames / 'vi', {'flickering': frames / 'fused'}
    scores = score_folders(*folders, ['TD', 'EN'], workers=0)
    assert scores.metrics == ('TD', 'EN')
    assert scores.summary('flickering', 'TD').count == 3
    assert scores.summary('flickering', 'TD').mean == pytest.approx(10, abs=0.3)
    assert scores.summary('infrared', 'TD').mean == 0
    assert scores.summary('visible', 'TD').mean < 1
    assert np.isnan(scores.of('visible', 'TD')[0])


def test_a_gap_is_told(frames):
    (frames / 'fused' / '002.png').unlink()
    folders = frames / 'ir', frames / 'vi', {'flickering': frames / 'fused'}
    scores = score_folders(*folders, ['TD'], workers=0, keep_going=True)
    assert scores.summary('flickering', 'TD').count == 2
    assert any('gap' in note for note in scores.notes)


def test_frames_of_two_sizes_are_refused(frames, video):
    for name in ('ir', 'vi', 'fused'):
        cv2.imwrite(str(frames / name / '002.png'), video[2][:60])
    with pytest.raises(EvaluationError, match=r'002\.png: frames .* differ in size'):
        score_folders(frames / 'ir', frames / 'vi', {'m': frames / 'fused'}, ['TD'], workers=0)


def test_one_image_has_no_temporal_difference(video):
    with pytest.raises(InputError, match='sequence of frames'):
        fusion_metrics(video[0], video[0], video[0], ['TD'])
    with pytest.raises(InputError, match='sequence of frames'):
        FusionMetric(names=['TD'])
    assert 'TD' not in resolve_names(None)

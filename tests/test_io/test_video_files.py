"""Video files, sequences and pipes in and out, whole also when they are cut off."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mmsgdfuse.io.images import read_image, write_image
from mmsgdfuse.io.video import VideoError, frame_rate, open_writer, read_frames
from mmsgdfuse.utils.errors import InputError, MissingPackageError

PyAV = pytest.importorskip('av')


def picture(index: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    image = np.full((*size, 3), 60, np.uint8)
    image[8:24, 4 + 2 * index : 20 + 2 * index] = (200, 120, 40)
    return image


def write_video(path, count=10, fps=25.0):
    writer = open_writer(path, fps)
    for index in range(count):
        writer.write(picture(index), index / fps)
    writer.close()


@pytest.mark.parametrize('suffix', ['.mp4', '.mkv', '.mov', '.webm'])
def test_a_video_comes_back(tmp_path, suffix):
    path = tmp_path / f'out{suffix}'
    write_video(path)
    frames = list(read_frames(path))
    assert len(frames) == 10
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(10) / 25, atol=2e-3)
    assert frames[3].pixels.shape == (48, 64, 3)
    assert np.abs(frames[3].pixels.astype(int) - picture(3)).mean() < 4
    assert frame_rate(path) == pytest.approx(25, rel=0.15)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_video_is_there_only_when_it_is_whole(tmp_path):
    path = tmp_path / 'out.mp4'
    writer = open_writer(path, 25)
    writer.write(picture(0), 0)
    assert not path.exists()
    writer.close()  # as after Ctrl-C
    assert len(list(read_frames(path))) == 1
    empty = open_writer(tmp_path / 'none.mp4', 25)
    with pytest.raises(VideoError, match='no frame'):
        empty.close()
    assert [p.name for p in tmp_path.iterdir()] == ['out.mp4']


def test_one_video_has_one_size_and_odd_sides_lose_a_row(tmp_path):
    writer = open_writer(tmp_path / 'out.mkv', 25)
    writer.write(picture(0, (49, 65)), 0)
    with pytest.raises(VideoError, match='one video has one size'):
        writer.write(picture(0), 0.04)
    writer.close()
    assert next(read_frames(tmp_path / 'out.mkv')).pixels.shape == (48, 64, 3)


def test_sequences_of_images(tmp_path):
    writer = open_writer(tmp_path / 'frames', 25)
    for index in range(3):
        writer.write(picture(index), index / 25)
    writer.close()
    for source in (tmp_path / 'frames', tmp_path / 'frames' / '*.png'):
        frames = list(read_frames(source, fps=10))
        assert [frame.time for frame in frames] == [0, 0.1, 0.2]
        np.testing.assert_array_equal(read_image(frames[2].pixels), picture(2))
        assert frame_rate(source) is None


def test_raw_frames_on_standard_output(monkeypatch):
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', SimpleNamespace(buffer=pipe))
    writer = open_writer('-', 25)
    writer.write(picture(1), 0)
    writer.close()
    assert pipe.getvalue() == picture(1).tobytes()


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty').mkdir()
    for source, message in (
        ('text.mp4', 'text.mp4: cannot be read'),
        ('nowhere.mp4', 'no such file'),
        ('empty', 'holds no images'),
    ):
        with pytest.raises(VideoError, match=message):
            list(read_frames(tmp_path / source))
    write_image(tmp_path / 'one' / 'a.png', picture(0))
    with pytest.raises(InputError, match='fps'):
        list(read_frames(tmp_path / 'one', fps=0))
    with pytest.raises(InputError, match=r'\.gif is no format of videos'):
        open_writer(tmp_path / 'out.gif', 25)


def test_a_stream_that_ends_is_opened_again(tmp_path, monkeypatch):
    monkeypatch.setattr('mmsgdfuse.io.video._RECONNECT_PAUSE', 0)
    write_video(tmp_path / 'live.mp4', 4)
    frames = list(read_frames(tmp_path / 'live.mp4', reconnects=2))
    assert len(frames) == 12
    assert all(a.time <= b.time + 0.2 for a, b in zip(frames, frames[1:]))


def test_the_package_is_named_where_it_is_missing(tmp_path, monkeypatch):
    write_video(tmp_path / 'a.mp4', 1)
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(MissingPackageError, match=r'mmsgdfuse\[video\]'):
        list(read_frames(tmp_path / 'a.mp4'))

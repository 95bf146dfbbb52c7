"""`mmsgdfuse video` from two videos to one."""

from __future__ import annotations

import numpy as np
import pytest

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.cli import video
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.io.video import open_writer, read_frames

pytest.importorskip('av')


@pytest.fixture
def videos(tmp_path):
    scene = synthetic_scene(1, (64, 80))
    heat = scene.ir.reshape(64, 80, 1).repeat(3, axis=2)
    for name, image in dict(ir=heat, vis=scene.vis, both=np.hstack([scene.vis, heat])).items():
        writer = open_writer(tmp_path / f'{name}.mkv', 20)
        for index in range(5):
            writer.write(image, index / 20)
        writer.close()
    return tmp_path


def test_two_videos_and_one_with_both(videos, capsys):
    out = videos / 'fused.mp4'
    arguments = [str(videos / 'ir.mkv'), str(videos / 'vis.mkv'), '-o', str(out), '--device', 'cpu']
    assert video.main(arguments) == 0
    assert '5 frames' in capsys.readouterr().err
    fused = [frame.pixels for frame in read_frames(out)]
    assert len(fused) == 5
    assert fused[0].shape == (64, 80, 3)
    assert video.main(arguments) == 2
    assert '--overwrite' in capsys.readouterr().err
    both = videos / 'both'
    code = video.main([
        str(videos / 'both.mkv'), '--side-by-side', 'ir-right', '-o', str(both), '--device', 'cpu',
    ])  # fmt: skip
    assert code == 0
    assert len(list(both.iterdir())) == 5


def test_ctrl_c_leaves_a_video_that_can_be_played(videos, monkeypatch, capsys):
    calls = []

    def interrupted(self, ir, vis):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, ir, vis)

    original = FusionInferencer.__call__
    monkeypatch.setattr(FusionInferencer, '__call__', interrupted)
    out = videos / 'fused.mp4'
    arguments = [str(videos / 'ir.mkv'), str(videos / 'vis.mkv'), '-o', str(out), '--device', 'cpu']
    assert video.main(arguments) == 130
    assert len(list(read_frames(out))) == 3


def test_what_is_wrong_is_told_before_the_model_is_loaded(videos, monkeypatch, capsys):
    monkeypatch.setattr(FusionInferencer, '__init__', lambda *_, **__: pytest.fail('was loaded'))
    out = str(videos / 'x.mp4')
    assert video.main([str(videos / 'none.mp4'), str(videos / 'no.mp4'), '-o', out]) == 2
    assert 'no such file' in capsys.readouterr().err
    for arguments in (['a.mp4', '-o', out], ['a', 'b', '--side-by-side', 'ir-left', '-o', out]):
        with pytest.raises(SystemExit):
            video.main(arguments)

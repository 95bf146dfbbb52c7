"""Checkpoints: atomic writing, and finding the one to go on from."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
from io import BytesIO
from pathlib import Path

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.logging import HistoryBuffer

from mmsgdfuse.engine import AtomicLocalBackend, checkpoints, epoch_checkpoints, latest_checkpoint


def die(*args, **kwargs) -> None:
    """End this process without cleaning up."""
    os.kill(os.getpid(), signal.SIGKILL)


def write_and_die(target: Path, moment: str) -> None:
    """Write a checkpoint, up to half its content or up to its final name."""

    def write_half(path, content):
        with path.open('wb') as stream:
            stream.write(content[: len(content) // 2])
            stream.flush()
            die()

    if moment == 'half':
        Path.write_bytes = write_half  # of a process that dies
    else:
        os.replace = die
    AtomicLocalBackend().put(b'weights' * 1000, target)


def save(path, epoch: int, **content) -> None:
    torch.save(dict(meta=dict(epoch=epoch), state_dict={}, **content), path)


class TestAtomicLocalBackend:
    def test_is_what_mmengine_takes_for_the_name(self):
        backend = get_file_backend(backend_args=dict(backend='mmsgdfuse_atomic'))
        assert isinstance(backend, AtomicLocalBackend)

    @pytest.mark.parametrize('content', [b'weights', BytesIO(b'weights')])
    def test_writes_and_leaves_nothing_else(self, tmp_path, content):
        target = tmp_path / 'new' / 'epoch_1.pth'
        AtomicLocalBackend().put(content, str(target))
        assert target.read_bytes() == b'weights'
        assert list(target.parent.iterdir()) == [target]

    def test_replaces(self, tmp_path):
        target = tmp_path / 'epoch_1.pth'
        target.write_bytes(b'a longer file that was there before')
        AtomicLocalBackend().put(b'new', target)
        assert target.read_bytes() == b'new'

    @pytest.mark.parametrize('failure', [KeyboardInterrupt, OSError])
    def test_interrupted_it_leaves_the_file_before(self, tmp_path, monkeypatch, failure):
        target = tmp_path / 'epoch_1.pth'
        target.write_bytes(b'before')

        def interrupted(*args):
            raise failure

        monkeypatch.setattr(checkpoints.os, 'fsync', interrupted)
        with pytest.raises(failure):
            AtomicLocalBackend().put(b'after', target)
        assert target.read_bytes() == b'before'
        assert list(tmp_path.iterdir()) == [target]

    def test_never_shows_half_a_file(self, tmp_path, monkeypatch):
        """What a kill leaves at any moment before the renaming is not taken for a checkpoint."""
        seen = []
        monkeypatch.setattr(
            checkpoints.os, 'fsync', lambda handle: seen.append(epoch_checkpoints(tmp_path))
        )
        target = tmp_path / 'epoch_1.pth'
        AtomicLocalBackend().put(b'weights', target)
        # first the content is flushed, then, where folders can be, the name
        assert seen[0] == []
        assert seen[1:] == ([] if os.name == 'nt' else [[target]])

    def test_flushes_the_whole_content_before_the_name(self, tmp_path, monkeypatch):
        flushed = []

        def fsync(handle):
            status = os.fstat(handle)
            flushed.append((stat.S_ISDIR(status.st_mode), status.st_ino, status.st_size))

        monkeypatch.setattr(checkpoints.os, 'fsync', fsync)
        target = tmp_path / 'epoch_1.pth'
        AtomicLocalBackend().put(b'weights', target)
        assert flushed[0] == (False, target.stat().st_ino, len(b'weights'))
        assert [entry[:2] for entry in flushed[1:]] == (
            [] if os.name == 'nt' else [(True, tmp_path.stat().st_ino)]
        )

    @pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs a process to kill')
    @pytest.mark.parametrize('moment', ['half', 'unnamed'])
    def test_a_writer_killed_on_the_way_leaves_the_checkpoint_before(self, tmp_path, moment):
        """At half the content, and with all of it but without its final name."""
        save(tmp_path / 'epoch_1.pth', 1)
        writer = multiprocessing.get_context('fork').Process(
            target=write_and_die, args=(tmp_path / 'epoch_2.pth', moment)
        )
        writer.start()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        (left,) = set(tmp_path.iterdir()) - {tmp_path / 'epoch_1.pth'}
        assert left.stat().st_size == (3500 if moment == 'half' else 7000)
        assert latest_checkpoint(tmp_path) == (tmp_path / 'epoch_1.pth', 1)

    @pytest.mark.skipif(os.name == 'nt', reason='permissions of POSIX')
    def test_others_may_read_what_the_umask_lets_them(self, tmp_path):
        plain, target = tmp_path / 'plain', tmp_path / 'epoch_1.pth'
        plain.write_bytes(b'')
        AtomicLocalBackend().put(b'weights', target)
        assert target.stat().st_mode == plain.stat().st_mode


class TestEpochCheckpoints:
    def test_newest_first_by_number(self, tmp_path):
        for name in ('epoch_9', 'epoch_10', 'epoch_1', 'best_epoch_30', 'epoch_x', 'iter_50'):
            (tmp_path / f'{name}.pth').touch()
        (tmp_path / 'epoch_11.pth.tmp').touch()
        names = [path.name for path in epoch_checkpoints(tmp_path)]
        assert names == ['epoch_10.pth', 'epoch_9.pth', 'epoch_1.pth']

    def test_none_in_an_absent_folder(self, tmp_path):
        assert epoch_checkpoints(tmp_path / 'absent') == []


class TestLatestCheckpoint:
    def test_path_and_finished_epochs(self, tmp_path):
        save(tmp_path / 'epoch_1.pth', 1)
        save(tmp_path / 'epoch_2.pth', 2)
        assert latest_checkpoint(tmp_path) == (tmp_path / 'epoch_2.pth', 2)

    def test_none(self, tmp_path):
        assert latest_checkpoint(tmp_path) is None

    @pytest.mark.parametrize('damage', ['empty', 'truncated', 'rubbish', 'no_meta'])
    def test_a_broken_one_is_reported_and_passed_over(self, tmp_path, monkeypatch, damage):
        save(tmp_path / 'epoch_1.pth', 1, weights=torch.zeros(100))
        broken = tmp_path / 'epoch_2.pth'
        save(broken, 2, weights=torch.zeros(100))
        if damage == 'no_meta':
            torch.save(dict(state_dict={}), broken)
        else:
            whole = broken.read_bytes()
            broken.write_bytes(
                dict(empty=b'', truncated=whole[: len(whole) // 2], rubbish=b'x' * 999)[damage]
            )
        logged = []
        monkeypatch.setattr(checkpoints, 'print_log', lambda message, *_: logged.append(message))
        assert latest_checkpoint(tmp_path) == (tmp_path / 'epoch_1.pth', 1)
        assert len(logged) == 1
        assert logged[0].startswith(f'{broken} cannot be read and is passed over')

    def test_what_could_run_code_is_passed_over(self, tmp_path):
        class Bomb:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / 'exploded'),)

        save(tmp_path / 'epoch_1.pth', 1, extra=Bomb())
        assert latest_checkpoint(tmp_path) is None
        assert not (tmp_path / 'exploded').exists()

    def test_reads_what_mmengine_keeps_in_its_checkpoints(self, tmp_path):
        losses = HistoryBuffer([0.5, 0.25], [1, 1])
        save(tmp_path / 'epoch_3.pth', 3, message_hub=dict(log_scalars=dict(loss=losses)))
        assert latest_checkpoint(tmp_path) == (tmp_path / 'epoch_3.pth', 3)

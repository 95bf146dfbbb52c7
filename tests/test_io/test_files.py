from __future__ import annotations

import os
import time

import pytest

from mmsgdfuse.io.files import atomic_path, remove_leftovers, write_text


def write_half(path):
    with atomic_path(path) as temporary:
        temporary.write_text('ne')
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ('write', 'error'),
    [
        (write_half, KeyboardInterrupt),
        (lambda path: write_text(path, '\ud800'), UnicodeEncodeError),
    ],
)
def test_a_failed_write_leaves_the_old_file(tmp_path, write, error):
    path = tmp_path / 'new' / 'table.md'
    write_text(path, 'old')
    with pytest.raises(error):
        write(path)
    assert path.read_text() == 'old'
    assert os.listdir(path.parent) == ['table.md']


def test_leftovers_of_killed_writers_are_deleted_once_they_are_old(tmp_path):
    assert remove_leftovers(tmp_path / 'none') == 0
    path = tmp_path / 'mask.png'
    leftovers = []
    for age in (0, 7200):
        # as when the process ends without a word: nothing tidies up
        with pytest.raises(StopIteration), atomic_path(path) as leftover:
            raise StopIteration
        leftover.write_bytes(b'half a file')
        os.utime(leftover, (time.time() - age,) * 2)
        leftovers.append(leftover)
    others = [path, tmp_path / '.gitignore']
    for other in others:
        write_text(other, '*')
        os.utime(other, (0, 0))
    assert remove_leftovers(tmp_path) == 1
    assert [leftover.exists() for leftover in leftovers] == [True, False]
    assert all(other.exists() for other in others)

from __future__ import annotations

import os

import pytest

from mmsgdfuse.utils.files import atomic_path, write_text


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

from __future__ import annotations

import pytest

from mmsgdfuse.apis.sources import find_sources


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Makes empty files below the current folder; matching looks at names only."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make


def listed(pairs):
    return [(name, ir.as_posix(), vis.as_posix()) for name, ir, vis in pairs]


def test_two_files_are_a_pair_whatever_their_names(files):
    files('a/hot.png', 'b/street.jpg')
    pairs, faults = find_sources('a/hot.png', 'b/street.jpg')
    assert listed(pairs) == [('street', 'a/hot.png', 'b/street.jpg')]
    assert faults == []


def test_a_missing_file_is_left_to_whoever_reads_it(files):
    pairs, _ = find_sources('none.png', 'b/none.png')
    assert len(pairs) == 1


def test_a_file_with_brackets_in_its_name_is_no_glob(files):
    files('a[1].png', 'b[1].png')
    pairs, _ = find_sources('a[1].png', 'b[1].png')
    assert listed(pairs) == [('b[1]', 'a[1].png', 'b[1].png')]


def test_folders_are_matched_by_name(files):
    files('ir/2.png', 'ir/1.png', 'ir/3.png', 'vi/1.jpg', 'vi/2.PNG', 'vi/notes.txt')
    pairs, faults = find_sources('ir', 'vi')
    assert listed(pairs) == [('1', 'ir/1.png', 'vi/1.jpg'), ('2', 'ir/2.png', 'vi/2.PNG')]
    assert len(faults) == 1
    assert 'ir/3.png' in faults[0]


@pytest.mark.parametrize(
    ('names', 'globs', 'expected'),
    [
        (
            ['ir/0_1.png', 'vi/0_1.jpg', 'vi/1_1.jpg'],
            ('ir/0*.png', 'vi/*.jpg'),
            [('0_1', 'ir/0_1.png', 'vi/0_1.jpg')],
        ),
        (
            ['a_ir.png', 'a_vis.jpg', 'b_ir.bmp', 'b_vis.jpeg'],
            ('*_ir.*', '*_vis.jp*'),
            [('a', 'a_ir.png', 'a_vis.jpg'), ('b', 'b_ir.bmp', 'b_vis.jpeg')],
        ),
        (
            ['b_ir.png', 'b_vis.jpg', 'a_ir.png', 'a_vis.jpg'],
            ('*_ir.png', './*_vis.jpg'),
            [('a', 'a_ir.png', 'a_vis.jpg'), ('b', 'b_ir.png', 'b_vis.jpg')],
        ),
        (
            ['one/ir_5.png', 'one/vis_5.png', 'two/ir_5.png', 'two/vis_5.png'],
            ('*/ir_?.png', '*/vis_?.png'),
            [
                ('one_5', 'one/ir_5.png', 'one/vis_5.png'),
                ('two_5', 'two/ir_5.png', 'two/vis_5.png'),
            ],
        ),
        (
            ['x/y/t1.png', 'x/y/v1.png', 't2.png', 'v2.png'],
            ('**/t[0-9].png', '**/v[!a-z].png'),
            [('2', 't2.png', 'v2.png'), ('x_y_1', 'x/y/t1.png', 'x/y/v1.png')],
        ),
    ],
)
def test_globs_are_matched_by_name_or_else_by_wildcard(files, names, globs, expected):
    files(*names)
    pairs, faults = find_sources(*globs)
    assert listed(pairs) == expected
    assert len(faults) == (len(names) - 2 * len(expected))


def test_every_file_without_partner_is_reported(files):
    files('a_ir.png', 'a_vis.png', 'b_ir.png', 'c_vis.png')
    pairs, faults = find_sources('*_ir.png', '*_vis.png')
    assert [pair.name for pair in pairs] == ['a']
    assert len(faults) == 2
    assert faults[0].startswith('b_ir.png: no vis image in *_vis.png')
    assert faults[1].startswith('c_vis.png: no ir image in *_ir.png')


def test_two_files_of_one_name_are_not_mixed_up(files):
    files('day/1.png', 'night/1.png', 'vis/1.png')
    pairs, faults = find_sources('[dn]*/*.png', 'vis/*.png')
    assert listed(pairs) == [('1', 'day/1.png', 'vis/1.png')]
    assert len(faults) == 1
    assert faults[0].startswith('night/1.png: day/1.png stands for the same ir image')


def test_a_glob_without_images(files):
    files('ir/1.txt', 'vi/1.png')
    assert find_sources('ir/*', 'vi/*') == ([], ['ir/*: matches no image'])


def test_kinds_are_not_mixed(files):
    files('ir/1.png', 'vi/1.png')
    with pytest.raises(ValueError, match=r'ir is a folder and vi/1\.png a file'):
        find_sources('ir', 'vi/1.png')

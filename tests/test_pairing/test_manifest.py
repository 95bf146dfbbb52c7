"""Lists of pairs, which may come from others."""

from __future__ import annotations

import json

import pytest

from mmsgdfuse.pairing import plan_pairs
from mmsgdfuse.utils.errors import InputError


@pytest.fixture
def images(tmp_path):
    for name in ('hot/a.png', 'hot/b.png', 'day/x.jpg', 'day/y.jpg'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'')
    return tmp_path


def plan_of(root, text, name='pairs.csv', **folders):
    (root / name).write_text(text, encoding='utf-8')
    return plan_pairs(**folders, pairing=str(root / name))


def test_csv(images):
    plan = plan_of(
        images, '\ufeffvis, ir,name\nday/y.jpg,hot/a.png,\nday/x.jpg,hot/b.png,two.png\n'
    )
    assert [(p.name, p.ir.name, p.vis.name) for p in plan.pairs] == [
        ('y', 'a.png', 'y.jpg'),
        ('two', 'b.png', 'x.jpg'),
    ]
    assert plan.faults == ()


def test_json_lines(images):
    lines = [dict(ir='a.png', vis='x.jpg'), dict(ir='b.png', vis='y.jpg', name='n')]
    text = '\n'.join(map(json.dumps, lines)) + '\n\n'
    plan = plan_of(images, text, 'p.jsonl', ir=images / 'hot', vis=images / 'day')
    assert [pair.name for pair in plan.pairs] == ['x', 'n']


@pytest.mark.parametrize(
    'name',
    ['../evil', '/evil', 'a/b', 'a\\b', '..', '.hidden', 'C:evil', 'a\u0000b', 'a\nb', 'x' * 300],
)
def test_names_cannot_leave_the_output_folder(images, name):
    line = json.dumps(dict(ir='hot/a.png', vis='day/x.jpg', name=name))
    plan = plan_of(images, line, 'p.jsonl')
    assert plan.pairs == ()
    assert 'p.jsonl:1: the name' in plan.faults[0]


def test_a_name_is_taken_once(images):
    text = 'ir,vis,name\nhot/a.png,day/x.jpg,n\nhot/b.png,day/y.jpg,n.png\n'
    plan = plan_of(images, text)
    assert [pair.vis.name for pair in plan.pairs] == ['x.jpg']
    assert 'pairs.csv:3: the name n is that of an earlier line' in plan.faults[0]


def test_files_that_cannot_be_a_pair(images):
    long = 'x' * 5000
    lines = (
        'ir,vis', 'hot/a.png,day/none.jpg', 'hot/a.png,hot/../hot/a.png', 'hot/b.png,day/y.jpg',
        f'hot/a.png,{long}.png',
    )  # fmt: skip
    text = '\n'.join(lines)
    plan = plan_of(images, text)
    assert [pair.name for pair in plan.pairs] == ['y']
    assert 'pairs.csv:2: ' in plan.faults[0]
    assert 'no such file' in plan.faults[0]
    assert 'is the infrared and the visible image' in plan.faults[1]
    assert len(plan.faults) == 3


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('p.csv', '', 'has no column ir'),
        ('p.csv', 'ir,visible\n', 'has no column vis'),
        ('p.csv', 'ir,vis\n', 'lists no pair'),
        ('p.csv', 'ir,vis\na.png\n', 'p.csv:2: vis must be a path'),
        ('p.csv', 'ir,vis\n"a.png,b.png\n', 'is no CSV'),
        ('p.jsonl', '[1]', 'p.jsonl:1: expected an object'),
        ('p.jsonl', '{"ir": "a"', 'p.jsonl:1: is no JSON'),
        ('p.jsonl', '[' * 100_000, 'p.jsonl:1: is no JSON'),
        ('p.jsonl', '{"ir": 1, "vis": "a"}', 'p.jsonl:1: ir must be a path'),
    ],
)
def test_lists_that_are_none(images, name, text, message):
    with pytest.raises(InputError, match=message):
        plan_of(images, text, name)


def test_text_that_is_not_utf8(images):
    (images / 'p.csv').write_bytes(b'ir,vis\n\xff,b\n')
    with pytest.raises(InputError, match='is not UTF-8'):
        plan_pairs(pairing=str(images / 'p.csv'))

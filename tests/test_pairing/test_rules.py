"""What each way of pairing takes for partners."""

from __future__ import annotations

import pytest

from mmsgdfuse.pairing import parse_pairing, plan_pairs
from mmsgdfuse.utils.errors import InputError


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')


def listed(plan, root):
    return [
        (p.name, p.ir.relative_to(root).as_posix(), p.vis.relative_to(root).as_posix())
        for p in plan.pairs
    ]


@pytest.fixture
def kaist(tmp_path):
    """Two scenes with the same frame names; one visible frame is missing."""
    scenes = 'set00/V000', 'set00/V001'
    make(
        tmp_path,
        *(f'{s}/{c}/I{i}.jpg' for s in scenes for c in ('lwir', 'visible') for i in (0, 1)),
    )
    (tmp_path / 'set00/V000/visible/I0.jpg').unlink()
    return tmp_path


EXPECTED_KAIST = [
    ('set00_V000_I1', 'set00/V000/lwir/I1.jpg', 'set00/V000/visible/I1.jpg'),
    ('set00_V001_I0', 'set00/V001/lwir/I0.jpg', 'set00/V001/visible/I0.jpg'),
    ('set00_V001_I1', 'set00/V001/lwir/I1.jpg', 'set00/V001/visible/I1.jpg'),
]


def test_globs_over_scenes_never_cross_them(kaist):
    plan = plan_pairs(f'{kaist}/*/*/lwir/*.jpg', f'{kaist}/*/*/visible/*.jpg')
    assert listed(plan, kaist) == EXPECTED_KAIST
    assert len(plan.faults) == 1
    assert plan.faults[0].startswith(f'{kaist}/set00/V000/lwir/I0.jpg: no vis image in')


def test_globs_over_scenes_without_any_common_frame(tmp_path):
    make(tmp_path, 'V000/lwir/I0.jpg', 'V001/visible/I0.jpg')
    plan = plan_pairs(f'{tmp_path}/*/lwir/*.jpg', f'{tmp_path}/*/visible/*.jpg')
    assert plan.pairs == ()
    assert len(plan.faults) == 2


def test_a_tree_by_patterns(kaist):
    plan = plan_pairs(kaist, kaist, '**/lwir/*:**/visible/*')
    assert listed(plan, kaist) == EXPECTED_KAIST
    assert len(plan.faults) == 1


def test_two_trees_by_path(tmp_path):
    make(tmp_path, 'ir/a/1.png', 'ir/b/1.png', 'ir/b/2.png', 'vi/a/1.jpg', 'vi/b/1.jpg')
    plan = plan_pairs(tmp_path / 'ir', tmp_path / 'vi', 'path')
    assert listed(plan, tmp_path) == [
        ('a_1', 'ir/a/1.png', 'vi/a/1.jpg'),
        ('b_1', 'ir/b/1.png', 'vi/b/1.jpg'),
    ]
    assert 'ir/b/2.png' in plan.faults[0]


def test_one_folder_with_both_cameras(tmp_path):
    make(
        tmp_path, *(f'FLIR_{i}_{kind}' for i in (2, 8) for kind in ('RGB.jpg', 'PreviewData.jpeg'))
    )
    plan = plan_pairs(tmp_path, tmp_path, '*_PreviewData:*_RGB')
    assert listed(plan, tmp_path) == [
        ('FLIR_2', 'FLIR_2_PreviewData.jpeg', 'FLIR_2_RGB.jpg'),
        ('FLIR_8', 'FLIR_8_PreviewData.jpeg', 'FLIR_8_RGB.jpg'),
    ]
    assert plan.faults == ()


@pytest.mark.parametrize('pairing', [None, 'name', 'path', 'time:1', '*:*'])
def test_one_folder_for_both_cameras_is_refused(tmp_path, pairing):
    make(tmp_path, 'a_20230512143015.png')
    with pytest.raises(InputError, match='given for both cameras'):
        plan_pairs(tmp_path, f'{tmp_path}/../{tmp_path.name}', pairing)


def test_a_file_given_twice_is_refused(tmp_path):
    make(tmp_path, 'a.png')
    with pytest.raises(InputError, match=r'a\.png: was given for both'):
        plan_pairs(tmp_path / 'a.png', tmp_path / 'a.png')


def test_patterns_that_both_fit_a_file_do_not_pair_it_with_itself(tmp_path):
    make(tmp_path, 'a_T_V.png')
    plan = plan_pairs(tmp_path, tmp_path, '*_T*:*_*V')
    # 'a_T_V' has other texts for each, or is its own partner: no pair either way
    assert plan.pairs == ()


def test_a_link_to_the_other_camera(tmp_path):
    make(tmp_path, 'ir/1.png', 'vi/2.png')
    (tmp_path / 'vi/1.png').symlink_to(tmp_path / 'ir/1.png')
    plan = plan_pairs(tmp_path / 'ir', tmp_path / 'vi')
    assert plan.pairs == ()
    assert any('is the infrared and the visible image of 1' in fault for fault in plan.faults)


def test_dangling_links_are_named(tmp_path):
    make(tmp_path, 'ir/1.png', 'vi/1.png')
    for camera in ('ir', 'vi'):
        (tmp_path / camera / '2.png').symlink_to('nowhere.png')
    plan = plan_pairs(tmp_path / 'ir', tmp_path / 'vi')
    assert len(plan.pairs) == 1
    assert [fault.split(':')[0] for fault in plan.faults] == [
        f'{tmp_path}/ir/2.png',
        f'{tmp_path}/vi/2.png',
    ]
    assert 'is a link to nowhere.png, which is not there' in plan.faults[0]


def test_results_of_one_name(tmp_path):
    make(tmp_path, *(f'{camera}/{name}' for camera in 'iv' for name in ('a/b_c.png', 'a_b/c.png')))
    plan = plan_pairs(tmp_path / 'i', tmp_path / 'v', 'path')
    assert [pair.name for pair in plan.pairs] == ['a_b_c']
    assert 'its result would be called a_b_c' in plan.faults[0]


def test_nearest_times(tmp_path):
    make(
        tmp_path,
        *(f'ir/{ms}.png' for ms in (1683901815000, 1683901815100, 1683901815200)),
        *('vi/1683901815.012.png', 'vi/1683901815.190.png', 'vi/1683901815.500.png', 'vi/x.png'),
    )
    plan = plan_pairs(tmp_path / 'ir', tmp_path / 'vi', 'time:0.02')
    assert listed(plan, tmp_path) == [
        ('1683901815.012', 'ir/1683901815000.png', 'vi/1683901815.012.png'),
        ('1683901815.190', 'ir/1683901815200.png', 'vi/1683901815.190.png'),
    ]
    assert len(plan.faults) == 3  # one infrared and one visible file are left, one tells no time
    assert any('x.png: its name tells no time' in fault for fault in plan.faults)


def test_a_missing_frame_does_not_shift_the_others(tmp_path):
    # the visible frame of 0.2 is missing: its infrared frame must not take that of 0.3
    make(tmp_path, *(f'ir/1683901815.{t}.png' for t in (1, 2, 3)))
    make(tmp_path, *(f'vi/1683901815.{t}.png' for t in (1, 3)))
    plan = plan_pairs(tmp_path / 'ir', tmp_path / 'vi', 'time:0.15')
    assert [pair.ir.name for pair in plan.pairs] == ['1683901815.1.png', '1683901815.3.png']
    assert all(pair.ir.name == pair.vis.name for pair in plan.pairs)
    assert any('equally near' in fault for fault in plan.faults)


def test_equal_times_are_not_guessed(tmp_path):
    make(tmp_path, *(f'DJI_20230512143015_000{i}_{c}.JPG' for i in (1, 2) for c in 'TV'))
    plan = plan_pairs(f'{tmp_path}/*_T.JPG', f'{tmp_path}/*_V.JPG', 'time:1')
    assert any('the same time as' in fault for fault in plan.faults)
    by_pattern = plan_pairs(tmp_path, tmp_path, '*_T:*_V')
    assert [pair.name[-4:] for pair in by_pattern.pairs] == ['0001', '0002']


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('names', 'is no way to pair'),
        ('*_T:*_*_V', '1 and 2 wildcards'),
        ('T:V', '0 and 0 wildcards'),
        ('time:', 'give the seconds'),
        ('time:-1', 'give the seconds'),
        ('time:nan', 'give the seconds'),
        (':*', 'is no way to pair'),
    ],
)
def test_texts_that_mean_nothing(text, message):
    with pytest.raises(InputError, match=message):
        parse_pairing(text)


def test_a_plan_can_be_read(tmp_path):
    make(tmp_path, 'ir/1.png', 'vi/1.png', 'vi/2.png')
    text = str(plan_pairs(tmp_path / 'ir', tmp_path / 'vi'))
    assert f'1: {tmp_path}/ir/1.png + {tmp_path}/vi/1.png\n' in text
    assert f'fault: {tmp_path}/vi/2.png: no ir image' in text
    assert text.endswith('1 pair(s), 1 fault(s)')

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmsgdfuse.evaluation.folders import (
    EvaluationError,
    lossy_methods,
    match_folders,
    name_methods,
    read_8bit,
)
from mmsgdfuse.utils.image_io import ImageFileError


def write(path, shape=(8, 8), dtype=np.uint8):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.zeros(shape, dtype))
    return path


def test_methods_are_called_by_their_folder_or_by_a_given_name(tmp_path):
    odd = tmp_path / 'lr=1e-4'
    odd.mkdir()
    methods = name_methods(['runs/ours/', 'base=runs/old', str(odd)])
    assert {name: str(folder) for name, folder in methods.items()} == {
        'ours': 'runs/ours',
        'base': 'runs/old',
        'lr=1e-4': str(odd),
    }


def test_names_that_are_taken_are_refused():
    with pytest.raises(EvaluationError, match=r'b/out.*taken by a/out; give another as NAME=b/out'):
        name_methods(['a/out', 'b/out'])
    with pytest.raises(EvaluationError, match='trivial baseline'):
        name_methods(['results/average'])


def test_names_are_matched_up_to_the_suffix(tmp_path):
    for name in ('b', 'a'):
        write(tmp_path / 'ir' / f'{name}.png')
        write(tmp_path / 'vi' / f'{name}.bmp')
        write(tmp_path / 'out' / f'{name}.jpg')
    samples, problems = match_folders(tmp_path / 'ir', tmp_path / 'vi', {'ours': tmp_path / 'out'})
    assert [sample.name for sample in samples] == ['a', 'b']
    assert samples[0].fused['ours'].name == 'a.jpg'
    assert problems == []
    assert lossy_methods(samples) == ['ours']


def test_missing_partners_are_named_with_the_folder_that_lacks_them(folders):
    (folders['vi'] / '00001N.png').unlink()
    (folders['bright'] / '00001N.png').unlink()
    write(folders['noisy'] / 'extra.png')
    samples, problems = match_folders(
        folders['ir'], folders['vi'], {name: folders[name] for name in ('bright', 'noisy')}
    )
    assert [sample.name for sample in samples] == ['00000N', '00002N', '00003N']
    messages = {problem.image: problem.message for problem in problems}
    assert messages['00001N'].startswith(str(folders['ir'] / '00001N.png'))
    assert messages['00001N'].endswith(f'{folders["vi"]}, {folders["bright"]}')
    assert str(folders['noisy'] / 'extra.png') in messages['extra']


def test_folders_that_cannot_be_matched(tmp_path):
    write(tmp_path / 'ir' / 'a.png')
    (tmp_path / 'empty').mkdir()
    write(tmp_path / 'twice' / 'a.png')
    write(tmp_path / 'twice' / 'a.bmp')
    write(tmp_path / 'vi' / 'a.png')
    ir, vi = tmp_path / 'ir', tmp_path / 'vi'
    with pytest.raises(EvaluationError, match='ir: was given for both cameras'):
        match_folders(ir, ir, {'x': vi})
    with pytest.raises(EvaluationError, match='absent: no such folder'):
        match_folders(ir, tmp_path / 'absent', {'x': ir})
    with pytest.raises(EvaluationError, match='empty: holds no image'):
        match_folders(ir, vi, {'x': tmp_path / 'empty'})
    with pytest.raises(EvaluationError, match=r'a.png: has the same name as a.bmp'):
        match_folders(ir, vi, {'x': tmp_path / 'twice'})


@pytest.mark.parametrize(
    ('shape', 'dtype', 'message'),
    [((8, 8), np.uint16, '16 bits'), ((8, 8, 4), np.uint8, 'alpha')],
)
def test_files_that_the_metrics_are_not_defined_on_are_refused(tmp_path, shape, dtype, message):
    path = write(tmp_path / 'image.png', shape, dtype)
    with pytest.raises(ImageFileError, match=message) as caught:
        read_8bit(path)
    assert str(path) in str(caught.value)


def test_float_files_with_nan_are_refused(tmp_path):
    path = tmp_path / 'image.tiff'
    cv2.imwrite(str(path), np.full((8, 8), np.nan, np.float32))
    with pytest.raises(ImageFileError, match='float32'):
        read_8bit(path)


def test_links_that_lead_nowhere_are_problems(tmp_path):
    for folder in ('ir', 'vi', 'fused'):
        write(tmp_path / folder / 'a.png')
        (tmp_path / folder / 'b.png').symlink_to('nowhere.png')
    samples, problems = match_folders(tmp_path / 'ir', tmp_path / 'vi', {'x': tmp_path / 'fused'})
    assert [sample.name for sample in samples] == ['a']
    assert [problem.image for problem in problems] == ['b']
    assert 'b.png: is a link to nowhere.png, which is not there' in problems[0].message


def test_sources_paired_by_a_rule(tmp_path):
    for name in ('both/a_T.png', 'both/a_V.png', 'both/b_T.png', 'fused/a.png'):
        write(tmp_path / name)
    both = tmp_path / 'both'
    samples, problems = match_folders(both, both, {'x': tmp_path / 'fused'}, '*_T:*_V')
    assert [(s.name, s.ir.name, s.vis.name) for s in samples] == [('a', 'a_T.png', 'a_V.png')]
    assert 'b_T.png: no vis image' in problems[0].message

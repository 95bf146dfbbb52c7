from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.cli import fuse as fuse_command
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.models.fusers import SGDFuse
from mmsgdfuse.utils.image_io import read_image, write_image


@pytest.fixture(scope='module')
def tool():
    return fuse_command


@pytest.fixture
def run(tool, tiny_weights, tmp_path, monkeypatch, capsys):
    """Runs the tool in a folder with two pairs; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, size) in enumerate({'1.png': (40, 48), '2.png': (33, 47)}.items()):
        scene = synthetic_scene(seed, size)
        write_image(f'ir/{name}', scene.ir)
        write_image(f'vi/{name}', scene.vis)

    def call(*arguments):
        code = tool.main([*arguments, '--weights', str(tiny_weights), '--device', 'cpu'])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def below(folder):
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob('*') if p.is_file())


def test_folders_keep_names_sizes_and_bytes(run, tiny_weights):
    code, out, _ = run('ir', 'vi', '-o', 'out')
    assert code == 0
    assert out == 'wrote 2 to out, skipped 0 that existed, could not read 0\n'
    assert below('out') == ['1.png', '2.png']
    inferencer = FusionInferencer(weights=tiny_weights, device='cpu')
    for name in ('1.png', '2.png'):
        expected = inferencer(f'ir/{name}', f'vi/{name}').fused
        np.testing.assert_array_equal(read_image(f'out/{name}'), expected)


def test_a_pair_goes_to_a_file_or_a_folder(run):
    assert run('ir/2.png', 'vi/2.png', '-o', 'deep/fused.png')[0] == 0
    assert run('ir/2.png', 'vi/2.png', '-o', 'folder', '--panel')[0] == 0
    assert below('deep') == ['fused.png']
    assert below('folder') == ['2.png', 'panels/2.png']
    assert read_image('deep/fused.png').shape == (33, 47, 3)
    assert Path('deep/fused.png').read_bytes() == Path('folder/2.png').read_bytes()
    assert read_image('folder/panels/2.png').shape[1] == 6 * 47 + 5 * 4


def test_globs_and_another_format(run):
    code, _, _ = run('ir/*.png', 'vi/*.png', '-o', 'out', '--suffix', '.bmp')
    assert code == 0
    assert below('out') == ['1.bmp', '2.bmp']


def test_nothing_is_overwritten_unasked(run):
    run('ir/1.png', 'vi/1.png', '-o', 'out')
    Path('out/1.png').write_bytes(b'mine')

    code, out, err = run('ir', 'vi', '-o', 'out')
    assert (code, out) == (2, '')
    assert 'out/1.png exists; pass --skip-existing' in err
    assert below('out') == ['1.png']

    code, out, _ = run('ir', 'vi', '-o', 'out', '--skip-existing')
    assert code == 0
    assert out.startswith('wrote 1 to out, skipped 1 that existed')
    assert Path('out/1.png').read_bytes() == b'mine'

    code, out, _ = run('ir', 'vi', '-o', 'out', '--overwrite')
    assert out.startswith('wrote 2 to out, skipped 0')
    assert read_image('out/1.png').shape == (40, 48, 3)


def test_skipping_needs_all_results_of_a_pair(run):
    run('ir', 'vi', '-o', 'out')
    code, out, _ = run('ir', 'vi', '-o', 'out', '--skip-existing', '--panel')
    assert code == 0
    assert out.startswith('wrote 2 to out, skipped 0')


@pytest.mark.parametrize('out', ['vi', 'ir', '.'])
def test_sources_are_never_overwritten(run, out):
    before = Path('vi/1.png').read_bytes(), Path('ir/1.png').read_bytes()
    code, _, err = run('ir', 'vi', '-o', out, '--overwrite')
    if out == '.':
        assert code == 0
    else:
        assert code == 2
        assert f'{out}/1.png is a source' in err
    assert (Path('vi/1.png').read_bytes(), Path('ir/1.png').read_bytes()) == before


def test_unreadable_pairs_are_named_and_the_rest_is_fused(run):
    whole = Path('ir/1.png').read_bytes()
    write_image('vi/0.png', synthetic_scene(size=(40, 48)).vis)  # without partner
    for name, content in {'3.png': whole[:99], '4.png': b'', '5.png': whole}.items():
        Path(f'ir/{name}').write_bytes(content)
        write_image(f'vi/{name}', synthetic_scene(size=(40, 40)).vis)
    write_image('ir/6.png', np.zeros((20, 20), np.uint8))
    write_image('vi/6.png', np.zeros((20, 20), np.uint8))

    code, out, _ = run('ir', 'vi', '-o', 'out')

    assert code == 1
    assert below('out') == ['1.png', '2.png']
    head, *faults = out.splitlines()
    assert head == 'wrote 2 to out, skipped 0 that existed, could not read 5:'
    for fault, (name, reason) in zip(
        faults,
        [
            ('vi/0.png', 'no ir image'),
            ('ir/3.png', 'truncated'),
            ('ir/4.png', 'empty'),
            ('vi/5.png', '(40, 40) (H, W), but ir/5.png is (40, 48)'),
            ('ir/6.png', '32 pixels or more'),
        ],
        strict=True,
    ):
        assert fault.strip().startswith(f'{name}: ')
        assert reason in fault


def test_an_interrupted_run_says_what_it_did(run, monkeypatch):
    fuse = FusionInferencer._fuse
    calls = []

    def interrupted(self, *pair):
        calls.append(pair)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fuse(self, *pair)

    monkeypatch.setattr(FusionInferencer, '_fuse', interrupted)
    code, out, _ = run('ir', 'vi', '-o', 'out')
    assert code == 130
    assert out.startswith('wrote 1 to out')
    assert '--skip-existing' in out
    assert below('out') == ['1.png']


def test_masks_and_their_cache(run):
    results = {}
    for name, options in {
        'generated': ['--mask-cache', 'cache'],
        'none': ['--no-masks'],
    }.items():
        assert run('ir/1.png', 'vi/1.png', '-o', f'{name}.png', *options)[0] == 0
        results[name] = Path(f'{name}.png').read_bytes()
    assert results['generated'] != results['none']
    assert len([name for name in below('cache') if name.endswith('.png')]) == 2

    for modality in ('ir', 'vi'):
        write_image(f'masks/{modality}/1.png', np.zeros((40, 48), np.uint8))
    directories = ['--mask-dirs', 'masks/ir', 'masks/vi']
    code, out, _ = run('ir', 'vi', '-o', 'loaded', *directories)
    assert Path('loaded/1.png').read_bytes() == results['none']
    assert code == 1  # of 2.png there is no mask
    assert 'could not read 1:\n  ir/2.png: masks/ir holds no valid mask' in out


def test_16_bit_infrared(run):
    counts = read_image('ir/1.png').astype(np.uint16) * 8 + 7000
    cv2.imwrite('raw.png', counts)
    scaled = {}
    for scaling in ('minmax', 'percentile'):
        assert run('raw.png', 'vi/1.png', '-o', f'{scaling}.png', '--scaling', scaling)[0] == 0
        scaled[scaling] = Path(f'{scaling}.png').read_bytes()
    assert scaled['minmax'] != scaled['percentile']
    code, _, err = run('raw.png', 'vi/1.png', '-o', 'x.png', '--percentiles', '9', '1')
    assert code == 2
    assert 'percentiles must be increasing' in err


def test_mode_and_seed_reach_the_model(run):
    written = set()
    for name, options in {
        'a': [],
        'b': ['--seed', '1'],
        'c': ['--mode', 'refine', '--num-steps', '2', '--start-timestep', '90'],
    }.items():
        assert run('ir/1.png', 'vi/1.png', '-o', f'{name}.png', *options)[0] == 0
        written.add(Path(f'{name}.png').read_bytes())
    assert len(written) == 3


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['ir', 'vi/1.png', '-o', 'out'], 'ir is a folder and vi/1.png a file'),
        (['ir', 'vi', '-o', 'out.png'], 'out.png is one file for 2 pairs'),
        (['ir', 'vi', '-o', 'out', '--sam-checkpoint', 'sam.pth'], 'sam.pth: no such checkpoint'),
        (['ir', 'vi', '-o', 'out', '--mask-dirs', 'a', 'b'], 'a: no such folder'),
        (['ir', 'vi', '-o', 'out', '--config', 'none.py'], 'none.py'),
        (['ir', 'vi', '-o', 'out', '--mode', 'student'], 'found SGDFuse; give a student'),
    ],
)
def test_bad_arguments_end_before_anything_is_written(run, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, '')
    assert message in err
    assert not Path('out').exists()


def test_options_that_exclude_each_other(tool, capsys):
    for options in (['--overwrite', '--skip-existing'], ['--no-masks', '--sam-checkpoint', 'x']):
        with pytest.raises(SystemExit):
            tool.parse_args(['ir', 'vi', '-o', 'out', *options])
        assert 'not allowed with' in capsys.readouterr().err


def test_a_bug_in_the_model_shows_its_traceback(run, monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError('operands could not be broadcast together')

    monkeypatch.setattr(SGDFuse, 'fuse', broken)
    with pytest.raises(ValueError, match='operands could not be broadcast'):
        run('ir', 'vi', '-o', 'out')


def test_a_dry_run_shows_the_plan_and_writes_nothing(run):
    write_image('vi/3.png', synthetic_scene(size=(40, 48)).vis)
    before = below('.')
    code, out, _ = run('ir', 'vi', '--dry-run')
    assert code == 1
    first, second, fault, total = out.splitlines()
    assert first == '1: ir/1.png + vi/1.png'
    assert second == '2: ir/2.png + vi/2.png'
    assert fault.startswith('fault: vi/3.png: no ir image in ir')
    assert total == '2 pair(s), 1 fault(s)'
    assert below('.') == before


def test_one_folder_with_both_cameras(run):
    for name, image in (('a_T.png', 'ir/1.png'), ('a_V.png', 'vi/1.png')):
        Path(name).write_bytes(Path(image).read_bytes())
    code, _, err = run('.', '.', '-o', 'out')
    assert code == 2
    assert 'given for both cameras' in err
    assert run('.', '.', '-o', 'out', '--pairs', '*_T:*_V')[0] == 0
    assert run('ir/1.png', 'vi/1.png', '-o', 'same.png')[0] == 0
    assert below('out') == ['a.png']
    assert Path('out/a.png').read_bytes() == Path('same.png').read_bytes()


def test_a_list_of_pairs_cannot_write_elsewhere(run):
    Path('pairs.csv').write_text(
        'ir,vis,name\nir/1.png,vi/1.png,first\nir/2.png,vi/2.png,../../evil\n'
    )
    code, out, _ = run('--pairs', 'pairs.csv', '-o', 'deep/out')
    assert code == 1
    assert "pairs.csv:3: the name '../../evil' must be" in out
    assert below('deep') == ['out/first.png']
    assert not Path('evil.png').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['ir/1.png', 'vi/1.png', '-o', 'out.gif'], 'out.gif: .gif is no format of results'),
        (['ir', 'vi', '-o', 'out.mp4'], '.mp4 is no format of results'),
        (['ir/1.png', 'vi/1.png', '-o', 'notes'], 'notes: is a file'),
        (['ir/none.png', 'vi/1.png', '-o', 'out'], 'ir/none.png: no such file'),
        (['ir/1.png', 'vi/none.png', '-o', 'out'], 'vi/none.png: no such file'),
        (['no', 'vi', '-o', 'out'], 'no is a file and vi a folder'),
        (['vi/1.png', 'vi/1.png', '-o', 'out'], 'vi/1.png: was given for both cameras'),
        (['ir', 'vi', '-o', 'out', '--pairs', 'nix'], "'nix' is no way to pair files"),
        (['-o', 'out', '--pairs', 'none.csv'], 'none.csv'),
        (['-o', 'out'], 'give the infrared and the visible images, or a list'),
    ],
)
def test_mistakes_are_told_before_the_model_is_loaded(run, monkeypatch, arguments, message):
    def loaded(*args, **kwargs):
        raise AssertionError('the model was loaded')

    monkeypatch.setattr(FusionInferencer, '__init__', loaded)
    Path('notes').write_text('mine')
    code, out, err = run(*arguments)
    assert (code, out) == (2, '')
    assert message in err
    assert not list(Path().glob('out*'))


def test_a_full_disk_says_what_was_done_and_how_to_go_on(run, tool, monkeypatch):
    written = []

    def full(path, image):
        if written:
            raise OSError(errno.ENOSPC, 'No space left on device')
        written.append(path)
        write_image(path, image)

    monkeypatch.setattr(tool, 'write_image', full)
    code, out, _ = run('ir', 'vi', '-o', 'out')
    assert code == 2
    assert out.startswith('wrote 1 to out, skipped 0 that existed, could not read 0\n')
    assert 'could not write out/2.png: No space left on device' in out
    assert '--skip-existing to go on' in out


def test_an_unreadable_file_leaves_the_rest(run, monkeypatch):
    prepare = FusionInferencer._prepare

    def refused(self, ir, *others):
        if ir.name == '1.png':
            raise PermissionError(errno.EACCES, 'Permission denied', str(ir))
        return prepare(self, ir, *others)

    monkeypatch.setattr(FusionInferencer, '_prepare', refused)
    code, out, _ = run('ir', 'vi', '-o', 'out')
    assert code == 1
    assert 'could not read 1:' in out
    assert 'ir/1.png' in out
    assert below('out') == ['2.png']


def test_names_with_brackets_and_names_that_are_not_utf8(run):
    name = os.fsdecode(b'[bold]\xe9[red].png')
    for camera in ('ir', 'vi'):
        os.rename(f'{camera}/1.png', f'{camera}/{name}')
    code, out, _ = run('ir', 'vi', '-o', 'out')
    assert code == 0
    assert out.startswith('wrote 2')
    assert name in os.listdir('out')
    Path(f'vi/{name}').write_bytes(b'')
    code, out, _ = run('ir', 'vi', '-o', 'out', '--overwrite')
    assert code == 1
    assert 'vi/[bold]\\udce9[red].png: is empty' in out


def test_shards_share_the_pairs_and_summaries_name_every_one(run, monkeypatch):
    Path('vi/2.png').write_bytes(b'')
    seen = []
    for part in ('1/2', '2/2'):
        code, out, _ = run(
            'ir', 'vi', '-o', 'out', '--shard', part, '--summary', f'{part[0]}.jsonl', '--json'
        )
        counts = json.loads(out)
        assert counts['written'] + counts['faults'] == 1
        assert code == counts['faults']
        seen += [json.loads(line) for line in Path(f'{part[0]}.jsonl').read_text().splitlines()]
    assert {row['name']: row['status'] for row in seen} == {'1': 'written', '2': 'fault'}
    assert 'vi/2.png' in seen[1]['fault']
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('WORLD_SIZE', '2')
    run('ir', 'vi', '-o', 'out', '--skip-existing', '--summary', 'again.jsonl')
    assert [json.loads(line)['name'] for line in Path('again.jsonl').read_text().splitlines()] == [
        '2'
    ]
    with pytest.raises(SystemExit):
        run('ir', 'vi', '-o', 'out', '--shard', '3/2')

import errno
import hashlib
import importlib.util
import json
import sys

import numpy as np
import pytest

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.masks import SAM_CHECKPOINTS, MaskCache, ThermalVisualSaliency
from mmsgdfuse.utils.image_io import read_image, read_infrared, read_visible, write_image


@pytest.fixture
def tool(repository, monkeypatch):
    """Loads a tool as a module."""

    def load(name):
        if name == 'generate_masks':
            return importlib.import_module('mmsgdfuse.cli.masks')
        spec = importlib.util.spec_from_file_location(name, repository / 'tools' / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look for it
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def pairs(tmp_path):
    """A folder of five synthetic pairs with labels."""
    for seed in range(5):
        scene = synthetic_scene(seed=seed, size=(96, 128))
        write_image(tmp_path / 'ir' / f'{seed}.png', scene.ir)
        write_image(tmp_path / 'vi' / f'{seed}.jpg', scene.vis)
        lines = [
            f'{c} {(x0 + x1) / 256} {(y0 + y1) / 192} {(x1 - x0) / 128} {(y1 - y0) / 96}'
            for c, x0, y0, x1, y1 in scene.boxes
        ]
        (tmp_path / 'labels').mkdir(exist_ok=True)
        (tmp_path / 'labels' / f'{seed}.txt').write_text('\n'.join(lines))
    return tmp_path


class TestGenerateMasks:
    @pytest.fixture
    def run(self, tool, pairs, capsys):
        main = tool('generate_masks').main

        def run(*argv):
            capsys.readouterr()
            main(['--cache-dir', str(pairs / 'cache'), *map(str, argv)])
            return capsys.readouterr().out

        return run

    def cache(self, pairs, **options):
        return MaskCache(pairs / 'cache', ThermalVisualSaliency(**options).settings)

    def test_masks_are_those_that_a_pipeline_finds(self, run, pairs):
        out = run('--ir', pairs / 'ir', '--vis', pairs / 'vi')
        cache, generator = self.cache(pairs), ThermalVisualSaliency()
        assert str(cache.folder) in out
        assert '10 made, 0 found, 0 failed; they cover' in out
        for path in (pairs / 'ir').iterdir():
            image = read_infrared(path)
            np.testing.assert_array_equal(cache.load(image), generator(image))
        for path in (pairs / 'vi').iterdir():
            assert cache.load(read_visible(path)) is not None

    def test_a_second_run_makes_what_is_missing(self, run, pairs):
        run('--ir', pairs / 'ir')
        cache = self.cache(pairs)
        damaged = cache.path(read_infrared(pairs / 'ir' / '2.png'))
        damaged.write_bytes(damaged.read_bytes()[:50])
        assert '1 made, 4 found' in run('--ir', pairs / 'ir')
        assert '5 made, 0 found' in run('--ir', pairs / 'ir', '--overwrite')
        assert '5 made, 0 found' in run('--ir', pairs / 'ir', '--options', 'composer=union')

    def test_shards_share_the_work(self, run, pairs):
        assert '3 made' in run('--ir', pairs / 'ir', '--shard', '1/2')
        assert '2 made, 0 found' in run('--ir', pairs / 'ir', '--shard', '2/2')
        assert '0 made, 5 found' in run('--ir', pairs / 'ir')

    def test_processes_of_torchrun_share_a_shard(self, run, pairs, monkeypatch):
        monkeypatch.setenv('WORLD_SIZE', '2')
        made = 0
        for rank in '01':
            monkeypatch.setenv('RANK', rank)
            for part in '12':
                out = run('--ir', pairs / 'ir', '--vis', pairs / 'vi', '--shard', f'{part}/2')
                made += int(out.split(' made')[0].rsplit(maxsplit=1)[-1])
                assert ' 0 found' in out
        assert made == 10

    def test_contact_sheet(self, run, pairs):
        sheet = pairs / 'out' / 'sheet.png'
        out = run('--vis', pairs / 'vi', '--sheet', sheet, '--sheet-images', 2)
        assert f'{sheet}: contact sheet of 2 images' in out
        assert read_image(sheet).shape == (2 * (22 + 360), 3 * 480, 3)

    def test_an_unreadable_image_is_named_and_left_out(self, run, pairs, capsys):
        (pairs / 'ir' / '1.png').write_bytes(b'nonsense')
        with pytest.raises(SystemExit) as caught:
            run('--ir', pairs / 'ir', '--sheet', pairs / 'sheet.png')
        assert caught.value.code == 1
        captured = capsys.readouterr()
        assert '4 made, 0 found, 1 failed' in captured.out
        assert '1.png' in captured.err

    def test_a_file_that_may_not_be_read_leaves_the_rest(self, tool, pairs, monkeypatch, capsys):
        module = tool('generate_masks')

        def refused(path, *options):
            if path.name == '1.png':
                raise PermissionError(errno.EACCES, 'Permission denied')
            return read_infrared(path, *options)

        monkeypatch.setattr(module, 'read_infrared', refused)
        with pytest.raises(SystemExit) as ended:
            module.main(['--cache-dir', str(pairs / 'cache'), '--ir', str(pairs / 'ir')])
        assert ended.value.code == 1
        out, err = capsys.readouterr()
        assert '4 made, 0 found, 1 failed' in out
        assert f'{pairs}/ir/1.png: Permission denied' in err

    def test_links_that_lead_nowhere_are_named_and_counted(self, run, pairs, capsys):
        (pairs / 'ir' / '9.png').symlink_to('nowhere.png')
        with pytest.raises(SystemExit):
            run('--ir', pairs / 'ir')
        out, err = capsys.readouterr()
        assert '5 made, 0 found, 1 failed' in out
        assert f'{pairs}/ir/9.png: is a link to nowhere.png, which is not there' in err

    def test_ctrl_c_keeps_what_is_done(self, tool, pairs, monkeypatch, capsys):
        module = tool('generate_masks')

        def interrupted(path, *options):
            if path.name == '2.png':
                raise KeyboardInterrupt
            return read_infrared(path, *options)

        arguments = ['--cache-dir', str(pairs / 'cache'), '--ir', str(pairs / 'ir')]
        with monkeypatch.context() as patch:
            patch.setattr(module, 'read_infrared', interrupted)
            with pytest.raises(SystemExit) as ended:
                module.main(arguments)
        assert ended.value.code == 130
        assert '2 made, 0 found, 0 failed' in capsys.readouterr().out
        module.main(arguments)
        assert '3 made, 2 found, 0 failed' in capsys.readouterr().out

    def test_one_folder_with_both_cameras(self, run, pairs):
        flight = pairs / 'flight'
        flight.mkdir()
        for camera, mark, suffix in (('ir', 'T', '.png'), ('vi', 'V', '.jpg')):
            for seed in range(2):
                image = (pairs / camera / f'{seed}{suffix}').read_bytes()
                (flight / f'{seed}_{mark}{suffix}').write_bytes(image)
        assert '4 made' in run('--ir', flight, '--vis', flight, '--pairs', '*_T:*_V')
        # the same masks as of the folders, as infrared is read as infrared
        assert '0 made, 4 found' in run('--ir', flight, '--vis', flight, '--pairs', '*_T:*_V')
        assert '6 made, 4 found' in run('--ir', pairs / 'ir', '--vis', pairs / 'vi')

    def test_full_masks_are_counted(self, run, pairs):
        generous = ['levels=0.0001,', 'peak=0', 'max_area=1', 'grow=2', 'max_segments=1']
        out = run('--ir', pairs / 'ir', '--options', *generous)
        assert 'cover more than 95% and carry next to no information' in out

    @pytest.mark.parametrize(
        ('argv', 'message'),
        [
            (['--ir', 'nowhere'], 'no such folder'),
            (['--ir', '{pairs}/labels'], 'no images in'),
            (['--ir', '{pairs}/ir', '--generator', 'Nix'], 'choose one of'),
            (['--ir', '{pairs}/ir', '--generator', 'SAMMaskGenerator'], 'download_sam'),
        ],
    )
    def test_errors_are_one_line(self, run, pairs, monkeypatch, argv, message):
        monkeypatch.chdir(pairs)
        with pytest.raises(SystemExit, match=message):
            run(*(part.format(pairs=pairs) for part in argv))

    @pytest.mark.parametrize(
        'argv',
        [[], *(['--ir', 'x', '--shard', s] for s in ('0/2', '3/2', '1', 'a/b')),
         ['--ir', 'x', '--sheet-images', '0']],
    )  # fmt: skip
    def test_bad_arguments(self, run, argv):
        with pytest.raises(SystemExit) as caught:
            run(*argv)
        assert caught.value.code == 2

    def test_sam(self, run, pairs, tiny_sam):
        options = [
            'model_type=tiny', f'checkpoint={tiny_sam}', 'device=cpu', 'points_per_side=2',
            'pred_iou_thresh=0', 'stability_score_thresh=0', 'composer=score',
        ]  # fmt: skip
        argv = ['--ir', pairs / 'ir', '--generator', 'SAMMaskGenerator', '--options', *options]
        assert '5 made, 0 found' in run(*argv)
        assert '0 made, 5 found' in run(*argv)


class TestMaskCoverage:
    def test_numbers(self, tool, pairs, capsys):
        path = pairs / 'numbers.json'
        tool('analysis_tools/mask_coverage').main(
            [str(pairs), '--class-names', 'none', 'car', 'person', '--json', str(path)]
        )
        assert 'frame covered' in capsys.readouterr().out
        result = json.loads(path.read_text())
        generator = ThermalVisualSaliency()
        people, shares = [], []
        for seed in range(5):
            scene = synthetic_scene(seed=seed, size=(96, 128))
            mask = generator(scene.ir) > 0
            shares.append(mask.mean())
            for c, x0, y0, x1, y1 in scene.boxes:
                inside = mask[max(y0, 0) : y1, max(x0, 0) : x1]
                if c == 2:
                    people.append(inside.mean() > 0.5)
        assert result['images'] == 5
        assert result['frame']['mean'] == pytest.approx(np.mean(shares))
        assert result['frame']['highest'] == pytest.approx(np.max(shares))
        assert result['classes']['person'] == dict(
            boxes=len(people), covered=pytest.approx(np.mean(people))
        )
        assert result['generator'] == json.loads(json.dumps(generator.settings))

    def test_a_threshold_above_all_levels(self, tool, pairs):
        path = pairs / 'numbers.json'
        main = tool('analysis_tools/mask_coverage').main
        main([str(pairs), '--threshold', '1', '--json', str(path)])
        assert json.loads(path.read_text())['frame']['mean'] == 0

    def test_errors_name_the_line(self, tool, pairs):
        (pairs / 'labels' / '3.txt').write_text('0 0.5 0.5 0.1 0.1\nperson')
        with pytest.raises(SystemExit, match=r'3\.txt:2: is not'):
            tool('analysis_tools/mask_coverage').main([str(pairs)])
        with pytest.raises(SystemExit, match='no such folder'):
            tool('analysis_tools/mask_coverage').main([str(pairs), '--images', 'nix'])


class TestDownloadSam:
    def test_offline(self, tool, tmp_path, monkeypatch):
        unreachable = SAM_CHECKPOINTS['vit_b']._replace(url='http://127.0.0.1:9/sam.pth')
        monkeypatch.setitem(SAM_CHECKPOINTS, 'vit_b', unreachable)
        with pytest.raises(SystemExit, match=f'put it at {tmp_path}.*{unreachable.sha256}'):
            tool('download_sam').main(['vit_b', '--out', str(tmp_path)])
        assert not list(tmp_path.iterdir())

    def test_a_file_that_is_right_already(self, tool, tmp_path, monkeypatch, capsys):
        content = b'weights'
        checkpoint = SAM_CHECKPOINTS['vit_l']._replace(sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(SAM_CHECKPOINTS, 'vit_l', checkpoint)
        (tmp_path / checkpoint.file_name).write_bytes(content)
        tool('download_sam').main(['vit_l', '--out', str(tmp_path)])
        assert 'complete, SHA-256 verified' in capsys.readouterr().out

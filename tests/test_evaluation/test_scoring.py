from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import sys
import threading

import cv2
import numpy as np
import pytest

from mmsgdfuse.evaluation import scoring
from mmsgdfuse.evaluation.baselines import BASELINES, baseline_image
from mmsgdfuse.evaluation.cache import CacheEntry, MetricCache, definitions_fingerprint
from mmsgdfuse.evaluation.folders import EvaluationError
from mmsgdfuse.evaluation.functional import fusion_metrics, to_luma
from mmsgdfuse.evaluation.scoring import score_folders
from mmsgdfuse.utils.image_io import read_image

NAMES = ('EN', 'SCD', 'VIF', 'QRG')


def score(folders, methods=('bright', 'noisy'), **options):
    options = {'names': NAMES, 'workers': 0, **options}
    fused = {name: folders[name] for name in methods}
    return score_folders(folders['ir'], folders['vi'], fused, **options)


class TestBaselines:
    def test_rules_round_once(self):
        # Luma 29.07 and 10: their mean is 19.535, of rounded luma it would be 19.5 -> 20 as well,
        # but (0, 1, 0) has 0.587: (0.587 + 0) / 2 = 0.2935 -> 0, where rounding first gives 0.5.
        ir = np.zeros((2, 2), np.uint8)
        vis = np.broadcast_to(np.array([0, 3, 0], np.uint8), (2, 2, 3))  # 1.761
        assert baseline_image('visible', ir, vis)[0, 0] == 2
        assert baseline_image('average', ir, vis)[0, 0] == 1  # of 2 it would be 1.0
        vis = np.broadcast_to(np.array([0, 1, 0], np.uint8), (2, 2, 3))
        assert baseline_image('average', ir + 2, vis)[0, 0] == 1  # 1.29; of 1 and 2: 1.5 -> 2
        assert baseline_image('maximum', ir, vis)[0, 0] == 1
        assert baseline_image('infrared', ir, vis)[0, 0] == 0

    def test_unknown_rule(self):
        with pytest.raises(ValueError, match='baseline must be one of'):
            baseline_image('median', np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))


class TestCache:
    def test_values_come_back_as_they_were(self, tmp_path):
        cache = MetricCache(tmp_path / 'new', 'f')
        entry = CacheEntry({'a': 0.1 + 0.2, 'b': math.inf, 'c': -math.inf}, ['note'])
        cache.store(('x', 'y', 'z'), entry)
        assert cache.load(('x', 'y', 'z')) == entry
        cache.store(('x', 'y', 'z'), CacheEntry({'a': math.nan}, []))
        assert math.isnan(cache.load(('x', 'y', 'z')).values['a'])

    def test_another_image_and_other_definitions_have_other_entries(self, tmp_path):
        MetricCache(tmp_path, 'f').store(('x', 'y', 'z'), CacheEntry({'a': 1.0}, []))
        assert MetricCache(tmp_path, 'f').load(('y', 'x', 'z')).values == {}
        assert MetricCache(tmp_path, 'g').load(('x', 'y', 'z')).values == {}

    @pytest.mark.parametrize('content', ['', '[]', '{"values": 3}', '{"values": {"a": "x"}}'])
    def test_a_damaged_file_is_no_entry(self, tmp_path, content):
        cache = MetricCache(tmp_path, 'f')
        cache.store(('x',), CacheEntry({'a': 1.0}, []))
        next(tmp_path.rglob('*.json')).write_text(content)
        assert cache.load(('x',)) == CacheEntry({}, [])

    def test_definitions_have_a_fingerprint(self):
        assert definitions_fingerprint() == definitions_fingerprint()
        assert len(definitions_fingerprint()) == 32


class TestScoreFolders:
    def test_values_are_those_of_the_functions_baselines_included(self, folders):
        scores = score(folders)
        assert scores.rows == (*BASELINES, 'bright', 'noisy')
        assert scores.images == ('00000N', '00001N', '00002N', '00003N')
        for column, image in enumerate(scores.images):
            ir, vis, fused = (
                read_image(folders[name] / f'{image}.png') for name in ('ir', 'vi', 'noisy')
            )
            expected = fusion_metrics(ir, vis, fused, NAMES)
            assert dict(zip(NAMES, scores.values[-1, column])) == pytest.approx(
                expected, nan_ok=True
            )
            visible = fusion_metrics(ir, vis, to_luma(vis), NAMES)
            assert dict(zip(NAMES, scores.values[0, column])) == pytest.approx(visible, nan_ok=True)

    def test_undefined_values_are_left_out_and_counted(self, folders):
        scores = score(folders)
        assert scores.summary('visible', 'SCD').count == 0
        assert math.isnan(scores.summary('visible', 'SCD').mean)
        assert scores.summary('bright', 'SCD').count == 4

    def test_worker_processes_give_the_same_values(self, folders):
        np.testing.assert_array_equal(
            score(folders, workers=2).values, score(folders, workers=1).values
        )

    def test_threads_of_opencv_neither_block_the_workers_nor_are_lost(self, folders, monkeypatch):
        monkeypatch.setattr(threading, 'active_count', lambda: 1)
        before = cv2.getNumThreads()
        cv2.setNumThreads(3)
        try:
            cv2.resize(np.zeros((2000, 2000), np.uint8), (999, 999))  # now they have begun
            score(folders, workers=2, names=['EN'])
            assert cv2.getNumThreads() == 3
        finally:
            cv2.setNumThreads(before)

    @pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere there is no safe fork')
    def test_this_process_is_forked_only_if_no_thread_may_hold_a_lock(self, monkeypatch):
        methods = []
        for threads in (1, 2):
            monkeypatch.setattr(threading, 'active_count', lambda n=threads: n)
            methods.append(scoring._process_context().get_start_method())
        assert methods == ['fork', 'forkserver']

    def test_one_image_or_one_core_needs_no_pool(self, folders, monkeypatch):
        monkeypatch.setattr(scoring, '_process_pool', None)
        for name in ('00001N', '00002N', '00003N'):
            for root in folders.values():
                (root / f'{name}.png').unlink()
        assert score(folders, workers=8).images == ('00000N',)

    def test_an_unfit_file_in_a_worker_is_named(self, folders):
        (folders['noisy'] / '00001N.png').write_bytes(b'no image')
        with pytest.raises(EvaluationError, match=r'noisy/00001N.png.*not an image'):
            score(folders, workers=2)
        assert score(folders, workers=2, keep_going=True).images == ('00000N', '00002N', '00003N')

    def test_a_second_run_computes_nothing(self, folders, tmp_path, monkeypatch):
        first = score(folders, cache_dir=tmp_path / 'cache')

        def refuse(*args):
            raise AssertionError('computed again')

        monkeypatch.setattr(scoring, 'fusion_metrics', refuse)
        monkeypatch.setattr(scoring, 'read_8bit', refuse)
        second = score(folders, cache_dir=tmp_path / 'cache')
        np.testing.assert_array_equal(first.values, second.values)
        # Content counts, not names or times.
        for path in folders['bright'].iterdir():
            path.touch()
        renamed = folders['bright'].rename(folders['bright'].with_name('renamed'))
        third = score({**folders, 'renamed': renamed}, ['renamed'], cache_dir=tmp_path / 'cache')
        np.testing.assert_array_equal(third.values, first.values[:-1])

    def test_only_what_changed_is_computed_again(self, folders, tmp_path, monkeypatch):
        score(folders, cache_dir=tmp_path / 'cache')
        path = folders['bright'] / '00002N.png'
        image = cv2.imread(str(path))
        image[0, 0] = 255 - image[0, 0]
        cv2.imwrite(str(path), image)
        computed = []

        def count(ir, vis, fused, names):
            computed.append(tuple(names))
            return fusion_metrics(ir, vis, fused, names)

        monkeypatch.setattr(scoring, 'fusion_metrics', count)
        score(folders, cache_dir=tmp_path / 'cache')
        assert computed == [NAMES]
        computed.clear()
        score(folders, cache_dir=tmp_path / 'cache', names=[*NAMES, 'SD'])
        assert computed == [('SD',)] * 4 * 6

    def test_notes_survive_the_cache(self, folders, tmp_path):
        for root in folders.values():
            for path in root.iterdir():
                cv2.imwrite(str(path), cv2.imread(str(path))[:40])
        for _ in range(2):
            scores = score(folders, cache_dir=tmp_path / 'cache')
            assert sum('41' in note for note in scores.notes) == 4
            assert scores.notes[0].startswith('00000N: VIF is undefined for 64x40')
            assert scores.summary('bright', 'VIF').count == 0

    def test_without_keep_going_the_faulty_files_are_named(self, folders):
        (folders['bright'] / '00001N.png').unlink()
        (folders['vi'] / '00003N.png').unlink()
        with pytest.raises(EvaluationError) as caught:
            score(folders)
        message = str(caught.value)
        assert '00001N.png: has no partner' in message
        assert '00003N.png: has no partner' in message
        assert '2 of 4 images' in message
        assert '--keep-going' in message

    @pytest.mark.parametrize(
        ('fault', 'message'),
        [
            (lambda path: path.write_bytes(b''), 'empty'),
            (lambda path: path.write_bytes(path.read_bytes()[:200]), 'truncated'),
            (lambda path: cv2.imwrite(str(path), np.zeros((48, 64), np.uint16)), '16 bits'),
            (lambda path: cv2.imwrite(str(path), np.zeros((48, 64, 4), np.uint8)), 'alpha'),
            (lambda path: cv2.imwrite(str(path), np.zeros((48, 65), np.uint8)), 'is 65x48, but'),
        ],
        ids=['empty', 'truncated', '16-bit', 'alpha', 'size'],
    )
    @pytest.mark.parametrize('role', ['vi', 'noisy'])
    def test_an_unfit_file_is_named_and_with_keep_going_left_out(
        self, folders, fault, message, role
    ):
        path = folders[role] / '00002N.png'
        fault(path)
        with pytest.raises(EvaluationError, match=message) as caught:
            score(folders)
        assert str(path) in str(caught.value)
        scores = score(folders, keep_going=True)
        assert scores.images == ('00000N', '00001N', '00003N')
        assert [problem.image for problem in scores.problems] == ['00002N']
        assert str(path) in scores.problems[0].message

    def test_the_whole_of_many_faults_is_not_printed(self, folders):
        for number in range(30):
            (folders['ir'] / f'lonely{number:02}.png').write_bytes(b'')
        with pytest.raises(EvaluationError, match='and 20 more') as caught:
            score(folders)
        assert str(caught.value).count('lonely') == 10

    def test_nothing_left_is_an_error_even_with_keep_going(self, folders):
        for path in folders['noisy'].iterdir():
            path.write_bytes(b'')
        with pytest.raises(EvaluationError, match='4 of 4 images'):
            score(folders, keep_going=True)
        with pytest.raises(EvaluationError, match='no folder of fused images'):
            score(folders, methods=())

    def test_lossy_results_are_noted(self, folders):
        for path in list(folders['bright'].iterdir()):
            cv2.imwrite(str(path.with_suffix('.jpg')), cv2.imread(str(path)))
            path.unlink()
        assert any('bright: has results in a lossy' in note for note in score(folders).notes)

    def test_progress_is_told(self, folders):
        seen = []
        score(folders, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_cache_files_are_plain_json(folders, tmp_path):
    score(folders, cache_dir=tmp_path / 'cache')
    files = list((tmp_path / 'cache').rglob('*'))
    entries = [path for path in files if path.is_file()]
    assert len(entries) == 4 * 6
    assert set(json.loads(entries[0].read_text())['values']) == set(NAMES)


@pytest.mark.parametrize('size', [(1, 1), (32, 1), (1, 32)])
@pytest.mark.parametrize('workers', [0, 2])
def test_images_too_small_for_any_metric_are_named(folders, size, workers):
    for folder in folders.values():
        cv2.imwrite(str(folder / 'small.png'), np.zeros(size, np.uint8))
    with pytest.raises(EvaluationError, match=r'ir/small\.png: is \d+x\d+ pixels'):
        score_folders(folders['ir'], folders['vi'], {'x': folders['bright']}, ['EN'], workers)
    scores = score_folders(
        folders['ir'], folders['vi'], {'x': folders['bright']}, ['EN'], workers, keep_going=True
    )
    assert len(scores.images) == 4
    assert [problem.image for problem in scores.problems] == ['small']


@pytest.mark.parametrize('workers', [0, 2])
def test_a_cache_that_cannot_be_written_is_told_once(folders, tmp_path, workers):
    (tmp_path / 'cache').write_text('a file stands where the folder should be')
    given = folders['ir'], folders['vi'], {'x': folders['bright']}, ['EN']
    with pytest.warns(UserWarning, match='not kept there') as caught:
        scores = score_folders(*given, workers, tmp_path / 'cache')
    assert len(caught) == 1
    assert str(tmp_path / 'cache') in str(caught[0].message)
    np.testing.assert_array_equal(scores.values, score_folders(*given, workers).values)


def test_a_constant_result_is_named_also_from_the_cache(folders, tmp_path):
    black = folders['bright'] / '00002N.png'
    cv2.imwrite(str(black), np.zeros((48, 64, 3), np.uint8))
    for _ in range(2):
        scores = score_folders(
            folders['ir'], folders['vi'], {'x': folders['bright']}, ['EN'], 0, tmp_path / 'cache'
        )
        assert len(scores.notes) == 1
        assert scores.notes[0].startswith(f'{black}: the fused image is constant (0)')


def test_leftovers_of_killed_runs_are_removed(folders, tmp_path):
    old, new = (tmp_path / 'cache' / 'ab' / f'.{digit * 32}.{digit * 32}.json' for digit in '12')
    old.parent.mkdir(parents=True)
    for path in (old, new):
        path.write_text('{')
    os.utime(old, (0, 0))
    score_folders(
        folders['ir'], folders['vi'], {'x': folders['bright']}, ['EN'], 0, tmp_path / 'cache'
    )
    assert not old.exists()
    assert new.exists()


def _kill_this_process(*args):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_no_bad_image(folders, monkeypatch):
    monkeypatch.setattr(scoring, 'score_sample', _kill_this_process)
    monkeypatch.setattr(scoring, '_process_context', lambda: multiprocessing.get_context('fork'))
    with pytest.raises(EvaluationError, match='a worker process was killed'):
        score_folders(
            folders['ir'], folders['vi'], {'x': folders['bright']}, ['EN'], 2, keep_going=True
        )

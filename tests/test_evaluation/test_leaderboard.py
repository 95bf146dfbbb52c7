"""The leaderboard: what it says, that names are no markup, and how it behaves in a browser."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from mmsgdfuse.evaluation.comparison import mean_intervals, paired_differences
from mmsgdfuse.evaluation.folders import EvaluationError, match_folders, method_folders
from mmsgdfuse.evaluation.leaderboard import leaderboard_page
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.scoring import score_folders
from mmsgdfuse.utils.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / 'test_tools'))
from chromium import Chromium, find_chromium

EVIL = '</script><script>window.pwned = 1</script>'


@pytest.fixture
def scored(folders):
    """Scores of four images with a method whose name is an attack, and their files."""
    methods = {'bright': folders['bright'], EVIL: folders['noisy']}
    sources = folders['ir'], folders['vi']
    scores = score_folders(*sources, methods, ['VIF', 'QRG', 'Nabf', 'SCD'], workers=0)
    return scores, match_folders(*sources, methods)[0]


@pytest.fixture
def page(scored) -> str:
    scores, samples = scored
    return leaderboard_page(scores, paired_differences(scores), samples, title='A & B', scenes=2)


def test_intervals_are_of_the_bootstrap(scored):
    scores, _ = scored
    low, high = mean_intervals(scores, resamples=4000, seed=1)['bright']['VIF']
    values = scores.of('bright', 'VIF')
    generator = np.random.default_rng(7)
    means = generator.choice(values, (20_000, len(values))).mean(axis=1)
    assert (low, high) == pytest.approx(np.quantile(means, [0.025, 0.975]), rel=0.02)
    assert low <= values.mean() <= high
    narrow = mean_intervals(scores, confidence=0.5)['bright']['VIF']
    assert low < narrow[0] < narrow[1] < high
    # F equals a source
    assert np.isnan(mean_intervals(scores)['visible']['SCD']).all()
    with pytest.raises(InputError, match='confidence'):
        mean_intervals(scores, confidence=1)


def test_every_row_has_its_mean_rank_and_interval(page, scored):
    scores, _ = scored
    text = re.sub(r'\s+', ' ', page)
    for row in ('visible', 'infrared', 'average', 'maximum', 'bright'):
        start = text.index(f'<th scope="row">{row}')
        line = text[start : text.index('</tr>', start)]
        mean = scores.summary(row, 'VIF').mean
        low, high = mean_intervals(scores)[row]['VIF']
        assert f'>{mean:.3f}</span>' in line
        assert f'<small>{low:.3f} .. {high:.3f}</small>' in line
        assert '<sup>' in line
    assert text.index('class="place1"') > 0
    assert '<h1>A &amp; B</h1>' in text


def test_a_difference_with_zero_in_its_interval_is_a_tie(page):
    values = np.array([[[1.0], [2.0], [3.0]], [[2.0], [1.0], [3.1]], [[9.0], [9.5], [9.2]]])
    names = dict(baselines=(), metrics=('VIF',), images=('a', 'b', 'c'))
    two = Scores(methods=('first', 'second'), values=values[:2], **names)
    page = leaderboard_page(two, paired_differences(two), [], scenes=0)
    assert page.count('not told apart from the best') == 1
    clear = Scores(methods=('first', 'third'), values=values[[0, 2]], **names)
    page = leaderboard_page(clear, paired_differences(clear), [], scenes=0)
    assert 'not told apart from the best' not in page


def test_it_holds_the_values_of_every_scene(page, scored):
    scores, _ = scored
    text = re.search(r'<script type="application/json" id="values">(.*?)</script>', page, re.DOTALL)
    document = json.loads(text[1])
    assert document['images'] == list(scores.images)
    assert document['directions'] == dict(VIF=1, QRG=0, Nabf=-1, SCD=1)
    assert document['rows'][EVIL]['VIF'] == pytest.approx(list(scores.of(EVIL, 'VIF')), rel=1e-5)
    assert document['rows']['visible']['SCD'] == [None] * 4


def test_names_are_never_markup(page):
    assert EVIL not in page
    assert page.count('<script') == 2
    assert 'default-src &#39;none&#39;' in page
    assert 'http' not in re.sub(r'data:[^"]+|http-equiv', '', page)


def test_scenes_are_spread_over_the_evaluation(page, scored):
    scores, samples = scored
    assert re.findall(r'data-name="(\w+)"', page) == ['00000N', '00003N']
    # infrared, visible, two methods and the rule to beat
    assert page.count('data:image/jpeg') == 2 * 5
    without = leaderboard_page(scores, paired_differences(scores), samples, scenes=0)
    assert 'data:image' not in without
    assert 'id="gallery"' not in without


def test_a_folder_of_methods(folders, tmp_path):
    root = tmp_path / 'results'
    root.mkdir()
    for name in ('noisy', 'bright'):
        folders[name].rename(root / name)
    (root / '.cache').mkdir()
    (root / 'notes.txt').write_text('no method')
    assert method_folders(root) == [root / 'bright', root / 'noisy']
    main = runpy.run_path(str(Path(__file__).parents[2] / 'tools' / 'evaluate.py'))['main']
    out = tmp_path / 'out'
    options = [
        '--metrics',
        'EN',
        '--no-cache',
        '--workers',
        '0',
        '--title',
        'Ours',
        '--scenes',
        '1',
    ]
    sources = [str(folders['ir']), str(folders['vi'])]
    assert main([*sources, '--methods', str(root), '--out', str(out), *options]) == 0
    text = (out / 'leaderboard.html').read_text()
    assert '<h1>Ours</h1>' in text
    for name in ('bright', 'noisy'):
        assert f'<th scope="row">{name}</th>' in text


def test_a_folder_without_methods_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match='holds no folder of results'):
        method_folders(tmp_path)
    with pytest.raises(EvaluationError, match='is no folder'):
        method_folders(tmp_path / 'absent')


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    executable = find_chromium()
    if executable is None:
        pytest.skip('no Chromium or Chrome on PATH; install one (Debian: apt install chromium)')
    browser = Chromium(executable, tmp_path_factory.mktemp('profile'))
    yield browser
    browser.close()


@pytest.fixture
def opened(browser, page, tmp_path):
    path = tmp_path / 'leaderboard.html'
    path.write_text(page, encoding='utf-8')
    browser.open(path.as_uri())
    return browser


class TestInABrowser:
    def column(self, opened, table, index):
        return opened.evaluate(
            f"[...document.querySelectorAll('{table} tbody tr')]"
            f'.map((row) => row.cells[{index}].textContent.trim())'
        )

    def click(self, opened, table, index):
        opened.evaluate(f"document.querySelectorAll('{table} thead th button')[{index}].click()")

    def test_a_head_sorts_the_better_end_first_and_then_turns(self, opened):
        for metric, better in ((2, True), (4, False)):  # VIF and Nabf
            value = (
                "[...document.querySelectorAll('#table tbody tr')]"
                f'.map((row) => Number(row.cells[{metric}].dataset.value))'
            )
            self.click(opened, '#table', metric)
            assert opened.evaluate(value) == sorted(opened.evaluate(value), reverse=better)
            self.click(opened, '#table', metric)
            assert opened.evaluate(value) == sorted(opened.evaluate(value), reverse=not better)

    def test_undefined_values_stay_last(self, opened):
        for _ in range(2):
            self.click(opened, '#table', 5)  # SCD
            assert set(self.column(opened, '#table', 0)[-2:]) == {'visible', 'infrared'}

    def test_a_scene_opens_with_all_metrics(self, opened):
        assert self.column(opened, '#by-scene', 0) == ['00000N', '00001N', '00002N', '00003N']
        opened.evaluate("document.querySelectorAll('#by-scene tbody button')[3].click()")
        assert opened.evaluate("document.querySelector('#scene-name').textContent") == '00003N'
        assert EVIL in self.column(opened, '#one-scene', 0)
        heads = opened.evaluate(
            "[...document.querySelectorAll('#one-scene thead th')].map((h) => h.textContent)"
        )
        assert heads == ['method', 'VIF', 'QRG', 'Nabf', 'SCD']

    def test_scenes_are_found_by_name(self, opened):
        opened.evaluate(
            "(() => { const field = document.querySelector('#filter'); field.value = '02';"
            " field.dispatchEvent(new Event('input')); })()"
        )
        assert self.column(opened, '#by-scene', 0) == ['00002N']

    def test_nothing_in_a_name_runs(self, opened):
        assert opened.evaluate('window.pwned') is None

    def test_any_two_methods_are_compared(self, opened):
        opened.evaluate('document.querySelector(\'input[name=left][value="3"]\').click()')
        tags = opened.evaluate("document.querySelector('.stack .tag.left').textContent")
        assert tags in ('bright', EVIL)

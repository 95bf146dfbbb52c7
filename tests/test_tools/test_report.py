"""The page of a run: what is read, what is refused, and how it behaves in a real browser."""

from __future__ import annotations

import importlib
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from chromium import Chromium, find_chromium

from mmsgdfuse.evaluation.folders import EvaluationError
from mmsgdfuse.utils.image_io import write_image
from mmsgdfuse.visualization.report import (
    Findings,
    PhaseLog,
    Picture,
    ReportError,
    build_gallery,
    find_folders,
    render_report,
    search,
)
from mmsgdfuse.visualization.report.curves import describe_gaps, draw_losses
from mmsgdfuse.visualization.report.metrics import value_table
from mmsgdfuse.visualization.report.run import read_log, read_phase

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY / 'tools' / 'report.py'
EVIL = '<script>window.pwned = 1</script>"\'><img src=x onerror="window.pwned = 2">'
COLOURS = dict(ir=(60, 60, 60), vi=(200, 40, 40), fused=(40, 200, 40))
CONFIG = """
model = dict(
    type='PreliminaryFuser',
    losses=dict(intensity=dict(type='InfraredIntensityLoss', loss_weight=1.5)))
train_dataloader = dict(batch_size=8)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=0.001))
train_cfg = dict(max_epochs=12)
randomness = dict(seed=7)
"""


def load_tool():
    """The tool as a module."""
    return importlib.import_module('mmsgdfuse.cli.report')


def write_run(folder, entries, config=CONFIG):
    """A run as mmengine leaves it: a line per entry, and the config."""
    data = folder / 'vis_data'
    data.mkdir(parents=True)
    (data / 'scalars.json').write_text(''.join(json.dumps(entry) + '\n' for entry in entries))
    if config is not None:
        (data / 'config.py').write_text(config)
    return folder


def trained(step, loss=0.5, **more):
    return dict(loss=loss, loss_intensity=loss, lr=0.001, epoch=1, iter=step, step=step, **more)


def validated(epoch, vif):
    metrics = {'fusion/VIF': vif, 'fusion/VIF_count': 13, 'fusion/QRG_worst': 1.1}
    return dict(metrics, data_time=0.1, time=0.2, step=epoch)


@pytest.fixture
def images(tmp_path):
    """Two scenes of flat colours: infrared grey, visible red, fused green."""
    for folder, colour in COLOURS.items():
        for name in ('one', 'two'):
            image = np.full((48, 64, 3), colour, np.uint8)
            write_image(
                tmp_path / folder / f'{name}.png', image[..., :1] if folder == 'ir' else image
            )
    return tmp_path


class TestLog:
    def test_training_and_validation_are_told_apart(self, tmp_path):
        run = write_run(tmp_path / '1', [trained(20), trained(40), validated(1, 0.9)])
        phase = read_phase('p', [run])
        assert [entry['step'] for entry in phase.training] == [20, 40]
        assert [entry['fusion/VIF'] for entry in phase.validation] == [0.9]
        assert phase.losses == ['loss', 'loss_intensity']
        assert phase.config_text == CONFIG

    def test_a_resumed_run_replaces_what_it_did_again(self, tmp_path):
        first = write_run(
            tmp_path / '1',
            [trained(20, 5.0), trained(40, 4.0), validated(1, 0.1), trained(60, 3.0)],
        )
        second = write_run(tmp_path / '2', [trained(40, 2.0), trained(60, 1.0), validated(2, 0.2)])
        phase = read_phase('p', [first, second])
        assert [(e['step'], e['loss']) for e in phase.training] == [(20, 5.0), (40, 2.0), (60, 1.0)]
        assert [e['fusion/VIF'] for e in phase.validation] == [0.1, 0.2]

    def test_a_resumed_run_that_has_not_logged_yet_replaces_nothing(self, tmp_path):
        first = write_run(tmp_path / '1', [trained(20)])
        phase = read_phase('p', [first, write_run(tmp_path / '2', [])])
        assert [entry['step'] for entry in phase.training] == [20]

    def test_a_last_line_that_breaks_off_is_left_out(self, tmp_path):
        path = tmp_path / 'scalars.json'
        path.write_text('{"loss": 1.0, "step": 20}\n{"loss": 0.')
        assert read_log(path) == [{'loss': 1.0, 'step': 20}]

    @pytest.mark.parametrize('line', ['{"loss": 0.', '[1, 2]', '{"loss": 1.0}'])
    def test_another_damaged_line_is_named(self, tmp_path, line):
        path = tmp_path / 'scalars.json'
        path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
        with pytest.raises(ReportError, match=r'scalars\.json:2: is no entry of a log'):
            read_log(path)

    def test_facts(self, tmp_path):
        phase = read_phase('p', [write_run(tmp_path / '1', [trained(20)])])
        assert phase.facts() == {
            'model': 'PreliminaryFuser',
            'trained': 'epoch 1 of 12, iteration 20',
            'batch size': '8',
            'optimizer': 'Adam, learning rate 0.001',
            'losses': '1.5 intensity (InfraredIntensityLoss)',
            'seed': '7',
        }

    def test_facts_without_a_config(self):
        assert PhaseLog('p', [dict(loss=1.0, step=3)], []).facts() == {'trained': 'iteration 3'}

    def test_a_damaged_config_is_named(self, tmp_path):
        run = write_run(tmp_path / '1', [trained(20)], config='model = dict(')
        with pytest.raises(ReportError, match=r'config\.py: is no configuration'):
            read_phase('p', [run])


def texts_of_legend(svg):
    _, legend = svg.split(b'id="legend_1"')
    return legend.count(b'<!--')  # Matplotlib notes each text that it draws


class TestPlot:
    def test_the_same_log_gives_the_same_bytes(self):
        phase = PhaseLog('p', [trained(20, 0.5), trained(40, 0.25)], [])
        assert draw_losses(phase) == draw_losses(phase)
        assert draw_losses(phase).lstrip().startswith(b'<?xml')

    def test_another_log_gives_another_plot(self):
        one = PhaseLog('p', [trained(20, 0.5), trained(40, 0.25)], [])
        other = PhaseLog('p', [trained(20, 0.5), trained(40, 0.35)], [])
        assert draw_losses(one) != draw_losses(other)

    def test_the_sum_of_a_single_loss_is_left_out(self):
        assert texts_of_legend(draw_losses(PhaseLog('p', [trained(20)], []))) == 1
        assert texts_of_legend(draw_losses(PhaseLog('p', [dict(loss=1.0, step=1)], []))) == 1

    @pytest.mark.parametrize('name', ['loss_$x', 'loss_$\\frac$', '_loss', EVIL + 'loss'])
    def test_any_name_can_be_drawn(self, name):
        entry = {'loss': 3.0, name: 2.0, 'loss_other': 1.0, 'step': 1}
        drawn = draw_losses(PhaseLog('p', [entry], []))
        assert texts_of_legend(drawn) == 3
        assert b'<script' not in drawn

    def test_values_that_are_not_finite_are_told(self):
        losses = [1.0, math.nan, math.inf, -0.5]
        phase = PhaseLog('p', [dict(loss=v, step=10 * i) for i, v in enumerate(losses)], [])
        assert draw_losses(phase)
        assert describe_gaps(phase) == [
            'loss was not finite in 2 of 4 entries, first at iteration 10'
        ]


class TestTables:
    def test_values_of_tests(self):
        table = value_table(
            'checkpoint',
            [
                ('a.pth', {'fusion/VIF': 0.9876, 'fusion/VIF_count': 4, 'time': 3.0}),
                ('a.pth', {'fusion/VIF': None, 'fusion/VIF_count': 3, 'fusion/EN_count': 4}),
            ],
        )
        assert table.head == ('checkpoint', 'VIF \u2191', 'images')
        assert table.labels == ('a.pth', 'a.pth')
        assert [[cell.text for cell in row] for row in table.cells] == [
            ['0.988', '4'],
            ['\u2013', '3 .. 4'],
        ]

    def test_an_evaluation_reads_as_it_was_written(self, images):
        from mmsgdfuse.evaluation.comparison import paired_differences
        from mmsgdfuse.evaluation.exports import evaluation_json
        from mmsgdfuse.evaluation.folders import Problem
        from mmsgdfuse.evaluation.scores import Scores
        from mmsgdfuse.evaluation.tables import difference_table, metric_table
        from mmsgdfuse.visualization.report.metrics import evaluation_tables

        values = np.array([[[0.1, 2.0], [0.3, np.nan]], [[0.5, 1.0], [0.4, 3.0]]])
        scores = Scores(
            ('ours',), ('maximum',), ('VIF', 'SCD'), ('one', 'two'), values,
            (Problem('three', 'three.png: is truncated'),), ('a note',),
        )  # fmt: skip
        differences = paired_differences(scores, resamples=50)
        document = json.loads(evaluation_json(scores, differences))
        assert evaluation_tables(images, document) == [
            metric_table(scores),
            difference_table('ours', scores, differences),
        ]

    def test_an_incomplete_evaluation_is_named(self, tmp_path):
        path = tmp_path / 'evaluation.json'
        path.write_text(json.dumps(dict(metrics=['VIF'], images=['one'], rows={'ours': {}})))
        with pytest.raises(ReportError, match=r'evaluation\.json: is no complete evaluation'):
            render_report('t', search([path]))


class TestSearch:
    def test_everything_of_a_work_dir(self, tmp_path):
        write_run(tmp_path / 'late' / '20260102_000000', [trained(20)])
        write_run(tmp_path / 'early' / '20260101_000000', [trained(20)])
        write_run(tmp_path / 'early' / '20260103_000000', [trained(40)])
        test = dict(config='c.py', checkpoint='e.pth', metrics={'fusion/VIF': 1.0})
        (tmp_path / 'test').mkdir()
        (tmp_path / 'test' / 'metrics.json').write_text(json.dumps(test))
        found = search([tmp_path])
        assert [phase.name for phase in found.phases] == ['early', 'late']
        assert len(found.phases[0].training) == 2
        assert list(found.tests.values()) == [test]
        assert found.evaluations == {}

    def test_the_folder_of_one_phase(self, tmp_path):
        write_run(tmp_path / 'fusion' / '20260101_000000', [trained(20)])
        assert [phase.name for phase in search([tmp_path / 'fusion']).phases] == ['fusion']

    def test_sources_without_anything_are_named(self, tmp_path):
        with pytest.raises(ReportError, match='holds neither a training log'):
            search([tmp_path])
        with pytest.raises(ReportError, match=r'gone: no such file or folder'):
            search([tmp_path / 'gone'])
        (tmp_path / 'metrics.json').write_text('{"loss"')
        with pytest.raises(ReportError, match=r'metrics\.json: cannot be read as JSON'):
            search([tmp_path])

    def write_test(self, images, time, checkpoint, ir='ir'):
        out = images / 'work' / 'test' / checkpoint
        (out / 'fused').mkdir(parents=True)
        config = (
            f'test_dataloader = dict(dataset=dict(data_root={str(images)!r}, '
            f"data_prefix=dict(ir={ir!r}, vis='vi')))\n"
            f'default_hooks = dict(visualization=dict(out_dir={str(out / "fused")!r}))\n'
        )
        write_run(out / time, [], config)
        return out / 'fused'

    def test_the_images_of_the_tests_with_the_last_one_s_sources(self, images):
        first = self.write_test(images, '20260101_000000', 'epoch_1')
        self.write_test(images, '20260102_000000', 'other', ir='fused')
        last = self.write_test(images, '20260103_000000', 'epoch_2')
        write_run(images / 'work' / 'fusion' / '20260104_000000', [trained(40)], CONFIG)
        ir, vis, fused = find_folders(search([images / 'work']))
        assert (ir, vis) == (images / 'ir', images / 'vi')
        assert list(fused.items()) == [('epoch_2', last), ('epoch_1', first)]

    def test_folders_that_are_gone_are_left_out(self, images):
        self.write_test(images, '20260101_000000', 'epoch_1').rmdir()
        write_run(images / 'work' / 'fusion' / '20260104_000000', [trained(40)], CONFIG)
        assert find_folders(search([images / 'work'])) is None


class TestGallery:
    def gallery(self, images, **kwargs):
        return build_gallery(
            images / 'ir', images / 'vi', dict(ours=images / 'fused'), **kwargs
        )  # fmt: skip

    def test_layers_in_order(self, images):
        one, two = self.gallery(images)
        assert (one.name, two.name) == ('one', 'two')
        assert (one.width, one.height) == (64, 48)
        assert list(one.layers) == ['infrared', 'visible', 'ours']
        assert all(url.startswith('data:image/jpeg;base64,') for url in one.layers.values())

    def test_names_and_number_of_scenes(self, images):
        assert [p.name for p in self.gallery(images, names=['two'])] == ['two']
        assert [p.name for p in self.gallery(images, count=1)] == ['one']
        with pytest.raises(ReportError, match=r'^three: has no file of that name in each of'):
            self.gallery(images, names=['one', 'three'])

    def test_wide_images_are_scaled_down(self, images):
        large, small = self.gallery(images)[0], self.gallery(images, max_width=16)[0]
        assert (small.width, small.height) == (64, 48)
        assert len(small.layers['visible']) < len(large.layers['visible'])

    def test_images_that_do_not_fit_are_refused(self, images):
        write_image(images / 'fused' / 'one.png', np.zeros((48, 60, 3), np.uint8))
        with pytest.raises(ReportError, match=r'one\.png: is 60x48, but .*one\.png is 64x48'):
            self.gallery(images)

    def test_no_partner_at_all(self, images):
        for path in (images / 'fused').iterdir():
            path.rename(path.with_name(f'other_{path.name}'))
        with pytest.raises(ReportError, match='has no partner of that name'):
            self.gallery(images)

    def test_a_missing_folder_is_named(self, images):
        with pytest.raises(EvaluationError, match='gone: no such folder'):
            build_gallery(images / 'gone', images / 'vi', dict(ours=images / 'fused'))


class TestPage:
    def test_all_text_from_files_is_escaped(self, images):
        cell = 'data:image/jpeg;base64,AAAA'
        picture = Picture(EVIL, 64, 48, {'infrared': cell, 'visible': cell, EVIL: cell})
        found = Findings(
            phases=[PhaseLog(EVIL, [trained(20)], [{EVIL + '/x': 1.0, 'step': 1}], None, EVIL)],
            tests={Path('m.json'): dict(checkpoint=EVIL, metrics={f'fusion/{EVIL[:8]}': 1.0})},
        )
        page = render_report(EVIL, found, [picture])
        assert '<script>window' not in page
        assert '<img src=x' not in page
        # ours alone: the closing tag of the page's own script
        assert page.count('</script>') == 1

    def test_the_page_refers_to_nothing_outside(self, images):
        gallery = build_gallery(images / 'ir', images / 'vi', dict(ours=images / 'fused'))
        page = render_report('t', Findings(phases=[PhaseLog('p', [trained(20)], [])]), gallery)
        addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert len(addresses) > 6
        assert all(address.startswith(('data:', '#')) for address in addresses)
        assert not re.search(r'@import|url\(|<link|<iframe', page)

    def test_the_same_input_gives_the_same_page(self):
        found = Findings(phases=[PhaseLog('p', [trained(20)], [])])
        assert render_report('t', found) == render_report('t', found)

    def test_sections_without_content_are_left_out(self):
        page = render_report('t', Findings(phases=[PhaseLog('p', [trained(20)], [])]))
        assert 'id="training"' in page
        assert 'id="metrics"' not in page
        assert 'id="gallery"' not in page


class TestTool:
    def test_from_files_to_a_page(self, images, capsys):
        write_run(images / 'work' / 'fusion' / '20260101_000000', [trained(20), validated(1, 0.9)])
        out = images / 'pages' / 'report.html'
        arguments = [
            images / 'work', '-o', out, '--title', 'A & B', '--ir', images / 'ir',
            '--vis', images / 'vi', '--fused', f'ours={images / "fused"}',
        ]  # fmt: skip
        load_tool().main([str(argument) for argument in arguments])
        printed = capsys.readouterr().out
        assert '1 training phases, 0 tests, 0 evaluations, 2 scenes' in printed
        page = out.read_text(encoding='utf-8')
        assert '<h1>A &amp; B</h1>' in page
        assert '>0.900<' in page
        assert [path.name for path in out.parent.iterdir()] == ['report.html']

    def test_without_images(self, images, capsys):
        write_run(images / 'work' / '20260101_000000', [trained(20)])
        load_tool().main([str(images / 'work'), '-o', str(images / 'report.html')])
        assert 'no images: give --ir, --vis and --fused' in capsys.readouterr().out
        assert '<h1>work</h1>' in (images / 'report.html').read_text(encoding='utf-8')

    @pytest.mark.parametrize(
        ('arguments', 'message'),
        [
            ([], 'give a folder to report on'),
            (['work', '--ir', 'ir'], '--ir, --vis and --fused belong together'),
            (['work', '--images', '0'], '--images must be at least 1'),
            (['work', '--max-width', '0'], '--max-width must be at least 1'),
        ],
    )
    def test_bad_arguments(self, capsys, arguments, message):
        with pytest.raises(SystemExit):
            load_tool().parse_args(arguments)
        assert message in capsys.readouterr().err

    def test_an_error_leaves_an_earlier_page_alone(self, tmp_path):
        page = tmp_path / 'report.html'
        page.write_text('earlier')
        with pytest.raises(SystemExit, match=r'^error: .*gone: no such file or folder'):
            load_tool().main([str(tmp_path / 'gone'), '-o', str(page)])
        assert page.read_text() == 'earlier'


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    executable = find_chromium()
    if executable is None:
        pytest.skip('no Chromium or Chrome on PATH; install one (Debian: apt install chromium)')
    browser = Chromium(executable, tmp_path_factory.mktemp('profile'))
    yield browser
    browser.close()


@pytest.fixture
def opened(browser, images):
    """The browser, at a page with two scenes whose title and method are an attack."""
    write_run(images / 'work' / '20260101_000000', [trained(20), trained(40)])
    gallery = build_gallery(images / 'ir', images / 'vi', {EVIL: images / 'fused'})
    page = images / 'report.html'
    page.write_text(render_report(EVIL, search([images / 'work']), gallery), encoding='utf-8')
    browser.open(page.as_uri())
    yield browser
    browser.call('Emulation.clearDeviceMetricsOverride')
    browser.call('Emulation.setScriptExecutionDisabled', value=False)


def seen(browser, *shares, selector='.stack'):
    """Which of the three images shows at these shares of the width, in a row without labels."""
    picture = browser.picture(selector)
    names = []
    for share in shares:
        pixel = picture[picture.shape[0] // 4, int(share * picture.shape[1])].astype(int)
        distances = {name: np.abs(pixel - colour).max() for name, colour in COLOURS.items()}
        name = min(distances, key=distances.get)
        assert distances[name] < 8, pixel
        names.append(name)
    return names


def focus(browser, condition):
    """Walk through the page with the Tab key alone until the focus is where it should be."""
    for _ in range(20):
        browser.press('Tab')
        if browser.evaluate(condition):
            return
    pytest.fail(f'cannot be reached with the Tab key: {condition}')


def focus_slider(browser):
    focus(browser, 'document.activeElement.type === "range"')


class TestBrowser:
    def test_the_page_loads_nothing_and_logs_no_error(self, opened):
        requests = [e['request']['url'] for e in opened.events_of('Network.requestWillBeSent')]
        outside = [url for url in requests if not url.startswith('data:')]
        assert len(outside) == 1
        assert outside[0].startswith('file://')
        assert opened.events_of('Runtime.exceptionThrown') == []
        assert opened.events_of('Log.entryAdded') == []

    def test_an_attack_stays_text(self, opened):
        assert opened.evaluate('window.pwned') is None
        assert opened.evaluate("document.querySelector('h1').textContent") == EVIL
        assert opened.evaluate('document.scripts.length') == 1
        assert EVIL in opened.evaluate("document.querySelector('.toolbar').textContent")

    def test_the_policy_stops_scripts_that_are_not_the_page_s_own(self, opened):
        opened.evaluate(
            "document.body.append(Object.assign(document.createElement('script'),"
            " {textContent: 'window.pwned = 3'}))"
        )
        assert opened.evaluate('window.pwned') is None
        (entry,) = opened.events_of('Log.entryAdded')
        assert 'Content Security Policy' in entry['entry']['text']

    def test_every_image_is_decoded(self, opened):
        widths = opened.evaluate('[...document.images].map((image) => image.naturalWidth)')
        assert len(widths) == 2 * 3 + 1
        assert min(widths) > 0

    def test_the_slider_starts_in_the_middle(self, opened):
        assert seen(opened, 0.05, 0.4, 0.6, 0.95) == ['ir', 'ir', 'fused', 'fused']

    def test_keys_move_the_slider(self, opened):
        focus_slider(opened)
        opened.press('End')
        assert seen(opened, 0.05, 0.5, 0.95) == ['ir', 'ir', 'ir']
        opened.press('Home')
        assert seen(opened, 0.05, 0.5, 0.95) == ['fused', 'fused', 'fused']
        opened.press('ArrowRight', times=40)  # of half a percent each
        assert seen(opened, 0.05, 0.15, 0.25, 0.95) == ['ir', 'ir', 'fused', 'fused']
        opened.press('ArrowLeft', times=20)
        assert seen(opened, 0.05, 0.15) == ['ir', 'fused']

    def test_a_scene_has_a_slider_of_its_own(self, opened):
        focus_slider(opened)
        opened.press('End')
        other = 'figure:nth-of-type(2) .stack'
        assert seen(opened, 0.4, 0.6, selector=other) == ['ir', 'fused']

    def test_dragging_moves_the_slider(self, opened):
        box = opened.box('.stack')
        middle = box['y'] + box['height'] / 2
        opened.drag(
            (box['x'] + 0.5 * box['width'], middle), (box['x'] + 0.8 * box['width'], middle)
        )
        assert seen(opened, 0.7, 0.75, 0.85) == ['ir', 'ir', 'fused']
        value = float(opened.evaluate("document.querySelector('.stack input').value"))
        assert value == pytest.approx(80, abs=1)

    def test_the_sides_are_chosen_for_all_scenes_with_keys(self, opened):
        focus(opened, 'document.activeElement.name === "left"')
        opened.press('ArrowRight')
        assert seen(opened, 0.25, 0.75) == ['vi', 'fused']
        assert seen(opened, 0.25, selector='figure:nth-of-type(2) .stack') == ['vi']
        opened.press('Tab')
        opened.press('ArrowLeft')
        assert seen(opened, 0.25, 0.75) == ['vi', 'vi']

    def test_a_screen_reader_is_told_name_and_place(self, opened):
        focus_slider(opened)
        opened.press('Home')
        opened.press('ArrowRight', times=2)
        tree = opened.call('Accessibility.getFullAXTree')['nodes']
        sliders = [node for node in tree if node.get('role', {}).get('value') == 'slider']
        assert [node['name']['value'] for node in sliders] == ['Divider of one', 'Divider of two']
        assert [node['value']['value'] for node in sliders] == [1, 50]
        text = opened.evaluate("document.activeElement.getAttribute('aria-valuetext')")
        assert text == f'1 % infrared, then {EVIL}'

    def test_without_scripts_the_images_stand_side_by_side(self, opened):
        opened.call('Emulation.setScriptExecutionDisabled', value=True)
        opened.open(opened.evaluate('location.href'))
        assert seen(opened, 0.15, 0.5, 0.85) == ['ir', 'vi', 'fused']

    def test_a_narrow_window_scrolls_down_only(self, opened):
        opened.call(
            'Emulation.setDeviceMetricsOverride',
            width=360, height=640, deviceScaleFactor=1, mobile=True,
        )  # fmt: skip
        assert opened.evaluate('document.documentElement.scrollWidth') <= 360
        assert seen(opened, 0.25, 0.75) == ['ir', 'fused']

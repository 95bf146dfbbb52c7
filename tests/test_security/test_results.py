"""Results of others: their configs are read and not run, their names are shown as they are."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest
from mmengine.config import Config

from mmsgdfuse.datasets.downstream import LabelError
from mmsgdfuse.evaluation.contrast_page import contrast_page
from mmsgdfuse.evaluation.downstream import read_result, score_boxes
from mmsgdfuse.evaluation.exports import images_csv, means_csv, to_csv
from mmsgdfuse.evaluation.folders import Sample
from mmsgdfuse.evaluation.plots import write_box_plots
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.tables import metric_table, to_latex, to_markdown
from mmsgdfuse.utils.config_text import parse_config, read_dumped_config
from mmsgdfuse.utils.image_io import write_image
from mmsgdfuse.visualization.report import ReportError, render_report, search

pytestmark = pytest.mark.hostile

EVIL = '<script>window.pwned = 1</script>"\'><img src=x onerror="window.pwned = 2">'


def config_of(marker) -> str:
    """A config with settings, code and an import."""
    return (
        f"model = dict(type='PreliminaryFuser', losses=dict(a=dict(type='A')))\n"
        f'train_cfg = dict(max_epochs=7)\n'
        f"made = __import__('os').mkdir({str(marker)!r})\n"
        f"custom_imports = dict(imports=['os'])\n"
        f'for _ in [1]:\n    open({str(marker)!r}, "w")\n'
        f'def f(x=open({str(marker)!r}, "w")): pass\n'
    )


def write_run(folder, config: str, entries=(dict(loss=1.0, step=3),)):
    data = folder / 'run' / '20260101_000000' / 'vis_data'
    data.mkdir(parents=True)
    (data / 'scalars.json').write_text(''.join(json.dumps(entry) + '\n' for entry in entries))
    (data / 'config.py').write_text(config)
    return folder


class TestConfigs:
    def test_the_sample_is_live(self, tmp_path, marker):
        path = tmp_path / 'live.py'
        path.write_text(f"made = __import__('os').mkdir({str(marker)!r})\n")
        Config.fromfile(path)
        marker.rmdir()

    def test_a_report_shows_a_config_and_does_not_run_it(self, tmp_path, marker, tool, capsys):
        folder = write_run(tmp_path / 'work', config_of(marker))
        tool('report').main([str(folder), '-o', str(tmp_path / 'report.html')])
        page = (tmp_path / 'report.html').read_text()
        assert 'PreliminaryFuser' in page
        assert '__import__' in page
        (phase,) = search([folder]).phases
        assert phase.facts()['model'] == 'PreliminaryFuser'
        assert phase.facts()['losses'] == '1 a (A)'

    def test_a_downstream_result_s_config_is_not_run(self, tmp_path, marker, tool, capsys):
        (tmp_path / 'metrics.json').write_text(json.dumps(dict(config='configs/evil.py')))
        (tmp_path / 'evil.py').write_text(config_of(marker))
        with pytest.raises(LabelError, match=r'evil\.py: .*it lacks test_dataloader, test_evaluat'):
            read_result(tmp_path)
        assert tool('compare_downstream').main([str(tmp_path)]) == 2
        assert 'evil.py' in capsys.readouterr().err

    @pytest.mark.parametrize('config', ['../../evil.py', '/etc/passwd', '\0', 1, None, ['a']])
    def test_a_result_s_config_lies_in_its_folder(self, tmp_path, config):
        (tmp_path / 'evil.py').write_text('this is never read\n')
        folder = tmp_path / 'a' / 'b'
        folder.mkdir(parents=True)
        (folder / 'metrics.json').write_text(json.dumps(dict(config=config)))
        with pytest.raises(LabelError, match='none that can be read'):
            read_result(folder)

    @pytest.mark.parametrize(
        'name', ['sgdfuse-compact_ivif', 'sgdfuse_msrs', 'downstream/yolox-s_msrs-visible']
    )
    def test_dumped_configs_are_read_as_mmengine_reads_them(self, tmp_path, repository, name):
        config = Config.fromfile(repository / 'configs' / f'{name}.py')
        config.dump(tmp_path / 'dumped.py')
        found = read_dumped_config(tmp_path / 'dumped.py')
        assert found.to_dict() == Config.fromfile(tmp_path / 'dumped.py').to_dict()
        assert found.text == (tmp_path / 'dumped.py').read_text()

    def test_every_kind_of_value(self):
        text = 'a=dict({"x.y": (1, -2.5, None), 3: dict()})\nb=[inf, nan, 1e3, True, "s"]\nc=a'
        found = parse_config(text)
        assert found['a'] == {'x.y': (1, -2.5, None), 3: {}}
        assert found['b'][0] == float('inf')
        assert np.isnan(found['b'][1])
        assert found['b'][2:] == [1000.0, True, 's']
        assert found['c'] == 'a'

    @pytest.mark.parametrize(
        'text',
        ['model = dict(', '\0', '(' * 500, '-' * 100_000 + '1', 'a=' + '9' * 5000,
         'filename = 1', 'text = 1', b'\xff\xfe\x00'],
        ids=['broken', 'nul', 'deep', 'unary', 'number', 'reserved', 'text', 'bytes'],
    )  # fmt: skip
    def test_configs_that_cannot_be_read_are_named(self, tmp_path, text):
        folder = write_run(tmp_path, '')
        path = next(folder.rglob('config.py'))
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ReportError, match=r'config\.py: is no configuration'):
            search([folder])


class TestDocuments:
    @pytest.mark.parametrize('text', ['[' * 100_000, '{', '[1]', '{"images": []}', '[{"a": 1}]'])
    def test_predictions_and_labels_of_another_form_are_named(self, tmp_path, text):
        truth, predictions = tmp_path / 'truth.json', tmp_path / 'found.json'
        truth.write_text(json.dumps(dict(images=[], categories=[], annotations=[])))
        predictions.write_text(text)
        with pytest.raises(LabelError, match=r'truth\.json, .*found\.json: expected a COCO'):
            score_boxes(truth, predictions)
        with pytest.raises(LabelError, match=r'found\.json, .*truth\.json: expected a COCO'):
            score_boxes(predictions, truth)

    @pytest.mark.parametrize(
        'change',
        [
            dict(rows=[1]), dict(rows={'a': 1}), dict(metrics=1), dict(images=1), dict(notes=1),
            dict(left_out=[1]), dict(left_out=[dict(image='a')]), dict(differences=[1]),
            dict(differences=1),
        ],
    )  # fmt: skip
    def test_evaluations_of_another_form_are_named(self, tmp_path, change):
        document = dict(metrics=['VIF'], images=['one'], rows={}, differences=[], left_out=[],
                        notes=[])  # fmt: skip
        path = tmp_path / 'evaluation.json'
        path.write_text(json.dumps(document | change))
        with pytest.raises(ReportError, match=r'evaluation\.json: is no complete evaluation'):
            render_report('t', search([path]))

    @pytest.mark.parametrize('text', ['[' * 100_000, '9' * 5000, '\0', '{"a": '])
    def test_json_that_cannot_be_read_is_named(self, tmp_path, text):
        path = tmp_path / 'metrics.json'
        path.write_text(text)
        with pytest.raises(ReportError, match=r'metrics\.json: cannot be read as JSON'):
            search([path])

    @pytest.mark.parametrize('entry', [dict(loss='1', step=2), dict(a_loss=[1], step=2)])
    def test_logs_of_another_form_are_named(self, tmp_path, entry):
        folder = write_run(tmp_path, 'a = 1\n', [entry, dict(loss=1.0, step=3)])
        with pytest.raises(ReportError, match=r'scalars\.json:1: is no entry of a log'):
            search([folder])

    @pytest.mark.parametrize('value', [1, 'text', [1], dict(type=1), dict(a=None)])
    def test_configs_of_another_form_give_fewer_facts(self, tmp_path, value):
        keys = ('model', 'train_cfg', 'train_dataloader', 'optim_wrapper', 'randomness',
                'test_dataloader', 'default_hooks')  # fmt: skip
        text = ''.join(f'{key} = {value!r}\n' for key in keys)
        found = search([write_run(tmp_path, text)])
        assert found.phases[0].facts()['trained'] == 'iteration 3'
        assert render_report('t', found)


def scores_of(names: tuple[str, ...], images: tuple[str, ...]) -> Scores:
    values = np.random.default_rng(0).normal(size=(len(names) + 1, len(images), 1))
    return Scores(names, ('maximum',), ('VIF',), images, values, (), ())


class TestNames:
    def test_pages_escape_them(self, tmp_path):
        for folder, channels in (('ir', 1), ('vi', 3), ('fused', 3)):
            write_image(tmp_path / folder / 'a.png', np.full((40, 48, channels), 9, np.uint8))
        sample = Sample(
            EVIL, tmp_path / 'ir/a.png', tmp_path / 'vi/a.png', {EVIL: tmp_path / 'fused/a.png'}
        )
        page = contrast_page(scores_of((EVIL,), (EVIL,)), [sample], EVIL, 'maximum', 'VIF')
        assert '<script' not in page
        assert '<img src=x' not in page
        assert "default-src 'none'" in page
        assert re.findall(r'(?:src|href)="(?!data:)', page) == []

    @pytest.mark.parametrize('start', ['=', '+', '-', '@', '\t', '\r'])
    def test_spreadsheets_take_them_for_text(self, start):
        name = f'{start}HYPERLINK("http://example.org")'
        for text in (
            means_csv(scores_of((name,), (name,))),
            images_csv(scores_of((name,), (name,))),
        ):
            cells = [cell for row in csv.reader(io.StringIO(text, newline='')) for cell in row]
            assert f"'{name}" in cells
            assert not any(cell.startswith(start) and 'HYPER' in cell for cell in cells)

    def test_numbers_stay_numbers(self):
        text = to_csv([['-1.5', '+2', -3.25, '-inf', 'a', float('nan'), 1]])
        assert text == '-1.5,+2,-3.25,-inf,a,,1\n'

    def test_markdown_shows_them(self):
        name = f'{EVIL}|[x](javascript:alert(1)) `a`\n# head'
        lines = to_markdown(metric_table(scores_of((name,), ('one',)))).splitlines()
        assert len(lines) == 4
        assert '<script' not in lines[3]
        assert '<img' not in lines[3]
        assert re.search(r'(?<!\\)[\[\]`]', lines[3]) is None
        assert len(re.findall(r'(?<!\\)\|', lines[3])) == len(re.findall(r'\|', lines[2]))

    def test_latex_shows_them(self):
        text = to_latex(metric_table(scores_of((r'\input{/etc/passwd}$x$ % \write18{a}',), ('a',))))
        assert r'\input' not in text
        assert r'\write' not in text

    def test_plots_draw_them(self, tmp_path):
        scores = scores_of(('$x', r'a $\frac$ b', EVIL), ('one', 'two'))
        assert [path.name for path in write_box_plots(scores, tmp_path)] == ['VIF.png']

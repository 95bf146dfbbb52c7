"""The comparison: scores worked by hand, what is refused, and all inputs from training to table."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from downstream_sets import options, write_set
from mmengine.config import Config

from mmsgdfuse.datasets.downstream import LabelError, check_config
from mmsgdfuse.evaluation.downstream import (
    DownstreamResult,
    check_comparable,
    result_table,
    score_boxes,
    score_maps,
)
from mmsgdfuse.evaluation.exports import to_json
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.image_io import write_image

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = REPOSITORY / 'configs' / 'downstream'
# networks of a few thousand weights
TINY = dict(
    yolox={
        'init_cfg': None, 'backbone.widen_factor': 0.125, 'backbone.deepen_factor': 0.1,
        'neck.in_channels': '[32,64,128]', 'neck.out_channels': 16, 'bbox_head.in_channels': 16,
        'bbox_head.feat_channels': 16, 'bbox_head.stacked_convs': 1, 'test_cfg.score_thr': 0,
    },
    retinanet={
        'backbone.init_cfg': None, 'backbone.depth': 18, 'neck.in_channels': '[64,128,256,512]',
        'neck.out_channels': 16, 'bbox_head.in_channels': 16, 'bbox_head.feat_channels': 16,
        'bbox_head.stacked_convs': 1, 'test_cfg.score_thr': 0,
    },
    deeplabv3plus={
        'pretrained': None, 'backbone.depth': 18, 'decode_head.in_channels': 512,
        'decode_head.channels': 16, 'decode_head.c1_in_channels': 64, 'decode_head.c1_channels': 4,
        'auxiliary_head.in_channels': 256, 'auxiliary_head.channels': 8,
    },
    segformer={
        'backbone.init_cfg': None, 'backbone.embed_dims': 8, 'backbone.num_layers': '[1,1,1,1]',
        'decode_head.in_channels': '[8,16,40,64]', 'decode_head.channels': 16,
    },
)  # fmt: skip


def load_tool(name: str):
    spec = importlib.util.spec_from_file_location(
        f'{name}_downstream', REPOSITORY / f'tools/{name}.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def tools():
    """The three tools as modules, by name."""
    for package in ('mmdet', 'mmseg'):
        pytest.importorskip(package)
    return {name: load_tool(name) for name in ('train', 'test', 'compare_downstream')}


@pytest.fixture(scope='module')
def sets(tmp_path_factory) -> dict[bool, Path]:
    """Roots of MSRS with boxes and with maps."""
    return {
        maps: write_set(tmp_path_factory.mktemp('msrs'), 'MSRS', maps, images=4)
        for maps in (False, True)
    }


def tiny_options(config: str, root: Path, more: dict | None = None) -> list[str]:
    """Options that make a config's networks, images and schedule small."""
    prefix = 'model.model.' if config.endswith('fused') else 'model.'
    network = TINY[config.partition('-')[0]]
    changed = {f'{prefix}{key}': value for key, value in network.items()}
    return options({'data_root': root, 'cache_dir': root / 'masks', **changed, **(more or {})})


def boxes_document(**categories: int) -> dict:
    """Two images with a box of (10, 10, 20, 20) of each category."""
    numbers = list(categories.values())
    return dict(
        info={},
        images=[dict(id=i, width=64, height=48, file_name='') for i in (1, 2)],
        categories=[dict(id=number, name=name) for name, number in categories.items()],
        annotations=[
            dict(id=len(numbers) * (i - 1) + k + 1, image_id=i, category_id=number,
                 bbox=[10, 10, 20, 20], area=400, iscrowd=0)
            for i in (1, 2) for k, number in enumerate(numbers)
        ],
    )  # fmt: skip


class TestScores:
    def test_boxes(self, tmp_path):
        truth = boxes_document(person=0, car=1)
        truth['categories'].append(dict(id=2, name='bus'))
        write_text(tmp_path / 'truth.json', to_json(truth))
        found = [
            # of the persons one is exact and the other missed
            dict(image_id=1, category_id=0, bbox=[10, 10, 20, 20], score=0.9),
            # both cars have an overlap of 16 / 20: right for 0.5 to 0.8, wrong from 0.85 on
            *(dict(image_id=i, category_id=1, bbox=[10, 10, 16, 20], score=0.5) for i in (1, 2)),
        ]
        write_text(tmp_path / 'found.json', to_json(found))
        values, _ = score_boxes(tmp_path / 'truth.json', tmp_path / 'found.json')
        # 51 of the 101 recalls 0, 0.01, ... are up to one half
        assert values['AP50']['person'] == pytest.approx(100 * 51 / 101)
        assert values['AP']['person'] == pytest.approx(100 * 51 / 101)
        assert values['AP50']['car'] == pytest.approx(100)
        assert values['AP']['car'] == pytest.approx(70)
        assert math.isnan(values['AP']['bus'])

    def test_no_box_found(self, tmp_path):
        write_text(tmp_path / 'truth.json', to_json(boxes_document(person=0)))
        values, _ = score_boxes(tmp_path / 'truth.json', tmp_path / 'none.json')
        assert values == dict(AP=dict(person=0.0), AP50=dict(person=0.0))
        with pytest.raises(LabelError, match='no such file'):
            score_boxes(tmp_path / 'absent.json', tmp_path / 'none.json')

    def test_maps(self, tmp_path):
        true = np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8)
        predicted = np.array([[0, 0, 0, 1], [0, 2, 1, 1]], np.uint8)
        for name in 'ab':
            write_image(tmp_path / f'labels/{name}.png', true)
            write_image(tmp_path / f'found/{name}.png', predicted)
        values = score_maps(tmp_path / 'found', tmp_path / 'labels', ('sky', 'car', 'bus'))
        assert values['IoU']['sky'] == pytest.approx(100 * 3 / 5)
        assert values['IoU']['car'] == pytest.approx(100 * 2 / 3)
        assert math.isnan(values['IoU']['bus'])
        write_image(tmp_path / 'found/a.png', predicted[:1])
        with pytest.raises(LabelError, match=r"a\.png: expected the label's 4x2, found 4x1"):
            score_maps(tmp_path / 'found', tmp_path / 'labels', ('sky', 'car', 'bus'))

    def test_table_marks_the_best_and_leaves_out_the_undefined(self):
        def result(name, **values):
            cfg = Config(dict(model=dict(type='FusedDetector')))
            return DownstreamResult(name, dict(AP=values), ('a', 'b', 'c'), None, cfg)

        results = [
            result('infrared', a=10.0, b=20.0, c=math.nan),
            result('ours', a=30.0, b=10.0, c=math.nan),
        ]
        table = result_table(results)
        assert table.head == ('input', 'AP a', 'AP b', 'AP c', 'AP mean')
        assert [cell.text for cell in table.cells[0]] == ['10.0', '20.0', '\u2013', '15.0']
        assert [[cell.place for cell in row] for row in table.cells] == [[2, 1, 0, 2], [1, 2, 0, 1]]
        assert table.rule_after == 1


class TestRefusals:
    """A config whose classes, labels and images do not belong together."""

    @pytest.fixture
    def cfg(self, sets) -> Config:
        cfg = Config.fromfile(CONFIGS / 'yolox-s_msrs-folder.py')
        for split in ('train', 'val', 'test'):
            cfg[f'{split}_dataloader'].dataset.data_root = str(sets[False])
        return cfg

    def test_what_fits_passes(self, cfg):
        check_config(cfg)

    @pytest.mark.parametrize(
        ('classes', 'found'),
        [
            (('person', 'car', 'bicycle'), 'in this order, .* found person, bicycle, car'),
            (('person', 'bicycle', 'bus'), 'person, bicycle, bus, .* found person, bicycle, car'),
        ],
    )
    def test_categories(self, cfg, classes, found):
        cfg.test_dataloader.dataset.metainfo.classes = classes
        with pytest.raises(LabelError, match=rf'test\.json: expected the categories .*{found}'):
            check_config(cfg)
        check_config(cfg, ('train',))

    def test_heads(self, cfg):
        cfg.model.bbox_head.num_classes = 80
        message = r'model\.bbox_head\.num_classes: expected 3, one per class .*, found 80'
        with pytest.raises(LabelError, match=message):
            check_config(cfg)

    def test_label_maps(self, sets):
        cfg = Config.fromfile(CONFIGS / 'deeplabv3plus-r50_msrs-visible.py')
        cfg.test_dataloader.dataset.update(
            data_root=str(sets[True]), metainfo=dict(classes=('background', 'car'))
        )
        for head in ('decode_head', 'auxiliary_head'):
            cfg.model[head].num_classes = 2
        with pytest.raises(LabelError, match=r'expected ids 0\.\.1 .*\(background, car\), found 2'):
            check_config(cfg, ('test',))

    def test_an_unfused_folder(self, cfg):
        cfg.test_dataloader.dataset.data_prefix.img = 'test/vi'
        with pytest.raises(LabelError, match='test/vi: expected fused images, found the folder of'):
            check_config(cfg)

    def test_no_labels(self, cfg):
        cfg.train_dataloader.dataset.ann_file = 'annotations/none.json'
        with pytest.raises(FileNotFoundError, match=r'none\.json: .*check_labels\.py'):
            check_config(cfg)


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestRuns:
    def train(self, tools, config: str, root: Path, work_dirs: Path, more=None) -> list[str]:
        """Two iterations; returns the options."""
        changed = tiny_options(config, root, more)
        arguments = [str(CONFIGS / f'{config}.py'), '--work-dir', str(work_dirs / config)]
        tools['train'].main([*arguments, *changed])
        return changed

    @pytest.mark.parametrize(
        'config', ['retinanet-r50_msrs-visible', 'deeplabv3plus-r50_msrs-folder']
    )
    def test_trains_and_tests(self, tools, sets, tmp_path, config):
        root = sets[config.startswith('deeplab')]
        changed = self.train(tools, config, root, tmp_path)
        checkpoint = tmp_path / config / 'epoch_1.pth'
        out = tmp_path / 'out'
        arguments = [str(CONFIGS / f'{config}.py'), str(checkpoint), '--out-dir', str(out)]
        assert tools['test'].main([*arguments, *changed]) == 0
        metrics = json.loads((out / 'metrics.json').read_text())['metrics']
        assert {'coco/bbox_mAP', 'mIoU'} & set(metrics)
        assert list((out / 'predictions').iterdir())

    @pytest.mark.parametrize(('model', 'maps'), [('yolox-tiny', False), ('segformer-b0', True)])
    def test_three_inputs_to_one_table(
        self, tools, sets, tmp_path, tiny_weights, model, maps, monkeypatch, capsys
    ):
        root = sets[maps]
        configs = [f'{model}_msrs-{which}' for which in ('infrared', 'visible', 'fused')]
        for config in configs:
            more = {'model.fuser_weights': tiny_weights} if config.endswith('fused') else {}
            changed = self.train(tools, config, root, tmp_path, more)
            checkpoint = tmp_path / config / 'epoch_1.pth'
            folder = tmp_path / config / 'test' / 'epoch_1'
            arguments = [str(CONFIGS / f'{config}.py'), str(checkpoint), '--out-dir', str(folder)]
            assert tools['test'].main([*arguments, *changed]) == 0

        out = tmp_path / 'tables'
        paths = [str(CONFIGS / f'{config}.py') for config in configs]
        command = ['--work-dirs', str(tmp_path), '--out', str(out), '--collect']
        compare = tools['compare_downstream'].main
        capsys.readouterr()
        assert compare([*paths, *command]) == 0
        printed = capsys.readouterr().out
        assert all(name in printed for name in ('infrared', 'visible', 'fused', 'mean'))
        with (out / 'downstream.csv').open() as file:
            rows = list(csv.DictReader(file))
        assert {row['input'] for row in rows} == {'infrared', 'visible', 'fused'}
        assert {row['metric'] for row in rows} == ({'IoU'} if maps else {'AP', 'AP50'})
        document = json.loads((out / 'downstream.json').read_text())
        metrics = json.loads((folder / 'metrics.json').read_text())['metrics']
        if maps:  # mmseg's own mean is over all classes with a pixel in either map
            assert document['fused']['classes']['IoU'].keys() >= set(document['fused']['reported'])
            assert 'bump' not in (out / 'downstream.md').read_text()
        else:
            own = 100 * metrics['coco/bbox_mAP']
            assert document['fused']['mean']['AP'] == pytest.approx(own, abs=0.051)
        assert document['visible']['images'] == str(root / 'test/vi')
        assert document['fused']['images'] is None

        # the visible images under the name of fused ones
        copied = str(tmp_path / configs[1] / 'test/epoch_1')
        assert compare([*paths[:2], f'ours={copied}', *command]) == 2
        assert 'expected fused images, found the folder of the visible' in capsys.readouterr().err
        assert compare([*paths, f'fused={copied}', *command]) == 2
        assert 'different names' in capsys.readouterr().err
        (tmp_path / configs[0] / 'test/epoch_1/metrics.json').unlink()
        assert compare([*paths, *command]) == 2
        assert 'expected the results of' in capsys.readouterr().err

        # tests what has not been tested
        calls = []

        def run(command, check):
            calls.append(command[1:])
            return SimpleNamespace(returncode=tools['test'].main(command[2:]))

        monkeypatch.setattr(tools['compare_downstream'], 'subprocess', SimpleNamespace(run=run))
        first = tiny_options(configs[0], root)
        assert compare([*paths, *command[:-1], *first]) == 0
        assert len(calls) == 1
        again = json.loads((out / 'downstream.json').read_text())
        assert again == document


def test_results_that_cannot_be_compared(tmp_path, capsys):
    main = load_tool('compare_downstream').main
    assert main([str(tmp_path / 'none')]) == 2
    assert 'expected the results of tools/test.py' in capsys.readouterr().err
    assert main([str(CONFIGS / 'yolox-s_msrs-fused.py'), '--work-dirs', str(tmp_path)]) == 2
    assert 'expected a checkpoint epoch_N.pth, found none; train with' in capsys.readouterr().err
    cfg = Config(dict(model=dict(type='FusedDetector')))
    one = DownstreamResult('a', dict(AP=dict(x=1.0)), ('x',), [1], cfg)
    other = DownstreamResult('b', dict(AP=dict(x=1.0)), ('x',), [2], cfg)
    with pytest.raises(LabelError, match='b: expected the classes and labels that a was tested on'):
        check_comparable([one, other])

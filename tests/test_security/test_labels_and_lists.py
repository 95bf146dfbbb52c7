"""Labels, lists of names and mask caches of others: nothing expands, nothing leaves its folder."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from mmsgdfuse.datasets import IVIFDataset
from mmsgdfuse.datasets.downstream import collect_boxes
from mmsgdfuse.datasets.downstream.boxes import read_voc, read_yolo
from mmsgdfuse.datasets.ivif_dataset import DatasetError
from mmsgdfuse.datasets.pairing import find_pairs
from mmsgdfuse.datasets.transforms import LoadMasks
from mmsgdfuse.masks import MaskCache, ThermalVisualSaliency
from mmsgdfuse.utils.image_io import write_image

pytestmark = pytest.mark.hostile

SIZE = (48, 64)
OBJECT = (
    '<object><name>{name}</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>20</xmax>'
    '<ymax>20</ymax></bndbox></object>'
)


def voc(path, text: str):
    path.write_text(text)
    boxes, faults = read_voc(path, ('person',), SIZE)
    return boxes, [fault.message for fault in faults]


class TestAnnotations:
    def test_a_sound_one_is_read(self, tmp_path):
        boxes, faults = voc(
            tmp_path / 'a.xml', f'<annotation>{OBJECT.format(name="person")}</annotation>'
        )
        assert len(boxes) == 1
        assert faults == []

    def test_entities_do_not_expand(self, tmp_path):
        levels = ''.join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 12))
        start = time.perf_counter()
        boxes, (fault,) = voc(
            tmp_path / 'bomb.xml',
            f'<!DOCTYPE a [<!ENTITY e0 "person">{levels}]>'
            f'<annotation>{OBJECT.format(name="&e11;")}</annotation>',
        )
        assert time.perf_counter() - start < 5
        assert boxes == []
        assert 'declares entities' in fault

    @pytest.mark.parametrize('kind', ['ENTITY', 'ENTITY %'])
    def test_other_files_are_not_read(self, tmp_path, kind):
        (tmp_path / 'secret.txt').write_text('person')
        text = (
            f'<!DOCTYPE a [<!{kind} e SYSTEM "file://{tmp_path}/secret.txt">]>'
            f'<annotation>{OBJECT.format(name="&e;" if kind == "ENTITY" else "x")}</annotation>'
        )
        boxes, (fault,) = voc(tmp_path / 'outside.xml', text)
        assert boxes == []
        assert 'declares entities' in fault

    def test_deep_nesting_is_refused(self, tmp_path):
        depth = 200_000
        start = time.perf_counter()
        _, (fault,) = voc(tmp_path / 'deep.xml', '<annotation>' + '<a>' * depth)
        assert time.perf_counter() - start < 5
        assert 'nested more than 16 levels' in fault

    def test_huge_numbers_are_faults_or_passed_over(self, tmp_path):
        huge = '9' * 5000
        text = (
            f'<annotation><size><width>{huge}</width><height>{huge}</height></size>'
            f'{OBJECT.format(name="person").replace(">20<", f">{huge}<")}</annotation>'
        )
        boxes, (fault,) = voc(tmp_path / 'huge.xml', text)
        assert boxes == []
        assert 'expected numbers' in fault
        path = tmp_path / 'huge.txt'
        path.write_text(f'{huge} .5 .5 .1 .1\n0 {huge} .5 .1 .1\n0 .5 .5 .1 .1\n')
        boxes, faults = read_yolo(path, ('person',), SIZE)
        assert len(boxes) == 1
        assert [fault.line for fault in faults] == [1, 2]

    def test_the_fault_names_the_file_and_the_rest_goes_on(self, tmp_path):
        for name in ('a', 'b'):
            for folder, channels in (('ir', 1), ('vi', 3)):
                image = np.zeros((*SIZE, channels), np.uint8)
                write_image(tmp_path / folder / f'{name}.png', image)
        labels = tmp_path / 'labels'
        labels.mkdir()
        (labels / 'a.xml').write_text('<!DOCTYPE a [<!ENTITY e "x">]><annotation/>')
        (labels / 'b.xml').write_text(f'<annotation>{OBJECT.format(name="person")}</annotation>')
        pairs, _ = find_pairs(dict(ir=tmp_path / 'ir', vis=tmp_path / 'vi'))
        found = collect_boxes(pairs, labels, 'voc', ('person',))
        assert list(found.boxes) == ['b.png']
        assert [fault.path for fault in found.faults] == [labels / 'a.xml']


@pytest.mark.parametrize(
    'name', ['../secret/a', '../secret/a.png', '/etc/passwd', '~/a', '..', 'file:///a', 'a\0b']
)
def test_a_list_reaches_no_other_folder(tmp_path, name):
    for folder, channels in (('ir', 1), ('vi', 3), ('secret', 3)):
        image = np.zeros((*SIZE, channels), np.uint8)
        write_image(tmp_path / folder / ('a.png' if folder == 'secret' else 'b.png'), image)
    (tmp_path / 'list.txt').write_text(f'b\n{name}\n')
    with pytest.raises(DatasetError, match=r'no ir image in .* and vis image in'):
        IVIFDataset(data_root=str(tmp_path), ann_file='list.txt')


class TestMaskCache:
    @pytest.mark.parametrize('kind', ['../../outside', '/outside', 'a/b', '~', ['a'], {'a': 1}])
    def test_its_settings_lead_nowhere_else(self, tmp_path, kind):
        folder = tmp_path / 'cache' / 'Any-0123456789abcdef'
        folder.mkdir(parents=True)
        (folder / 'settings.json').write_text(json.dumps(dict(type=kind)))
        with pytest.raises(ValueError, match=r'settings\.json describes|settings\.json is damaged'):
            LoadMasks(ir=folder)
        assert [path.name for path in tmp_path.iterdir()] == ['cache']

    @pytest.mark.parametrize('text', ['[' * 100_000, '{', '[1]', '9' * 5000, '{"type": ""}'])
    def test_damaged_settings_are_named(self, tmp_path, text):
        (tmp_path / 'settings.json').write_text(text)
        with pytest.raises(ValueError, match=r'settings\.json is damaged'):
            MaskCache.open(tmp_path)

    def test_its_settings_build_nothing(self, tmp_path, marker, scene):
        cache = MaskCache(tmp_path / 'cache', ThermalVisualSaliency().settings)
        cache.save(scene.ir, np.zeros(scene.ir.shape[:2], np.float32))
        evil = dict(type='os.system', command=f'mkdir {marker}')
        renamed = MaskCache(tmp_path / 'cache', evil)
        renamed.save(scene.ir, np.zeros(scene.ir.shape[:2], np.float32))
        opened = MaskCache.open(renamed.folder)
        assert opened.load(scene.ir) is not None

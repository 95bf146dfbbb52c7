"""Labels: read from the published formats, checked, and written as mmdet and mmseg read them."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from mmsgdfuse.datasets import synthetic_scene
from mmsgdfuse.datasets.downstream import (
    DETECTION_SETS,
    SEGMENTATION_SETS,
    LabelError,
    check_fused_folder,
    read_classes,
    read_voc,
    read_yolo,
)
from mmsgdfuse.utils.image_io import read_infrared, read_visible, write_image

SIZE = (48, 64)
CLASSES = ('person', 'car')
VOC = """<annotation>
  <size><width>64</width><height>48</height><depth>3</depth></size>
{objects}
</annotation>
"""
VOC_OBJECT = """<object>
  <name>{name}</name><difficult>{difficult}</difficult>
  <part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>
  <bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox>
</object>"""


def voc(*objects: tuple, name: str = 'person', difficult: int = 0) -> str:
    return VOC.format(
        objects='\n'.join(
            VOC_OBJECT.format(*box, name=name, difficult=difficult) for box in objects
        )
    )


@pytest.fixture
def label(tmp_path):
    """Function that writes one label file."""

    def write(text: str, name: str = 'a.txt') -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def tool(repository):
    return runpy.run_path(repository / 'tools/dataset_converters/check_labels.py')['main']


def sides(box) -> tuple:
    return box.x, box.y, box.width, box.height


class TestYolo:
    def test_coordinates(self, label):
        boxes, faults = read_yolo(label('0 0.5 0.25 0.25 0.5\n\n1 0.5 0.5 1 1\n'), CLASSES, SIZE)
        assert faults == []
        assert [(box.label, box.line, *sides(box)) for box in boxes] == [
            (0, 1, 24, 0, 16, 24),
            (1, 3, 0, 0, 64, 48),
        ]

    @pytest.mark.parametrize(
        ('line', 'kind', 'found'),
        [
            ('2 0.5 0.5 0.2 0.2', 'wrong class', 'expected 0..1 (person, car), found 2'),
            ('-1 0.5 0.5 0.2 0.2', 'wrong class', 'found -1'),
            ('0 0.5 0.5 0.2', 'unreadable', "found '0 0.5 0.5 0.2'"),
            ('0 0.5 0.5 0.2 0.2 0.9', 'unreadable', 'class cx cy w h'),
            ('person 0.5 0.5 0.2 0.2', 'unreadable', 'person'),
            ('0 nan 0.5 0.2 0.2', 'unreadable', 'nan'),
            ('0 0.5 0.5 0 0.2', 'zero size', '0.0x9.6 pixels'),
            ('0 0.5 0.5 -0.2 0.2', 'zero size', 'at least 1 pixel'),
            ('0 2.5 0.5 0.2 0.2', 'outside the image', 'within 64x48'),
            ('0 0.7 0.7 0.2 0.2', 'duplicate', 'as in line 1'),
        ],
    )
    def test_each_fault_is_named_with_its_line(self, label, line, kind, found):
        path = label(f'0 0.7 0.7 0.2 0.2\n{line}\n1 0.7 0.7 0.2 0.2\n')
        boxes, faults = read_yolo(path, CLASSES, SIZE)
        assert [box.line for box in boxes] == [1, 3]
        (fault,) = faults
        assert (fault.kind, fault.line, fault.path) == (kind, 2, path)
        assert str(fault).startswith(f'{path}:2: {kind}: ')
        assert found in fault.message

    def test_what_reaches_over_the_edge_is_clipped(self, label):
        # by 8 pixels, and by half a pixel, which is the rounding of a label
        path = label(f'0 0 0.5 0.25 0.5\n1 {4 / 64 - 0.5 / 64} 0.5 0.125 0.5\n')
        boxes, faults = read_yolo(path, CLASSES, SIZE)
        assert [sides(box) for box in boxes] == [(0, 12, 8, 24), (0, 12, 7.5, 24)]
        assert [(fault.kind, fault.line) for fault in faults] == [('outside the image', 1)]

    def test_not_text(self, tmp_path):
        path = tmp_path / 'a.txt'
        path.write_bytes(b'\xff\xfe\x00\x80')
        boxes, (fault,) = read_yolo(path, CLASSES, SIZE)
        assert boxes == []
        assert (fault.kind, fault.line) == ('unreadable', None)


class TestVoc:
    def test_pixels_count_from_one_and_include_the_last(self, label):
        path = label(voc((1, 1, 64, 48), (11, 21, 12, 24), difficult=1), 'a.xml')
        boxes, faults = read_voc(path, CLASSES, SIZE)
        assert faults == []
        assert [sides(box) for box in boxes] == [(0, 0, 64, 48), (10, 20, 2, 4)]
        assert [box.line for box in boxes] == [3, 8]
        assert all(box.difficult for box in boxes)

    def test_or_from_zero(self, label):
        path = label(voc((10, 20, 12, 24)), 'a.xml')
        (box,), faults = read_voc(path, CLASSES, SIZE, first_pixel=0)
        assert faults == []
        assert sides(box) == (10, 20, 2, 4)
        assert not box.difficult

    def test_faults(self, label):
        path = label(voc((1, 1, 9, 9), name='tram'), 'a.xml')
        _, (fault,) = read_voc(path, CLASSES, SIZE)
        assert str(fault) == f"{path}:3: wrong class: expected one of person, car, found 'tram'"
        path = label(voc((1, 1, 'x', 9), (5, 5, 70, 9)), 'b.xml')
        boxes, faults = read_voc(path, CLASSES, SIZE)
        assert [(fault.kind, fault.line) for fault in faults] == [
            ('unreadable', 3),
            ('outside the image', 8),
        ]
        assert [sides(box) for box in boxes] == [(4, 4, 60, 5)]
        _, (fault,) = read_voc(label(voc((1, 1, 9, 9)), 'c.xml'), CLASSES, (96, 128))
        assert fault.kind == 'wrong size'
        assert "expected the image's 128x96, found 64x48" in fault.message
        for content, found in (('<annotation><object>', 'no element found'), ('<a/>', 'found a')):
            boxes, (fault,) = read_voc(label(content, 'd.xml'), CLASSES, SIZE)
            assert (boxes, fault.kind) == ([], 'unreadable')
            assert found in fault.message


class TestClasses:
    def test_with_and_without_index(self, label):
        assert read_classes(label('1 car\n0 person\n\n2 traffic light\n')) == (
            'person',
            'car',
            'traffic light',
        )
        assert read_classes(label('traffic light\ncar\n')) == ('traffic light', 'car')

    @pytest.mark.parametrize('text', ['', 'a\na\n', '0 a\n2 b\n'])
    def test_refused(self, label, text):
        with pytest.raises(LabelError, match=r'a\.txt: expected'):
            read_classes(label(text))

    def test_known_sets(self):
        assert len(SEGMENTATION_SETS['MSRS'].classes) == 9
        assert len(SEGMENTATION_SETS['FMB'].classes) == 15
        for known in SEGMENTATION_SETS.values():
            assert len(set(known.palette)) == len(known.classes) == len(set(known.classes))
        assert DETECTION_SETS['M3FD'].classes[0] == 'People'


def labelled(root: Path, known: str, split: str | None, names=('a', 'b', 'c')) -> Path:
    """Pairs arranged as a known set, each with a person of a quarter of the image."""
    arranged = DETECTION_SETS[known]
    folders = arranged.layout.folders(split)
    labels = root / arranged.labels.format(split=split)
    labels.mkdir(parents=True, exist_ok=True)
    name = arranged.classes[0]
    for seed, stem in enumerate(names):
        scene = synthetic_scene(seed, size=SIZE)
        write_image(root / folders['ir'] / f'{stem}.png', scene.ir)
        write_image(root / folders['vis'] / f'{stem}.png', scene.vis)
        low = arranged.first_pixel
        texts = {
            'yolo': ('.txt', '0 0.5 0.5 0.5 0.5\n'),
            'voc': ('.xml', voc((16 + low, 12 + low, 48, 36), name=name)),
        }
        suffix, text = texts[arranged.format]
        (labels / f'{stem}{suffix}').write_text(text)
    return root


class TestBoxesTool:
    @pytest.mark.parametrize(
        ('known', 'split'), [('MSRS', 'train'), ('M3FD', None), ('LLVIP', 'test')]
    )
    def test_every_layout_gives_the_same_boxes(self, tool, tmp_path, known, split, capsys):
        root = labelled(tmp_path, known, split)
        assert tool(['boxes', known, str(root), *(['--split', split] if split else [])]) == 0
        assert '3 image(s), 0 of them without objects, 3 box(es): 3 ' in capsys.readouterr().out
        content = json.loads((root / f'annotations/{split or "all"}.json').read_text())
        assert [image['file_name'] for image in content['images']] == ['a.png', 'b.png', 'c.png']
        assert {tuple(box['bbox']) for box in content['annotations']} == {(16, 12, 32, 24)}
        names = [category['name'] for category in content['categories']]
        assert tuple(names) == DETECTION_SETS[known].classes

    def test_the_file_serves_pycocotools_and_mmdet(self, tool, tmp_path):
        coco = pytest.importorskip('pycocotools.coco')
        cocoeval = pytest.importorskip('pycocotools.cocoeval')
        datasets = pytest.importorskip('mmdet.datasets')
        root = labelled(tmp_path, 'MSRS', 'train')
        (root / 'train/labels/a.txt').write_text('')
        (root / 'train/labels/b.txt').write_text('2 0.5 0.5 0.5 0.5\n1 0.25 0.25 0.25 0.25\n')
        assert tool(['boxes', 'MSRS', str(root), '--split', 'train']) == 0
        file = root / 'annotations/train.json'

        truth = coco.COCO(str(file))
        exact = [
            dict(image_id=a['image_id'], category_id=a['category_id'], bbox=a['bbox'], score=0.9)
            for a in truth.dataset['annotations']
        ]
        scored = cocoeval.COCOeval(truth, truth.loadRes(exact), 'bbox')
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
        assert scored.stats[0] == pytest.approx(1)  # an id of 0 would count as a miss

        dataset = datasets.CocoDataset(
            data_root=str(root),
            ann_file='annotations/train.json',
            data_prefix=dict(img='train/vi'),
            metainfo=dict(classes=DETECTION_SETS['MSRS'].classes),
            filter_cfg=dict(filter_empty_gt=False),
        )
        assert len(dataset) == 3  # the image that shows nothing is kept
        found = [
            sorted((i['bbox_label'], *i['bbox']) for i in dataset.get_data_info(n)['instances'])
            for n in range(3)
        ]
        assert found == [[], [(1, 8, 6, 24, 18), (2, 16, 12, 48, 36)], [(0, 16, 12, 48, 36)]]

    def test_all_faults_at_once_and_keep_going(self, tool, tmp_path, capsys):
        root = labelled(tmp_path, 'MSRS', 'train', names='abcdefg')
        labels = root / 'train/labels'
        (labels / 'a.txt').unlink()
        (labels / 'b.txt').write_text('0 0.5 0.5 0.5 0.5\n7 0.5 0.5 0.5 0.5\n')
        (labels / 'c.txt').write_text('0 0.9 0.5 0.5 0.5\n')
        (labels / 'd.txt').write_bytes(b'\xff')
        (labels / 'z.txt').write_text('')
        (labels / 'classes.txt').write_text('person\n')
        (root / 'train/ir/e.png').unlink()
        write_image(root / 'train/vi/f.png', synthetic_scene(0, size=(33, 47)).vis)
        command = ['boxes', 'MSRS', str(root), '--split', 'train']
        assert tool(command) == 1
        printed = capsys.readouterr().out
        for place, kind in (
            ('vi/a.png: ', 'image without label'),
            ('b.txt:2: ', 'wrong class'),
            ('c.txt:1: ', 'outside the image'),
            ('d.txt: ', 'unreadable'),
            ('z.txt: ', 'label without image'),
            ('vi/e.png: ', 'no ir image'),
            ('vi/f.png: ', 'unfit image'),
        ):
            assert any(place in line and kind in line for line in printed.splitlines()), place
        assert 'classes.txt' not in printed
        assert '7 fault(s): ' in printed
        assert '1 wrong class' in printed
        assert 'nothing written' in printed
        assert not (root / 'annotations').exists()

        assert tool([*command, '--keep-going']) == 0
        assert '7 fault(s)' in capsys.readouterr().out
        content = json.loads((root / 'annotations/train.json').read_text())
        # d's label cannot be read: to take it for empty would teach that nothing is there
        assert [image['file_name'] for image in content['images']] == ['b.png', 'c.png', 'g.png']
        boxes = [box['bbox'] for box in content['annotations']]
        assert boxes == [[16, 12, 32, 24], [41.6, 12, 22.4, 24], [16, 12, 32, 24]]

    def test_one_folder_of_labels_for_both_splits(self, tool, tmp_path, capsys):
        labelled(tmp_path, 'LLVIP', 'train', names='ab')
        labelled(tmp_path, 'LLVIP', 'test', names='cd')
        assert tool(['boxes', 'LLVIP', str(tmp_path), '--split', 'train']) == 0
        (tmp_path / 'Annotations/x.xml').write_text(voc())
        assert tool(['boxes', 'LLVIP', str(tmp_path), '--split', 'test']) == 1
        assert 'x.xml: label without image' in capsys.readouterr().out

    def test_a_list_of_names(self, tool, tmp_path):
        root = labelled(tmp_path, 'M3FD', None)
        (root / 'val.txt').write_text('c.png\n')
        assert tool(['boxes', 'M3FD', str(root), '--names', str(root / 'val.txt')]) == 0
        content = json.loads((root / 'annotations/val.json').read_text())
        assert [image['file_name'] for image in content['images']] == ['c.png']

    def test_wrong_arguments(self, tool, tmp_path, capsys):
        root = labelled(tmp_path, 'MSRS', 'train')
        assert tool(['boxes', 'MSRS', str(root)]) == 2
        assert 'needs a split' in capsys.readouterr().err
        command = ['boxes', 'MSRS', str(root), '--split', 'train']
        assert tool([*command, '--labels', str(root / 'none')]) == 2
        assert 'none: no such folder of labels' in capsys.readouterr().err
        assert tool([*command, '--names', 'none.txt']) == 2

    def test_real_labels(self, tool, real_data, tmp_path, capsys):
        root = real_data / 'MSRS'
        out = tmp_path / 'dev.json'
        names = tmp_path / 'names.txt'
        names.write_text('\n'.join(sorted(p.name for p in (root / 'dev/vi').iterdir())[::20]))
        assert tool(
            ['boxes', 'MSRS', str(root), '--split', 'dev', '--out', str(out), '--names', str(names),
             '--classes', str(root / 'det_classes.txt')]
        ) == 0, capsys.readouterr().out  # fmt: skip
        lines = [
            line
            for name in names.read_text().split()
            for line in (root / f'dev/labels/{Path(name).stem}.txt').read_text().splitlines()
            if line.strip()
        ]
        content = json.loads(out.read_text())
        assert len(content['annotations']) == len(lines)
        assert {(image['width'], image['height']) for image in content['images']} == {(640, 480)}


class TestMapsTool:
    @pytest.fixture
    def root(self, tmp_path) -> Path:
        for seed, name in enumerate('ab'):
            scene = synthetic_scene(seed, size=SIZE)
            write_image(tmp_path / f'test/Infrared/{name}.png', scene.ir)
            write_image(tmp_path / f'test/Visible/{name}.png', scene.vis)
            ids = np.zeros(SIZE, np.uint8)
            ids[:12] = 7
            ids[:, :4] = 255
            write_image(tmp_path / f'test/Label/{name}.png', ids)
        return tmp_path

    def test_counts(self, tool, root, capsys):
        assert tool(['maps', 'FMB', str(root), '--split', 'test']) == 0
        printed = capsys.readouterr().out
        assert re.search(r'sky: +25\.000 % of the pixels, in 2 image', printed)
        assert re.search(r'background: +75\.000 %', printed)
        assert re.search(r'car: +0\.000 % of the pixels, in 0 image', printed)
        assert '2 map(s) read\n0 fault(s)' in printed

    def test_faults(self, tool, root, capsys):
        write_image(root / 'test/Label/a.png', np.full(SIZE, 15, np.uint8))
        write_image(root / 'test/Label/b.png', np.zeros((24, 32), np.uint8))
        write_image(root / 'test/Label/x.png', np.zeros(SIZE, np.uint8))
        assert tool(['maps', 'FMB', str(root), '--split', 'test']) == 1
        printed = capsys.readouterr().out
        assert 'a.png: wrong class: expected ids 0..14 or 255 (ignored), found 15' in printed
        assert "b.png: wrong size: expected the image's 64x48, found 32x24" in printed
        assert 'x.png: label without image' in printed
        assert '3 fault(s): ' in printed
        write_image(root / 'test/Label/a.png', np.zeros((*SIZE, 3), np.uint8))
        (root / 'test/Label/b.png').unlink()
        assert tool(['maps', 'FMB', str(root), '--split', 'test', '--keep-going']) == 0
        printed = capsys.readouterr().out
        assert 'a.png: unreadable: a label map must be 8-bit grey' in printed
        assert 'Visible/b.png: image without label' in printed


class TestFusedFolder:
    @pytest.fixture
    def folders(self, make_pairs) -> dict[str, Path]:
        root = make_pairs()
        folders = dict(fused=root / 'fused', ir=root / 'ir', vis=root / 'vi')
        for path in folders['ir'].iterdir():
            ir, vis = read_infrared(path), read_visible(folders['vis'] / path.name)
            write_image(folders['fused'] / path.name, np.maximum(ir, vis))
        return folders

    def test_fused_images_pass(self, folders):
        check_fused_folder(**folders)
        (folders['fused'] / 'c.png').write_bytes((folders['vis'] / 'c.png').read_bytes())
        check_fused_folder(**folders)  # one of three may be by chance

    @pytest.mark.parametrize(('role', 'key'), [('infrared', 'ir'), ('visible', 'vis')])
    def test_copies_are_refused(self, folders, role, key):
        for path in folders['fused'].iterdir():
            # the same pixels in another file: three channels, another suffix
            image = read_visible(folders[key] / path.name)
            path.unlink()
            write_image(path.with_suffix('.bmp'), image)
        message = rf'fused: expected fused images, found that 3 of 3 are the {role} images'
        with pytest.raises(LabelError, match=message):
            check_fused_folder(**folders)
        with pytest.raises(LabelError, match=f'the folder of the {role} images itself'):
            check_fused_folder(**{**folders, 'fused': folders[key]})

    def test_gaps_and_sizes_are_refused(self, folders):
        write_image(folders['fused'] / 'a.png', np.zeros((16, 16, 3), np.uint8))
        with pytest.raises(LabelError, match=r'a\.png: expected the size .* 47x33, found 16x16'):
            check_fused_folder(**folders)
        (folders['fused'] / 'a.png').unlink()
        with pytest.raises(LabelError, match='for each of 3 pairs, found 2 of them; missing: a'):
            check_fused_folder(**folders)
        check_fused_folder(**folders, names=['b', 'c'])
        with pytest.raises(LabelError, match='none: no such folder'):
            check_fused_folder(**{**folders, 'fused': folders['ir'].parent / 'none'})

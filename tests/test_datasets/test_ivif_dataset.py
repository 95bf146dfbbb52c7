from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, pseudo_collate
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from mmsgdfuse.datasets import DatasetError, IVIFDataset
from mmsgdfuse.registry import DATASETS
from mmsgdfuse.utils.image_io import read_image, write_image

PIPELINE = [dict(type='mmsgdfuse.LoadPair'), dict(type='mmsgdfuse.PackFusionInputs')]


def names(dataset):
    return [dataset.get_data_info(index)['name'] for index in range(len(dataset))]


@pytest.mark.parametrize(
    ('layout', 'split', 'folders'),
    [
        ('folders', None, ('ir', 'vi')),
        ('MSRS', 'train', ('train/ir', 'train/vi')),
        ('MSRS', 'dev', ('dev/ir', 'dev/vi')),
        ('RoadScene', None, ('cropinfrared', 'crop_LR_visible')),
        ('LLVIP', 'test', ('infrared/test', 'visible/test')),
        ('M3FD', None, ('Ir', 'Vis')),
    ],
)
def test_layouts_of_public_sets(make_pairs, layout, split, folders):
    root = make_pairs(*folders)
    dataset = IVIFDataset(data_root=str(root), layout=layout, split=split, pipeline=PIPELINE)
    assert names(dataset) == ['a.png', 'b.png', 'c.png']
    info = dataset.get_data_info(1)
    assert Path(info['ir_path']) == root / folders[0] / 'b.png'
    assert Path(info['vis_path']) == root / folders[1] / 'b.png'


# where the files of TNO's collection lie: (infrared, visible, others of the scene)
TNO = {
    'tank': ('tank/LWIR.tif', 'tank/Vis.tif', []),
    'Athena_images/man': ('Athena_images/man/IR_man_g.bmp', 'Athena_images/man/VIS_man_r.bmp', []),
    'Athena_images/heather': (
        'Athena_images/heather/IR_hei_vis_g.bmp', 'Athena_images/heather/VIS_hei_vis_r.bmp', []
    ),
    'Athena_images/plane': ('Athena_images/plane/ir.bmp', 'Athena_images/plane/vis.bmp', []),
    'Athena_images/APC_2/view_1': (
        'Athena_images/APC_2/view_1/2_fk_05.bmp', 'Athena_images/APC_2/view_1/1_fk_05.bmp', []
    ),
    'Athena_images/bunker': (
        'Athena_images/bunker/IR_bunker_g.bmp', 'Athena_images/bunker/bunker_r.bmp', []
    ),
    'Triclobs_images/wire': (
        'Triclobs_images/wire/B_LWIR.tif', 'Triclobs_images/wire/R_Vis.tif',
        ['Triclobs_images/wire/G_NIR.tif'],
    ),
    'Triclobs_images/Bosnia': (
        'Triclobs_images/Bosnia/LWIR_B.bmp', 'Triclobs_images/Bosnia/VIS_R.bmp',
        ['Triclobs_images/Bosnia/NIR_G.bmp'],
    ),
    'Triclobs_images/smoke': (
        'Triclobs_images/smoke/c_LWIR-x_24RGB_1110.tif',
        'Triclobs_images/smoke/a_VIS-x_24RGB_1110.tif',
        ['Triclobs_images/smoke/b_NIR-x_24RGB_1110.tif'],
    ),
    'Triclobs_images/Kaptein_1123': (
        'Triclobs_images/Kaptein_1123/Kaptein_1123_IR.bmp',
        'Triclobs_images/Kaptein_1123/Kaptein_1123_Vis.bmp',
        ['Triclobs_images/Kaptein_1123/Kaptein_1123_II.bmp'],
    ),
    'Triclobs_images/Kaptein_01': (
        'Triclobs_images/Kaptein_01/IR01.bmp', 'Triclobs_images/Kaptein_01/Vis01.bmp',
        ['Triclobs_images/Kaptein_01/NIR01.bmp'],
    ),
    'DHV_images/wall': ('DHV_images/wall/IR_163rad.bmp', 'DHV_images/wall/VIS_163dhvR.BMP', []),
    'DHV_images/Fire_sequence/part_1/2': (
        'DHV_images/Fire_sequence/part_1/thermal/RAD2.bmp',
        'DHV_images/Fire_sequence/part_1/dhv/DHV2.bmp', [],
    ),
    'DHV_images/Fire_sequence/part_2/16': (
        'DHV_images/Fire_sequence/part_2/rad/RADheli16.bmp',
        'DHV_images/Fire_sequence/part_2/dhv/DHVheli16.bmp', [],
    ),
    'FEL_images/Nato_camp_sequence/1800': (
        'FEL_images/Nato_camp_sequence/thermal/1800i.bmp',
        'FEL_images/Nato_camp_sequence/visual/1800v.bmp', [],
    ),
    'FEL_images/Nato_camp_sequence/1801': (
        'FEL_images/Nato_camp_sequence/thermal/1801i.bmp',
        'FEL_images/Nato_camp_sequence/visual/1801v.bmp', [],
    ),
}  # fmt: skip


@pytest.mark.parametrize('above', ['', 'TNO_Image_Fusion_Dataset/'])
def test_layout_of_tno(tmp_path, scene, above):
    near_infrared_only = ['Triclobs_images/House/NIR.bmp', 'Triclobs_images/House/VIS.bmp']
    for ir, vis, others in TNO.values():
        for path in (ir, vis, *others, *near_infrared_only):
            write_image(tmp_path / above / path, scene.ir[:32, :32])
    dataset = IVIFDataset(data_root=str(tmp_path), layout='TNO')
    found = {
        tuple(
            Path(info[key]).relative_to(tmp_path / above).as_posix()
            for key in ('ir_path', 'vis_path')
        ): info['name']
        for info in map(dataset.get_data_info, range(len(dataset)))
    }
    expected = {
        (ir, vis): (above + name).replace('/', '_') + Path(vis).suffix
        for name, (ir, vis, _) in TNO.items()
    }
    assert found == expected


def test_folders_of_ones_own_with_other_suffixes(make_pairs):
    root = make_pairs('thermal', 'colour', suffixes=('.TIF', '.jpg'))
    prefix = dict(ir='thermal', vis=str(root / 'colour'))
    dataset = IVIFDataset(data_root=str(root), data_prefix=prefix, pipeline=PIPELINE)
    assert names(dataset) == ['a.jpg', 'b.jpg', 'c.jpg']
    item = dataset[2]
    assert item['inputs']['ir'].shape == (1, 33, 47)
    assert item['data_samples'].name == 'c.jpg'
    assert item['data_samples'].ori_shape == (33, 47)
    ir = read_image(root / 'thermal/c.TIF')[..., 0]
    np.testing.assert_array_equal(item['inputs']['ir'][0], ir)


def test_list_of_names(make_pairs, tmp_path):
    root = make_pairs(names=('a', 'b', 'c', '190001.v2'))
    listed = tmp_path / 'set/dev.txt'
    listed.write_text('# by hand\nc.png\n\n a \n190001.v2\n')
    dataset = IVIFDataset(data_root=str(root), ann_file='dev.txt')
    assert names(dataset) == ['c.png', 'a.png', '190001.v2.png']
    listed.write_text('a\nd\n')
    with pytest.raises(DatasetError, match=r'd: no ir image in .*/ir and vis image in .*/vi'):
        IVIFDataset(data_root=str(root), ann_file='dev.txt')
    listed.write_text('# nothing\n')
    with pytest.raises(ValueError, match=r'dev\.txt: holds no names'):
        IVIFDataset(data_root=str(root), ann_file='dev.txt')


def test_labels_come_along(make_pairs):
    root = make_pairs()
    labels = np.arange(33 * 47, dtype=np.uint8).reshape(33, 47) % 9
    for name in 'abc':
        write_image(root / f'ids/{name}.png', labels)
    dataset = IVIFDataset(data_root=str(root), data_prefix=dict(labels='ids'), pipeline=PIPELINE)
    np.testing.assert_array_equal(dataset[0]['data_samples'].labels[0], labels)
    write_image(root / 'ids/b.png', labels[:32])
    with pytest.raises(DatasetError, match=r'ids/b\.png is 47x32'):
        IVIFDataset(data_root=str(root), data_prefix=dict(labels='ids'))


def spoil_missing_partner(root):
    (root / 'vi/b.png').unlink()


def spoil_size(root):
    write_image(root / 'vi/b.png', read_image(root / 'vi/b.png')[1:])


def spoil_empty(root):
    (root / 'vi/b.png').write_bytes(b'')


def spoil_truncated(root):
    path = root / 'vi/b.png'
    path.write_bytes(path.read_bytes()[:-20])


def spoil_kind(root):
    (root / 'vi/b.png').write_text('not found')


def spoil_alpha(root):
    from PIL import Image

    image = Image.open(root / 'vi/b.png').convert('RGBA')
    image.putpixel((0, 0), (0, 0, 0, 200))
    image.save(root / 'vi/b.png')


def spoil_twice(root):
    write_image(root / 'vi/b.jpg', read_image(root / 'vi/b.png'))


FAULTS = [
    (spoil_missing_partner, r'ir/b\.png: no vis image in .*/vi; add the missing file'),
    (spoil_size, r'ir/b\.png is 47x33, .*vi/b\.png is 47x32: register'),
    (spoil_empty, r'vi/b\.png: is empty.*download it again'),
    (spoil_truncated, r'vi/b\.png: is truncated.*download it again'),
    (spoil_kind, r'vi/b\.png: is not an image'),
    (spoil_alpha, r'vi/b\.png: has an alpha channel.*flatten'),
    (spoil_twice, r'vi/b\.png: .*vi/b\.jpg stands for the same vis image; remove one'),
]


@pytest.mark.parametrize('check', ['quick', 'full'])
@pytest.mark.parametrize(('spoil', 'message'), FAULTS)
def test_bad_files_stop_the_run_before_it_begins(make_pairs, spoil, message, check):
    root = make_pairs()
    IVIFDataset(data_root=str(root), check=check)
    spoil(root)
    with pytest.raises(DatasetError, match=message) as caught:
        IVIFDataset(data_root=str(root), check=check)
    assert str(caught.value).startswith('1 fault(s)')
    assert 'a.png' not in str(caught.value)


def test_all_faults_are_told_at_once(make_pairs):
    root = make_pairs(names=[f'{number:02}' for number in range(25)])
    for path in (root / 'vi').iterdir():
        path.write_bytes(b'')
    with pytest.raises(DatasetError) as caught:
        IVIFDataset(data_root=str(root))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith('25 fault(s)')
    assert len(lines) == 22
    assert '5 more' in lines[-1]
    assert f'check_pairs.py {root}/ir {root}/vi' in lines[-1]


def test_check_levels_differ_in_what_they_find(make_pairs):
    root = make_pairs()
    path = root / 'vi/b.png'
    # a JPEG: the checksums of a PNG are looked at by the quick check too
    write_image(root / 'b.jpg', read_image(path))
    content = bytearray((root / 'b.jpg').read_bytes())
    content[len(content) // 2 : len(content) // 2 + 100] = bytes(100)
    path.write_bytes(content)
    assert len(IVIFDataset(data_root=str(root), check='quick')) == 3
    with pytest.raises(DatasetError, match=r'vi/b\.png: damaged'):
        IVIFDataset(data_root=str(root), check='full')
    path.write_bytes(b'')
    dataset = IVIFDataset(data_root=str(root), check='none', pipeline=PIPELINE)
    with pytest.raises(OSError, match=r'vi/b\.png: is empty'):
        dataset[1]


def test_folders_that_are_not_there_or_hold_nothing(make_pairs, tmp_path):
    with pytest.raises(DatasetError, match=r'nowhere/ir: no such folder.*\n.*nowhere/vi: no such'):
        IVIFDataset(data_root=str(tmp_path / 'nowhere'))
    for folder in ('ir', 'vi'):
        (tmp_path / 'empty' / folder).mkdir(parents=True)
    with pytest.raises(DatasetError, match='no pairs of images'):
        IVIFDataset(data_root=str(tmp_path / 'empty'))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(layout='KAIST'), 'layout must be one of'),
        (dict(check='thorough'), 'check must be one of'),
        (dict(layout='LLVIP'), 'needs a split'),
        (dict(layout='M3FD', split='train'), 'has no splits'),
        (dict(data_prefix=dict(img='x')), r"may hold ir, vis and labels, found \['img'\]"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        IVIFDataset(**arguments)


def test_works_with_mmengines_own_tools(make_pairs):
    root = make_pairs()
    DefaultScope.get_instance('test_ivif', scope_name='mmsgdfuse')
    cfg = dict(
        type='IVIFDataset', data_root=str(root), indices=[2, 0], lazy_init=True, pipeline=PIPELINE
    )
    subset = DATASETS.build(cfg)
    subset.full_init()
    assert names(subset) == ['c.png', 'a.png']
    both = ConcatDataset([subset, DATASETS.build(dict(cfg, indices=None))])
    assert len(both) == 5
    loader = DataLoader(both, batch_size=5, collate_fn=pseudo_collate)
    batch = next(iter(loader))
    assert [sample.name for sample in batch['data_samples']] == [
        'c.png', 'a.png', 'a.png', 'b.png', 'c.png'
    ]  # fmt: skip
    assert [image.shape for image in batch['inputs']['vis']] == [(3, 33, 47)] * 5


def test_survives_the_way_into_a_worker(make_pairs):
    dataset = IVIFDataset(data_root=str(make_pairs()), pipeline=PIPELINE)
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301
    np.testing.assert_array_equal(copy[0]['inputs']['ir'], dataset[0]['inputs']['ir'])


def test_real_sets(real_data):
    expected = dict(MSRS='MSRS/dev', RoadScene='RoadScene/train', TNO='TNO/train')
    for folder in expected.values():
        dataset = IVIFDataset(data_root=str(real_data / folder), pipeline=PIPELINE)
        item = dataset[0]
        assert item['inputs']['ir'].shape[0] == 1
        assert item['inputs']['vis'].shape[0] == 3
        assert item['inputs']['ir'].shape[1:] == item['data_samples'].ori_shape

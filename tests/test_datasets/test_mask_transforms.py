import cv2
import numpy as np
import pytest

from mmsgdfuse.datasets.transforms import masks as module
from mmsgdfuse.datasets.transforms.masks import (
    AugmentMasks,
    DropMask,
    GenerateMasks,
    LoadMasks,
    LoadSemanticMasks,
    RandomCropMasks,
)
from mmsgdfuse.masks import ThermalVisualSaliency, as_luma
from mmsgdfuse.registry import TRANSFORMS
from mmsgdfuse.utils.image_io import (
    ImageFileError,
    read_infrared,
    read_labels,
    read_visible,
    write_image,
)


@pytest.fixture
def results(scene, tmp_path):
    """What the loading transform leaves; the files are on disk, too."""
    paths = {name: tmp_path / name / 'a.png' for name in ('ir', 'vi')}
    write_image(paths['ir'], scene.ir)
    write_image(paths['vi'], scene.vis)
    return dict(
        ir=scene.ir[..., None],
        vis=scene.vis,
        ir_path=str(paths['ir']),
        vis_path=str(paths['vi']),
        name='a.png',
    )


@pytest.fixture
def masked(results):
    return GenerateMasks()(results)


def check(mask, image):
    assert mask.dtype == np.float32
    assert mask.shape == (*image.shape[:2], 1)
    assert 0 <= mask.min() <= mask.max() <= 1


@pytest.mark.parametrize(
    'name',
    [
        'AugmentMasks',
        'DropMask',
        'GenerateMasks',
        'LoadMasks',
        'LoadSemanticMasks',
        'RandomCropMasks',
    ],
)
def test_they_are_registered(name):
    assert TRANSFORMS.get(f'mmsgdfuse.{name}') is getattr(module, name)


class TestGenerateMasks:
    def test_masks_of_both_images(self, results, scene):
        out = GenerateMasks()(results)
        generator = ThermalVisualSaliency()
        np.testing.assert_array_equal(out['mask_ir'][..., 0], generator(scene.ir))
        np.testing.assert_array_equal(out['mask_vis'][..., 0], generator(scene.vis))
        check(out['mask_ir'], scene.ir)
        assert out['mask_ir'].any()

    def test_each_image_has_its_own_generator(self, results, scene):
        cfg = dict(type='ThermalVisualSaliency', composer='union')
        out = GenerateMasks(ir=cfg, vis=None)(results)
        assert set(np.unique(out['mask_ir'])) == {0, 1}
        assert 'mask_vis' not in out

    def test_a_generator_may_be_given_as_it_is(self, results, scene):
        generator = ThermalVisualSaliency(polarity='dark')
        out = GenerateMasks(ir=generator)(results)
        np.testing.assert_array_equal(out['mask_ir'][..., 0], generator(scene.ir))

    def test_equal_configs_share_a_generator(self):
        transform = GenerateMasks()
        assert transform.generators['mask_ir'] is transform.generators['mask_vis']
        transform = GenerateMasks(ir=dict(type='ThermalVisualSaliency', peak=2.0))
        assert transform.generators['mask_ir'] is not transform.generators['mask_vis']

    def test_the_cache_replaces_the_generator(self, results, tmp_path, monkeypatch):
        first = GenerateMasks(cache_dir=tmp_path)(dict(results))
        monkeypatch.setattr(ThermalVisualSaliency, 'segment', None)
        second = GenerateMasks(cache_dir=tmp_path)(dict(results))
        for key in ('mask_ir', 'mask_vis'):
            np.testing.assert_array_equal(first[key], second[key])

    def test_images_of_16_bit_files(self, results, scene):
        exact = GenerateMasks()(dict(results))
        results['ir'] = results['ir'].astype(np.float32) + 0.3
        out = GenerateMasks()(results)
        np.testing.assert_array_equal(out['mask_ir'], exact['mask_ir'])

    def test_repr(self):
        assert 'ThermalVisualSaliency' in repr(GenerateMasks())


class TestLoadMasks:
    def test_from_a_cache(self, results, tmp_path):
        generate = GenerateMasks(cache_dir=tmp_path / 'cache')
        expected = generate(dict(results))
        folder = generate.generators['mask_ir'].cache.folder
        out = LoadMasks(ir=folder, vis=folder)(results)
        for key in ('mask_ir', 'mask_vis'):
            np.testing.assert_array_equal(out[key], expected[key])

    def test_levels_0_and_1_are_no_and_yes(self, results, tmp_path):
        write_image(tmp_path / 'mine' / 'a.png', np.eye(96, 128, dtype=np.uint8))
        with pytest.warns(UserWarning, match=r'a\.png: a mask of the levels 0 and 1'):
            out = LoadMasks(vis=tmp_path / 'mine')(results)
        np.testing.assert_array_equal(out['mask_vis'][..., 0], np.eye(96, 128))

    def test_from_files_of_the_same_name(self, results, tmp_path, scene):
        mine = np.arange(96 * 128).reshape(96, 128).astype(np.uint8)
        write_image(tmp_path / 'mine' / 'a.png', mine)
        results['vis_path'] = results['vis_path'].replace('.png', '.jpg')
        out = LoadMasks(vis=tmp_path / 'mine')(results)
        assert 'mask_ir' not in out
        check(out['mask_vis'], scene.ir)
        np.testing.assert_allclose(out['mask_vis'][..., 0], mine / 255, atol=1e-7)

    def test_a_mask_that_is_not_there(self, results, tmp_path):
        generate = GenerateMasks(cache_dir=tmp_path / 'cache')
        generate(dict(results))
        folder = generate.generators['mask_ir'].cache.folder
        results['ir'] = results['ir'] ^ 1
        with pytest.raises(FileNotFoundError, match=r'a\.png.*generate_masks\.py'):
            LoadMasks(ir=folder)(results)
        (tmp_path / 'empty').mkdir()
        with pytest.raises(FileNotFoundError, match=r'a\.png'):
            LoadMasks(ir=tmp_path / 'empty')(results)

    def test_a_mask_of_another_size(self, results, tmp_path):
        write_image(tmp_path / 'mine' / 'a.png', np.zeros((5, 6), np.uint8))
        with pytest.raises(ValueError, match=r'a\.png.*\(5, 6\).*\(96, 128\)'):
            LoadMasks(ir=tmp_path / 'mine')(results)

    def test_bad_arguments(self, tmp_path):
        with pytest.raises(ValueError, match='ir, vis or both'):
            LoadMasks()
        with pytest.raises(FileNotFoundError, match='no such folder'):
            LoadMasks(ir=tmp_path / 'nix')


class TestLoadSemanticMasks:
    @pytest.fixture
    def label_map(self, tmp_path):
        labels = np.zeros((96, 128), np.uint8)
        labels[10:30, 10:30] = 2
        labels[50:60, 60:90] = 5
        write_image(tmp_path / 'masks_mfnet' / 'a.png', labels)
        return labels

    def test_each_image_has_its_classes(self, results, label_map):
        out = LoadSemanticMasks()(results)
        np.testing.assert_array_equal(out['mask_ir'][..., 0] > 0, label_map == 2)
        np.testing.assert_array_equal(out['mask_vis'][..., 0] > 0, label_map > 0)
        check(out['mask_vis'], label_map)

    def test_folder_classes_and_composer(self, results, label_map, tmp_path):
        transform = LoadSemanticMasks(
            folder=tmp_path / 'masks_mfnet', ir_classes=[5], min_area=350, composer='union'
        )
        out = transform(results)
        assert not out['mask_ir'].any()  # 300 pixels
        assert out['mask_vis'].sum() == 400

    def test_real_label_maps(self, real_data):
        path = real_data / 'MSRS' / 'dev' / 'vi' / '00016N.png'
        ir_path = path.parents[1] / 'ir' / path.name
        out = LoadSemanticMasks(min_area=1)(
            dict(ir=read_infrared(ir_path), vis=read_visible(path), vis_path=str(path))
        )
        ids = read_labels(path.parents[1] / 'masks_mfnet' / path.name)
        check(out['mask_ir'], ids)
        np.testing.assert_array_equal(out['mask_ir'] > 0, np.isin(ids, (1, 2, 3)))
        np.testing.assert_array_equal(out['mask_vis'] > 0, ids > 0)
        assert len(np.unique(out['mask_ir'])) > 2

    def test_errors(self, results, label_map, tmp_path):
        with pytest.raises(ValueError, match=r'\(96, 128\).*\(20, 20\)'):
            LoadSemanticMasks()(dict(results, ir=results['ir'][:20, :20]))
        with pytest.raises(ImageFileError, match=r'nix.a\.png'):
            LoadSemanticMasks(folder='nix')(results)


class TestRandomCropMasks:
    def test_a_patch_of_the_image_fills_the_frame(self, results):
        out = RandomCropMasks(scale=(0.5, 0.5), seed=3)(results)
        for key, image in (('mask_ir', 'ir'), ('mask_vis', 'vis')):
            check(out[key], results[image])
            luma = as_luma(results[image])
            patch = cv2.resize(out[key][..., 0], (64, 48), interpolation=cv2.INTER_AREA) * 255
            distance = cv2.matchTemplate(luma, patch, cv2.TM_CCOEFF_NORMED)
            assert distance.max() > 0.97

    def test_the_whole_image_is_the_largest_patch(self, results):
        out = RandomCropMasks(scale=(1.0, 1.0))(results)
        np.testing.assert_allclose(out['mask_ir'], results['ir'] / 255, atol=1e-6)

    def test_with_a_seed_each_image_has_one_patch(self, results):
        first, again = (RandomCropMasks(seed=1)(dict(results)) for _ in range(2))
        other = RandomCropMasks(seed=2)(dict(results))
        np.testing.assert_array_equal(first['mask_ir'], again['mask_ir'])
        assert np.any(first['mask_ir'] != other['mask_ir'])

    def test_without_a_seed_patches_change(self, results):
        transform = RandomCropMasks(keys=['mask_ir'])
        first, second = (transform(dict(results)) for _ in range(2))
        assert np.any(first['mask_ir'] != second['mask_ir'])
        assert 'mask_vis' not in first

    @pytest.mark.parametrize('scale', [(0, 0.5), (0.6, 0.5), (0.5, 1.1)])
    def test_bad_scale(self, scale):
        with pytest.raises(ValueError, match='scale'):
            RandomCropMasks(scale=scale)


class TestDropMask:
    def test_both_are_off(self, masked):
        out = DropMask()(masked)
        assert not out['mask_ir'].any()
        assert not out['mask_vis'].any()
        check(out['mask_ir'], out['ir'])

    def test_one_is_off(self, masked):
        kept = masked['mask_vis'].copy()
        out = DropMask(keys=['mask_ir'])(masked)
        assert not out['mask_ir'].any()
        np.testing.assert_array_equal(out['mask_vis'], kept)

    def test_masks_are_made_where_there_were_none(self, results):
        assert DropMask(keys=['mask_vis'])(results)['mask_vis'].shape == (96, 128, 1)

    def test_probability(self, masked):
        transform = DropMask(prob=0.5)
        dropped = [transform(dict(masked)) for _ in range(200)]
        off = np.array([[not d['mask_ir'].any(), not d['mask_vis'].any()] for d in dropped])
        assert np.all(np.abs(off.mean(axis=0) - 0.5) < 0.12)
        assert 0.1 < (off[:, 0] & off[:, 1]).mean() < 0.4  # independent of each other
        assert masked['mask_ir'].any()

    @pytest.mark.parametrize('bad', [dict(prob=1.1), dict(keys='mask_ir'), dict(keys=['mask'])])
    def test_bad_arguments(self, bad):
        with pytest.raises(ValueError, match=next(iter(bad))):
            DropMask(**bad)


class TestAugmentMasks:
    off = dict(drop_prob=0, flatten_prob=0, max_gamma=1.0, morph_prob=0, max_shift=0)

    @pytest.fixture
    def mask(self):
        mask = np.zeros((60, 80, 1), np.float32)
        mask[20:40, 30:50] = 0.5
        return mask

    def augment(self, mask, **kwargs):
        return AugmentMasks(**{**self.off, **kwargs}, keys=['mask_ir'])(dict(mask_ir=mask))[
            'mask_ir'
        ]

    def test_with_everything_off_nothing_changes(self, mask):
        np.testing.assert_array_equal(self.augment(mask), mask)

    def test_drop(self, mask):
        assert not self.augment(mask, drop_prob=1).any()

    def test_flatten(self, mask):
        np.testing.assert_array_equal(self.augment(mask, flatten_prob=1), mask > 0)

    def test_gamma(self, mask):
        levels = {float(self.augment(mask, max_gamma=2.0).max()) for _ in range(50)}
        assert 0.25 <= min(levels) < 0.35
        assert 0.65 < max(levels) <= 0.7072

    def test_dilate_or_erode(self, mask):
        areas = {int((self.augment(mask, morph_prob=1, max_radius=2) > 0).sum()) for _ in range(50)}
        # by one or two pixels on every side, corners rounded
        assert min(areas) == 16 * 16
        assert max(areas) > 23 * 23
        assert len(areas) == 4
        assert 20 * 20 not in areas

    def test_shift(self, mask):
        tops = {int(self.augment(mask, max_shift=2).any(axis=(1, 2)).argmax()) for _ in range(60)}
        assert tops == {18, 19, 20, 21, 22}

    def test_a_shifted_mask_continues_at_the_border(self):
        for _ in range(5):
            assert self.augment(np.ones((20, 20, 1), np.float32), max_shift=3).min() == 1

    def test_masks_change_independently_and_stay_masks(self, masked):
        transform = AugmentMasks()
        seen = set()
        for _ in range(40):
            out = transform(dict(masked))
            for key in ('mask_ir', 'mask_vis'):
                check(out[key], masked['ir'])
            seen.add((bool(out['mask_ir'].any()), bool(out['mask_vis'].any())))
        assert len(seen) >= 3

    def test_the_seed_decides(self, masked):
        runs = []
        for _ in range(2):
            np.random.seed(5)
            runs.append([AugmentMasks()(dict(masked))['mask_ir'] for _ in range(5)])
        np.testing.assert_array_equal(*runs)

    @pytest.mark.parametrize(
        'bad',
        [
            dict(drop_prob=-0.1),
            dict(flatten_prob=2),
            dict(morph_prob=1.5),
            dict(max_gamma=0.5),
            dict(max_radius=0),
            dict(max_shift=-1),
            dict(keys=[]),
        ],
    )
    def test_bad_arguments(self, bad):
        with pytest.raises(ValueError, match=next(iter(bad))):
            AugmentMasks(**bad)

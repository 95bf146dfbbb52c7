import builtins
import inspect
import json

import numpy as np
import pytest
import torch

from mmsgdfuse.masks import CheckpointError, SAMMaskGenerator, file_sha256
from mmsgdfuse.registry import MASK_GENERATORS

# a random SAM rates its guesses at random, and all their boxes fill the frame: keep them all
LOOSE = dict(pred_iou_thresh=0.0, stability_score_thresh=0.0, box_nms_thresh=1.0, points_per_side=4)


@pytest.fixture
def make(tiny_sam):
    def make(**kwargs):
        return SAMMaskGenerator(
            **{'model_type': 'tiny', 'checkpoint': tiny_sam, 'device': 'cpu', **LOOSE, **kwargs}
        )

    return make


def reference(checkpoint, image, **options):
    """What the package's own generator gives with the same weights."""
    import segment_anything

    model = segment_anything.sam_model_registry['tiny']()
    model.load_state_dict(torch.load(checkpoint, weights_only=True))
    generator = segment_anything.SamAutomaticMaskGenerator(model, **{**LOOSE, **options})
    return generator.generate(image)


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(points_per_batch=3),
        dict(points_per_side=3, box_nms_thresh=0.7),
        dict(stability_score_thresh=0.8, stability_score_offset=0.001),
        dict(pred_iou_thresh=0.05),
        dict(
            crop_n_layers=1,
            crop_nms_thresh=0.9,
            crop_overlap_ratio=0.3,
            crop_n_points_downscale_factor=2,
        ),
        dict(min_mask_region_area=40),
        dict(points_per_side=None, point_grids=[np.array([[0.2, 0.3], [0.7, 0.6]])]),
    ],
    ids=lambda options: '-'.join(options) or 'default',
)
def test_the_grid_gives_what_the_package_gives(make, tiny_sam, scene, options):
    segments = make(**options).generate(scene.vis)
    expected = reference(tiny_sam, scene.vis, **options)
    assert len(segments) == len(expected) > 0
    for ours, theirs in zip(segments, expected):
        assert ours.pop('contrast') >= 0
        np.testing.assert_array_equal(ours.pop('segmentation'), theirs.pop('segmentation'))
        assert ours == theirs


def test_every_option_of_the_package_is_there_with_its_default():
    segment_anything = pytest.importorskip('segment_anything')
    theirs = dict(inspect.signature(segment_anything.SamAutomaticMaskGenerator).parameters)
    for name in ('model', 'output_mode'):  # segments are arrays here, never run-length codes
        del theirs[name]
    ours = inspect.signature(SAMMaskGenerator).parameters
    assert {name: ours[name].default for name in theirs} == {
        name: parameter.default for name, parameter in theirs.items()
    }


def test_infrared_is_shown_as_three_equal_channels(make, tiny_sam, scene):
    expected = reference(tiny_sam, np.repeat(scene.ir[..., None], 3, axis=2))
    for image in (scene.ir, scene.ir[..., None]):
        segments = make().generate(image)
        assert len(segments) == len(expected) > 0
        for ours, theirs in zip(segments, expected):
            np.testing.assert_array_equal(ours['segmentation'], theirs['segmentation'])


def test_the_map(make, scene):
    generator = make(composer='score')
    mask = generator(scene.vis)
    assert mask.shape == scene.ir.shape
    assert 0 <= mask.min() <= mask.max() <= 1
    np.testing.assert_array_equal(generator(scene.vis), mask)


def test_thresholds_that_nothing_passes_leave_an_empty_mask(make, scene):
    generator = make(pred_iou_thresh=1e9)
    assert generator.generate(scene.vis) == []
    assert not generator(scene.vis).any()


def predictor_of(generator, image):
    import segment_anything

    predictor = segment_anything.SamPredictor(generator.model)
    predictor.set_image(image)
    return predictor


class TestPrompts:
    boxes = ((10, 20, 60, 80), (70, 5, 120, 90), (0, 0, 127, 95))

    @pytest.mark.parametrize('batch', [64, 2])
    def test_boxes_give_what_the_predictor_gives(self, make, scene, batch):
        generator = make(points_per_batch=batch)
        segments = generator.segment_boxes(scene.vis, self.boxes)
        predictor = predictor_of(generator, scene.vis)
        assert len(segments) == 3
        for segment, box in zip(segments, self.boxes):
            masks, scores, _ = predictor.predict(box=np.array(box), multimask_output=False)
            np.testing.assert_array_equal(segment['segmentation'], masks[0])
            assert segment['predicted_iou'] == pytest.approx(float(scores[0]), abs=1e-5)
            assert segment['area'] == masks[0].sum()

    def test_points_give_the_guess_that_the_predictor_rates_highest(self, make, scene):
        generator = make()
        points = [[(30, 40), (90, 60)], [(64, 48), (5, 5)]]
        labels = [[1, 0], [1, 1]]
        segments = generator.segment_points(scene.ir, points, labels)
        predictor = predictor_of(generator, np.repeat(scene.ir[..., None], 3, axis=2))
        for segment, coordinates, kinds in zip(segments, points, labels):
            masks, scores, _ = predictor.predict(np.array(coordinates), np.array(kinds))
            np.testing.assert_array_equal(segment['segmentation'], masks[scores.argmax()])
            assert segment['predicted_iou'] == pytest.approx(float(scores.max()), abs=1e-5)
            assert segment['point_coords'] == [list(map(float, c)) for c in coordinates]

    def test_no_prompts_no_segments(self, make, scene):
        assert make().segment_boxes(scene.vis, []) == []
        assert make().segment_points(scene.vis, [], []) == []

    def test_labels_must_fit_the_points(self, make, scene):
        with pytest.raises(ValueError, match=r'\(1, 1, 2\) and \(1, 2\)'):
            make().segment_points(scene.vis, [[(3, 4)]], [[1, 0]])

    @pytest.mark.parametrize('prompt', ['boxes', 'points'])
    def test_another_generator_prompts(self, make, scene, prompt):
        prompter = dict(type='ThermalVisualSaliency', max_segments=5)
        generator = make(prompter=prompter, prompt=prompt)
        proposals = MASK_GENERATORS.build(prompter).generate(scene.ir)
        segments = generator.generate(scene.ir)
        assert 0 < len(segments) <= len(proposals) <= 5
        ratings = [segment['predicted_iou'] for segment in segments]
        assert ratings == sorted(ratings, reverse=True)
        assert all(segment['area'] and segment['contrast'] >= 0 for segment in segments)
        if prompt == 'boxes':
            boxes = [(x, y, x + w, y + h) for x, y, w, h in (p['bbox'] for p in proposals)]
            drawn = generator.segment_boxes(scene.ir, boxes)
        else:
            for segment in segments:
                ((x, y),) = segment['point_coords']
                assert any(p['segmentation'][int(y), int(x)] for p in proposals)
            return
        best = max(drawn, key=lambda s: s['predicted_iou'])
        np.testing.assert_array_equal(segments[0]['segmentation'], best['segmentation'])

    def test_near_duplicates_and_weak_segments_are_dropped(self, make, scene):
        class Twice:
            settings = dict(type='Twice')

            def generate(self, image):
                return [dict(bbox=[10, 20, 50, 60]), dict(bbox=[10, 20, 50, 60])]

        assert len(make(prompter=Twice(), box_nms_thresh=0.9).generate(scene.vis)) == 1
        assert len(make(prompter=Twice()).generate(scene.vis)) == 2
        assert make(prompter=Twice(), pred_iou_thresh=1e9).generate(scene.vis) == []
        assert make(prompter=Twice(), stability_score_thresh=1.1).generate(scene.vis) == []

    def test_nothing_salient_makes_an_empty_mask(self, make):
        generator = make(prompter=dict(type='ThermalVisualSaliency'))
        assert not generator(np.full((60, 80), 9, np.uint8)).any()


def test_half_precision_stays_close(make, scene):
    full = make().segment_boxes(scene.vis, TestPrompts.boxes)
    half = make(precision='bfloat16')
    segments = half.segment_boxes(scene.vis, TestPrompts.boxes)
    assert next(half.model.image_encoder.parameters()).dtype == torch.bfloat16
    assert next(half.model.mask_decoder.parameters()).dtype == torch.float32
    for a, b in zip(full, segments):
        assert np.mean(a['segmentation'] != b['segmentation']) < 0.1
        assert a['predicted_iou'] == pytest.approx(b['predicted_iou'], abs=0.05)
    assert half.generate(scene.vis)  # the grid's post-processing takes it, too


@pytest.mark.gpu
def test_half_precision_on_a_gpu(make, scene):
    generator = make(device='cuda', precision='float16')
    assert generator.generate(scene.vis)
    assert generator.segment_boxes(scene.ir, TestPrompts.boxes)


class TestSettings:
    def test_they_are_json_and_know_the_weights(self, make, tiny_sam):
        settings = make().settings
        assert json.loads(json.dumps(settings)) == settings
        assert settings['checkpoint_sha256'] == file_sha256(tiny_sam)
        state = torch.load(tiny_sam, weights_only=True)
        torch.save({k: v + 1 for k, v in state.items()}, tiny_sam)
        assert make().settings['checkpoint_sha256'] != settings['checkpoint_sha256']

    @pytest.mark.parametrize(
        'changed',
        [
            dict(precision='bfloat16'),
            dict(points_per_side=8),
            dict(box_nms_thresh=0.5),
            dict(min_mask_region_area=9),
            dict(composer='union'),
            dict(prompter=dict(type='ThermalVisualSaliency')),
            dict(points_per_side=None, point_grids=[[[0.5, 0.5]]]),
        ],
        ids=lambda changed: next(iter(changed)),
    )
    def test_what_changes_the_mask_is_in_them(self, make, changed):
        settings = make(**changed).settings
        assert json.loads(json.dumps(settings)) == settings
        assert settings != make().settings

    def test_what_does_not_is_not(self, make):
        assert make(points_per_batch=1, device='cuda:3').settings == make().settings

    def test_the_model_is_loaded_on_first_use(self, make):
        generator = make()
        assert generator.settings
        assert 'model' not in vars(generator)


class TestErrors:
    def test_missing_checkpoint(self, make, scene, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        generator = SAMMaskGenerator()
        for use in (lambda: generator.generate(scene.vis), lambda: generator.settings):
            with pytest.raises(
                FileNotFoundError,
                match=r'checkpoints.sam_vit_b_01ec64\.pth.*download_sam\.py vit_b.*Thermal',
            ):
                use()

    def test_damaged_checkpoint(self, make, tiny_sam, scene):
        tiny_sam.write_bytes(tiny_sam.read_bytes()[:3000])
        with pytest.raises(CheckpointError, match=r'tiny\.pth: damaged'):
            make().generate(scene.vis)

    def test_weights_of_another_model(self, make, tiny_sam, scene):
        torch.save(dict(weight=torch.ones(3)), tiny_sam)
        with pytest.raises(CheckpointError, match="another model than 'tiny'"):
            make().generate(scene.vis)

    def test_unknown_model(self, make, scene):
        with pytest.raises(ValueError, match=r'no official SAM checkpoint.*vit_b'):
            SAMMaskGenerator(model_type='vit_z')
        with pytest.raises(ValueError, match='choose one of default, vit_h'):
            make(model_type='vit_z').generate(scene.vis)

    def test_package_missing(self, make, scene, monkeypatch):
        true_import = builtins.__import__

        def without(name, *args, **kwargs):
            if name.startswith('segment_anything'):
                raise ImportError(name)
            return true_import(name, *args, **kwargs)

        monkeypatch.setattr(builtins, '__import__', without)
        with pytest.raises(ImportError, match='pip install segment-anything'):
            make().generate(scene.vis)

    @pytest.mark.parametrize(
        ('bad', 'message'),
        [
            (dict(precision='int8'), 'precision'),
            (dict(prompt='text'), 'prompt'),
            (dict(points_per_side=None), 'either'),
            (dict(point_grids=[[[0.5, 0.5]]]), 'either'),
            (dict(points_per_batch=0), 'points_per_batch'),
            (dict(points_per_side=None, point_grids=[[[0.5, 0.5]]], crop_n_layers=1), '2 in all'),
        ],
    )
    def test_bad_arguments(self, make, bad, message):
        with pytest.raises(ValueError, match=message):
            make(**bad)


@pytest.mark.slow
def test_the_published_architecture_loads(tmp_path):
    segment_anything = pytest.importorskip('segment_anything')
    path = tmp_path / 'random.pth'
    torch.save(segment_anything.sam_model_registry['vit_b']().state_dict(), path)
    model = SAMMaskGenerator(checkpoint=path, device='cpu').model
    assert sum(p.numel() for p in model.parameters()) == 93_735_472
    assert not model.training

import json
import statistics
import time

import cv2
import numpy as np
import pytest

from mmsgdfuse.datasets.synthetic import PERSON, synthetic_scene
from mmsgdfuse.masks import ThermalVisualSaliency, covered_share, settings_digest
from mmsgdfuse.registry import MASK_GENERATORS
from mmsgdfuse.utils.image_io import list_images, read_infrared


def discs(size=(240, 320), background=40.0, noise=2.0):
    """A noisy frame with a bright, a dark and a faint disc."""
    rng = np.random.default_rng(0)
    image = background + rng.normal(0, noise, size)
    yy, xx = np.mgrid[: size[0], : size[1]]
    for y, x, level in ((60, 60, 200), (60, 200, 2), (180, 120, 42)):
        image[(yy - y) ** 2 + (xx - x) ** 2 < 20**2] = level
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def test_what_is_brighter_is_found():
    image = discs()
    segments = ThermalVisualSaliency().generate(image)
    assert len(segments) == 1
    (segment,) = segments
    disc = image == 200
    assert segment['segmentation'].dtype == bool
    assert segment['area'] == segment['segmentation'].sum()
    overlap = (segment['segmentation'] & disc).sum() / (segment['segmentation'] | disc).sum()
    assert overlap > 0.8
    assert segment['segmentation'][disc].all()
    assert segment['bbox'] == pytest.approx([40, 40, 40, 40], abs=4)
    assert 0 < segment['predicted_iou'] < 1
    assert 0.5 < segment['stability_score'] <= 1


@pytest.mark.parametrize(
    ('polarity', 'bright', 'dark'),
    [('bright', True, False), ('dark', False, True), ('both', True, True)],
)
def test_polarity(polarity, bright, dark):
    mask = ThermalVisualSaliency(polarity=polarity)(discs())
    assert (mask[60, 60] > 0, mask[60, 200] > 0) == (bright, dark)
    assert mask[180, 120] == 0


def test_colour_images_are_compared_in_every_direction():
    image = np.full((240, 320, 3), 90, np.uint8)
    image[40:80, 40:80] = 200  # brighter
    image[40:80, 140:180] = 5  # darker
    image[40:80, 240:280] = (160, 50, 90)  # about as bright, but red
    mask = ThermalVisualSaliency()(image)
    assert mask[60, 60] > 0
    assert mask[60, 160] > 0
    assert mask[60, 260] > 0
    assert covered_share(mask) < 0.1


def test_parts_are_segments_of_their_own_and_weigh_more():
    image = np.full((240, 320), 30, np.uint8)
    image[60:120, 100:180] = 70
    image[80:100, 120:140] = 250
    generator = ThermalVisualSaliency(levels=(0.5, 3.0))
    whole, part = sorted(generator.generate(image), key=lambda s: -s['area'])
    assert whole['segmentation'][part['segmentation']].all()
    mask = generator(image)
    assert mask[90, 130] == 1
    assert 0 < mask[65, 105] < 1


def test_what_runs_along_the_border_is_background():
    image = np.full((240, 320), 40, np.uint8)
    image[:12] = 220  # a sky
    image[100:160, 140:160] = 220
    strict, lax = (ThermalVisualSaliency(border_limit=limit)(image) for limit in (1.2, 99))
    assert strict[5, 160] == 0
    assert lax[5, 160] > 0
    assert strict[130, 150] > 0


def test_small_cut_off_objects_are_no_background():
    image = np.full((240, 320), 40, np.uint8)
    image[100:160, :10] = 220
    assert ThermalVisualSaliency()(image)[130, 3] > 0


def test_areas_limit_the_components():
    image = discs()  # the disc covers 1.6 % of the frame
    assert not ThermalVisualSaliency(min_area=0.05)(image).any()
    assert not ThermalVisualSaliency(max_area=0.01)(image).any()


def test_small_holes_are_closed():
    image = discs()
    cv2.circle(image, (60, 60), 3, 40, -1)
    assert ThermalVisualSaliency(grow=0)(image)[60, 60] > 0


def test_growing():
    tight, wide = (ThermalVisualSaliency(grow=g)(discs()) > 0 for g in (0, 4 / 240))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    np.testing.assert_array_equal(wide, cv2.dilate(tight.astype(np.uint8), disc) > 0)


def test_the_most_salient_are_kept():
    image = np.full((240, 320), 40, np.uint8)
    for i in range(5):
        image[60:90, 20 + 60 * i : 50 + 60 * i] = 120 + 30 * i
    generator = ThermalVisualSaliency(max_segments=2)
    segments = generator.generate(image)
    assert len(segments) == 2
    assert segments[0]['contrast'] >= segments[1]['contrast']
    assert generator(image)[75, 35] == 0


@pytest.mark.parametrize('night', [False, True])
def test_people_are_found_in_a_synthetic_street(night):
    scene = synthetic_scene(seed=4, night=night)
    mask = ThermalVisualSaliency()(scene.ir)
    people = [box[1:] for box in scene.boxes if box[0] == PERSON]
    covered = [covered_share(mask[y0:y1, x0:x1]) for x0, y0, x1, y1 in people]
    assert people
    assert np.mean(np.array(covered) > 0.5) >= 0.7
    assert covered_share(mask) < 0.25


@pytest.mark.parametrize(
    'shape', [(1, 1), (1, 9), (33, 47), (33, 47, 3), (9, 700), (600, 8, 3), (1024, 1280)]
)
def test_any_size(shape):
    generator = ThermalVisualSaliency()
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for image in (noise, np.full(shape, 255, np.uint8)):
        mask = generator(image)
        assert mask.shape == shape[:2]
        assert mask.min() >= 0
        assert mask.max() <= 1
    assert not mask.any()  # a constant image has nothing salient


def test_a_linear_stretch_changes_next_to_nothing():
    image = discs()
    stretched = np.rint(image * 0.6 + 20).astype(np.uint8)
    generator = ThermalVisualSaliency()
    assert np.mean((generator(image) > 0) != (generator(stretched) > 0)) < 0.005


def test_an_enlargement_has_the_same_segments():
    image = discs()
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    generator = ThermalVisualSaliency()
    assert np.mean((generator(large)[::2, ::2] > 0) != (generator(image) > 0)) < 0.005


def test_results_do_not_depend_on_threads_or_on_what_came_before(scene):
    threads = cv2.getNumThreads()
    generator = ThermalVisualSaliency()
    first = generator(scene.vis)
    generator(scene.ir)
    try:
        cv2.setNumThreads(1)
        single = generator(scene.vis)
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(generator(scene.vis), first)
    np.testing.assert_array_equal(single, first)


def test_the_output_stays_what_weights_were_trained_with():
    # trained weights know these masks: whoever has to change this test must count up `revision`
    rng = np.random.default_rng(7)
    image = rng.normal(60, 12, (120, 160)).astype(np.float32)
    for i, level in enumerate((90, 130, 170, 210)):
        cv2.ellipse(image, (20 + 40 * i, 30 + 20 * i), (8, 14), 20 * i, 0, 360, level, -1)
    ir = np.clip(cv2.GaussianBlur(image, (0, 0), 1.2), 0, 255).astype(np.uint8)
    vis = np.stack([ir, ir.T[::-1, ::-1].copy().reshape(120, 160), 255 - ir], axis=-1)
    generator = ThermalVisualSaliency()
    mask_ir, mask_vis = generator(ir), generator(vis)
    # a pixel or two may flip where a processor rounds differently
    assert covered_share(mask_ir) == pytest.approx(0.08349, abs=2e-4)
    assert mask_ir.mean() == pytest.approx(0.06321, abs=2e-4)
    assert covered_share(mask_vis) == pytest.approx(0.11125, abs=2e-4)
    assert mask_vis.mean() == pytest.approx(0.06278, abs=2e-4)
    assert settings_digest(generator.settings) == '67a6626169102a2a'


def test_settings_are_complete_and_rebuild_the_generator():
    generator = ThermalVisualSaliency(polarity='both', levels=[1, 2], composer='union')
    settings = json.loads(json.dumps(generator.settings))
    assert settings['levels'] == [1.0, 2.0]
    del settings['revision']
    again = MASK_GENERATORS.build(settings)
    assert again.settings == generator.settings
    np.testing.assert_array_equal(again(discs()), generator(discs()))


@pytest.mark.parametrize(
    'bad',
    [
        dict(polarity='hot'),
        dict(scales=()),
        dict(scales=(0.5, 0)),
        dict(levels=()),
        dict(levels=(1.0, 1.0)),
        dict(levels=(0.0, 1.0)),
        dict(min_area=0.2, max_area=0.1),
        dict(max_area=1.5),
        dict(peak=-1),
        dict(grow=-0.1),
        dict(max_segments=0),
    ],
)
def test_bad_arguments(bad):
    with pytest.raises(ValueError, match=next(iter(bad))[:3]):
        ThermalVisualSaliency(**bad)


def test_it_is_fast_enough():
    cv2_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    scene = synthetic_scene(seed=1)
    generator = ThermalVisualSaliency()
    try:
        for image in (scene.ir, scene.vis):
            times = []
            for _ in range(5):
                start = time.process_time()
                generator(image)
                times.append(time.process_time() - start)
            assert statistics.median(times) < 0.15
    finally:
        cv2.setNumThreads(cv2_threads)


def test_people_of_msrs_are_covered(real_data):
    generator, covered, shares = ThermalVisualSaliency(), [], []
    for path in list_images(real_data / 'MSRS' / 'dev' / 'ir')[::6]:
        mask = generator(read_infrared(path))
        shares.append(covered_share(mask))
        height, width = mask.shape
        for line in (path.parents[1] / 'labels' / f'{path.stem}.txt').read_text().splitlines():
            class_id, *box = map(float, line.split())
            if class_id == 0:
                x, y, w, h = np.array(box) * (width, height, width, height)
                rows = slice(max(round(y - h / 2), 0), round(y + h / 2))
                columns = slice(max(round(x - w / 2), 0), round(x + w / 2))
                covered.append(covered_share(mask[rows, columns]))
    assert len(covered) > 40
    assert np.mean(np.array(covered) > 0.5) > 0.9
    assert np.mean(shares) < 0.15


@pytest.mark.parametrize('value', [0, 114, 255])
@pytest.mark.parametrize('colour', [False, True])
def test_constant_padding_changes_nothing(value, colour):
    scene = synthetic_scene(size=(240, 320))
    image = scene.vis if colour else scene.ir.reshape(240, 320)
    generator = ThermalVisualSaliency()
    plain = generator(image)
    assert plain.any()
    margin = ((17, 200), (30, 5)) + ((0, 0),) * colour
    padded = np.pad(image, margin, constant_values=value)
    mask = generator(padded)
    np.testing.assert_array_equal(mask[17:257, 30:350], plain)
    assert covered_share(mask) * mask.size == covered_share(plain) * plain.size
    for segment in generator.generate(padded):
        x, y, width, height = segment['bbox']
        assert segment['segmentation'][y : y + height, x : x + width].sum() == segment['area']

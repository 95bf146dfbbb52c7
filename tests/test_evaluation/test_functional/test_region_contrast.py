import numpy as np

from mmsgdfuse.evaluation.functional import region_contrast


def test_contrast_is_the_difference_to_the_ring():
    image = np.full((60, 80), 50, np.uint8)
    image[20:40, 30:40] = 90
    image[5:10, 5:10] = 20
    np.testing.assert_allclose(region_contrast(image, [(30, 20, 10, 20), (5, 5, 5, 5)]), [40, 30])


def test_other_boxes_are_no_surround():
    image = np.full((40, 60), 50, np.uint8)
    image[10:20, 10:20] = 90
    image[10:20, 20:30] = 200
    alone = region_contrast(image, [(10, 10, 10, 10)])
    both = region_contrast(image, [(10, 10, 10, 10), (20, 10, 10, 10)])
    assert both[0] == 40
    assert alone[0] < 40


def test_undefined_boxes_are_nan():
    image = np.full((40, 60, 3), 50, np.uint8)
    values = region_contrast(image, [(0, 0, 60, 40), (100, 100, 5, 5)])
    assert np.isnan(values).all()
    assert region_contrast(image, []).shape == (0,)

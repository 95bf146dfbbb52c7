import numpy as np
import pytest

from mmsgdfuse.masks import build_composer, labels, salience, score, union
from mmsgdfuse.registry import MASK_COMPOSERS

SHAPE = (8, 10)


@pytest.fixture
def pair(make_segment):
    """A whole over columns 0-5, and a part of it over columns 2-3 with other values."""
    whole = make_segment(
        SHAPE, (0, 8), (0, 6), predicted_iou=0.9, stability_score=0.5, contrast=1.0
    )
    part = make_segment(SHAPE, (2, 4), (2, 4), predicted_iou=0.6, stability_score=0.5, contrast=3.0)
    return [whole, part]


@pytest.mark.parametrize('composer', [union, score, salience, labels])
def test_no_segments_make_an_empty_map(composer):
    result = composer([], SHAPE)
    assert result.shape == SHAPE
    assert result.dtype == np.float32
    assert not result.any()


@pytest.mark.parametrize('composer', [union, score, salience, labels])
def test_a_segment_of_another_size_is_refused(composer, pair):
    with pytest.raises(ValueError, match=r'\(8, 10\).*\(9, 10\)'):
        composer(pair, (9, 10))


@pytest.mark.parametrize('composer', [union, score, salience, labels])
def test_composers_do_not_depend_on_the_order_of_unequal_segments(composer, pair):
    np.testing.assert_array_equal(composer(pair, SHAPE), composer(pair[::-1], SHAPE))


def test_union(pair):
    result = union(pair, SHAPE)
    assert result.sum() == 48
    assert set(np.unique(result)) == {0, 1}


def test_score_takes_the_highest_product(pair):
    result = score(pair, SHAPE)
    # the part's 0.3 lies below the whole's 0.45
    assert result[3, 3] == result[0, 0] == pytest.approx(0.45)
    assert result[0, 9] == 0


def test_score_is_clipped(make_segment):
    result = score([make_segment(SHAPE, (0, 1), (0, 1), predicted_iou=1.07)], SHAPE)
    assert result.max() == 1


def test_salience_ranks_by_contrast(pair):
    result = salience(pair, SHAPE)
    assert result[3, 3] == 1
    assert result[0, 0] == pytest.approx(0.25 + 0.75 / 2)
    assert result[0, 9] == 0
    # ranks, not contrasts: a glaring spot does not push the rest down
    pair[1]['contrast'] = 1e6
    np.testing.assert_array_equal(salience(pair, SHAPE), result)


def test_salience_with_equal_contrasts_gives_equal_weights(make_segment):
    segments = [
        make_segment(SHAPE, (0, 8), (i, i + 1), contrast=c) for i, c in enumerate([2, 2, 5])
    ]
    # ranks 1.5, 1.5 and 3 of 3
    assert salience(segments, SHAPE, floor=0)[0, :3] == pytest.approx([0.5, 0.5, 1])


def test_salience_floor_one_is_the_union(pair):
    np.testing.assert_array_equal(salience(pair, SHAPE, floor=1), union(pair, SHAPE))
    with pytest.raises(ValueError, match='floor'):
        salience(pair, SHAPE, floor=1.1)


def test_salience_needs_contrasts(pair):
    del pair[0]['contrast']
    with pytest.raises(KeyError, match='contrast'):
        salience(pair, SHAPE)


def test_labels_tell_parts_from_wholes(pair):
    result = labels(pair, SHAPE)
    assert result[0, 0] == 0.5
    assert result[3, 3] == 1
    assert len(np.unique(result)) == 3


def test_composers_leave_their_input_alone(pair):
    before = [dict(s, segmentation=s['segmentation'].copy()) for s in pair]
    for composer in (union, score, salience, labels):
        composer(pair, SHAPE)
    for old, new in zip(before, pair):
        np.testing.assert_array_equal(old.pop('segmentation'), new['segmentation'])
        assert old == {k: v for k, v in new.items() if k != 'segmentation'}


def test_composers_are_built_by_name(pair):
    assert build_composer('union') is union
    lifted = build_composer(dict(type='salience', floor=0.5))
    assert lifted(pair, SHAPE)[0, 0] == pytest.approx(0.75)
    assert {'union', 'score', 'salience', 'labels'} <= set(MASK_COMPOSERS.module_dict)


def test_unknown_composers_are_refused():
    with pytest.raises(KeyError, match='choose one of labels'):
        build_composer('median')
    with pytest.raises(TypeError, match='register'):
        build_composer(union)

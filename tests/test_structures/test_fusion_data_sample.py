from __future__ import annotations

import pytest
import torch

from mmsgdfuse.structures import FusionDataSample


def test_holds_images_and_meta_information():
    sample = FusionDataSample(metainfo=dict(name='a.png', ori_shape=(48, 64), img_shape=(48, 64)))
    image = torch.arange(3 * 48 * 64, dtype=torch.int32).reshape(3, 48, 64).to(torch.uint8)
    sample.fused = image
    assert 'fused' in sample
    assert 'preliminary' not in sample
    assert sample.name == 'a.png'
    assert sample.metainfo['ori_shape'] == (48, 64)
    assert torch.equal(sample.fused, image)


def test_moves_and_copies_with_its_meta_information():
    sample = FusionDataSample(metainfo=dict(name='a.png'), fused=torch.zeros(3, 4, 4))
    other = sample.to(torch.float64)
    assert other.fused.dtype == torch.float64
    assert other.name == 'a.png'
    other.fused += 1
    assert sample.fused.sum() == 0
    assert sample.to_dict()['name'] == 'a.png'


@pytest.mark.parametrize('field', ['fused', 'preliminary'])
@pytest.mark.parametrize('bad', [torch.zeros(4, 4), torch.zeros(1, 3, 4, 4), [[0]], None])
def test_refuses_what_is_no_image(field, bad):
    with pytest.raises(TypeError, match=rf'{field} must be a \(C, H, W\) tensor'):
        setattr(FusionDataSample(), field, bad)


def test_meta_information_is_not_overwritten_by_accident():
    sample = FusionDataSample(metainfo=dict(name='a.png'))
    with pytest.raises(AttributeError):
        sample.name = 'b.png'

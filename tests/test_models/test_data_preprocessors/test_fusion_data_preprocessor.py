from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate

from mmsgdfuse.datasets import synthetic_scene
from mmsgdfuse.datasets.transforms import PackFusionInputs
from mmsgdfuse.models.data_preprocessors import FusionDataPreprocessor
from mmsgdfuse.models.data_preprocessors.fusion import reflect_pad
from mmsgdfuse.registry import MODELS


def sample(height, width, masks=True, dtype=np.uint8):
    scene = synthetic_scene(0, (max(height, 32), max(width, 32)))
    results = dict(
        ir=scene.ir[:height, :width, None].astype(dtype),
        vis=scene.vis[:height, :width].astype(dtype),
    )
    if masks:
        ramp = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width, 1)
        results.update(mask_ir=ramp, mask_vis=1 - ramp)
    return PackFusionInputs()(results)


def test_scales_images_and_keeps_masks():
    batch = pseudo_collate([sample(33, 47)])
    batch['inputs']['ir'][0][0, 0, :3] = torch.tensor([0, 51, 255], dtype=torch.uint8)
    out = FusionDataPreprocessor()(batch)['inputs']
    assert {key: tuple(value.shape) for key, value in out.items()} == dict(
        ir=(1, 1, 33, 47), vis=(1, 3, 33, 47), mask_ir=(1, 1, 33, 47), mask_vis=(1, 1, 33, 47)
    )
    assert {value.dtype for value in out.values()} == {torch.float32}
    torch.testing.assert_close(out['ir'][0, 0, 0, :3], torch.tensor([-1.0, -0.6, 1.0]))
    torch.testing.assert_close(out['vis'][0], batch['inputs']['vis'][0] / 127.5 - 1)
    torch.testing.assert_close(out['mask_ir'][0], batch['inputs']['mask_ir'][0])
    torch.testing.assert_close(out['mask_ir'] + out['mask_vis'], torch.ones(1, 1, 33, 47))


def test_8_and_16_bit_pairs_share_a_batch():
    batch = pseudo_collate([sample(32, 32), sample(32, 32, dtype=np.float32)])
    out = FusionDataPreprocessor()(batch)['inputs']
    torch.testing.assert_close(out['vis'][0], out['vis'][1])


@pytest.mark.parametrize('divisor', [1, 2, 32, 64])
@pytest.mark.parametrize('sizes', [[(33, 47)], [(33, 47), (48, 32), (32, 32)], [(5, 7), (3, 1)]])
def test_padding_and_cropping_back_is_the_identity(sizes, divisor):
    batch = pseudo_collate([sample(*size) for size in sizes])
    preprocessor = FusionDataPreprocessor(pad_size_divisor=divisor)
    out = preprocessor(batch)
    height, width = out['inputs']['ir'].shape[2:]
    assert height == -(-max(size[0] for size in sizes) // divisor) * divisor
    assert width == -(-max(size[1] for size in sizes) // divisor) * divisor
    for key, images in batch['inputs'].items():
        cropped = preprocessor.crop_back(out['inputs'][key], out['data_samples'])
        for image, source in zip(cropped, images):
            expected = source if 'mask' in key else source / 127.5 - 1
            torch.testing.assert_close(image, expected)


def test_padding_is_numpys_reflection():
    image = np.random.default_rng(0).integers(0, 256, (2, 5, 7))
    for height, width in ((5, 7), (6, 7), (9, 13), (10, 14), (64, 32)):
        expected = np.pad(image, ((0, 0), (0, height - 5), (0, width - 7)), mode='reflect')
        padded = reflect_pad(torch.from_numpy(image), height, width)
        np.testing.assert_array_equal(padded, expected)
    np.testing.assert_array_equal(reflect_pad(torch.tensor([[3]]), 2, 3), np.full((2, 3), 3))


def test_takes_stacked_batches_and_no_samples():
    items = [sample(32, 40, masks=False) for _ in range(2)]
    stacked = default_collate([item['inputs'] for item in items])
    out = FusionDataPreprocessor(pad_size_divisor=32)(dict(inputs=stacked))
    assert out['data_samples'] is None
    assert set(out['inputs']) == {'ir', 'vis'}
    assert out['inputs']['vis'].shape == (2, 3, 32, 64)


def test_refuses_what_does_not_belong_together():
    preprocessor = FusionDataPreprocessor()
    good = pseudo_collate([sample(32, 32), sample(32, 32)])['inputs']
    with pytest.raises(KeyError, match=r"no \['vis'\]"):
        preprocessor(dict(inputs=dict(ir=good['ir'])))
    with pytest.raises(ValueError, match=r"inputs\['vis'\] has 1 images, 'ir' has 2"):
        preprocessor(dict(inputs=dict(good, vis=good['vis'][:1])))
    with pytest.raises(ValueError, match=r"inputs\['mask_ir'\] must hold tensors \(1, H, W\)"):
        preprocessor(dict(inputs=dict(good, mask_ir=good['vis'])))
    with pytest.raises(ValueError, match=r'here \(3, 32, 32\), found \(3, 31, 32\)'):
        preprocessor(dict(inputs=dict(good, vis=[image[:, 1:] for image in good['vis']])))
    samples = pseudo_collate([sample(32, 32)])['data_samples']
    with pytest.raises(ValueError, match='2 images but 1 data_samples'):
        preprocessor.crop_back(torch.zeros(2, 3, 32, 32), samples)


def test_bad_divisor():
    with pytest.raises(ValueError, match='pad_size_divisor must be at least 1'):
        FusionDataPreprocessor(pad_size_divisor=0)


def test_is_registered():
    built = MODELS.build(dict(type='mmsgdfuse.FusionDataPreprocessor', pad_size_divisor=8))
    assert isinstance(built, FusionDataPreprocessor)
    assert built.pad_size_divisor == 8


@pytest.mark.gpu
def test_moves_to_the_gpu():
    preprocessor = FusionDataPreprocessor(pad_size_divisor=32).cuda()
    out = preprocessor(pseudo_collate([sample(33, 47)]))
    assert {value.device.type for value in out['inputs'].values()} == {'cuda'}

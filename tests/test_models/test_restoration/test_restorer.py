"""The restoring model: what it starts from, what it learns, and what it refuses."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from mmsgdfuse.models.losses import RestorationLoss
from mmsgdfuse.models.luma import luma
from mmsgdfuse.models.restoration import PairRestorer, load_restorer
from mmsgdfuse.models.restoration.restorer import column_profile
from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.utils.weights import save_weights

DENOISER = dict(type='NoiseUNet', base_channels=8, channel_mults=(1, 2), num_res_blocks=1)


def small(**kwargs) -> PairRestorer:
    return PairRestorer(**{**dict(denoiser=DENOISER), **kwargs}).eval()


def pair(size: tuple[int, int] = (16, 24), count: int = 2) -> dict[str, torch.Tensor]:
    return dict(ir=torch.rand(count, 1, *size) - 0.5, vis=torch.rand(count, 3, *size) - 0.5)


@pytest.mark.parametrize('options', [{}, dict(diffusion=False), dict(num_steps=3)])
def test_untrained_changes_nothing(options):
    inputs = pair()
    restored = small(**options).restore(inputs)
    for key, image in inputs.items():
        torch.testing.assert_close(restored[key], image, atol=1e-5, rtol=0)


def test_the_visible_image_keeps_its_chroma():
    model, inputs = small(), pair()
    with torch.no_grad():
        for parameter in model.denoiser.head.parameters():
            parameter.normal_(std=0.02)
    change = model.restore(inputs)['vis'] - inputs['vis']
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(change, change[:, :1].expand_as(change), atol=1e-6, rtol=0)


def test_the_same_pair_gives_the_same_image_and_the_plain_network_sees_no_noise():
    plain, inputs = small(diffusion=False), pair()
    with torch.no_grad():
        for parameter in plain.denoiser.head.parameters():
            parameter.normal_(std=0.02)
    first = plain.restore(inputs)['ir']
    plain.seed = 1
    torch.testing.assert_close(plain.restore(inputs)['ir'], first, atol=0, rtol=0)
    noisy = small()
    noisy.load_state_dict(plain.state_dict())
    one, again = (noisy.restore(inputs)['ir'] for _ in range(2))
    torch.testing.assert_close(one, again, atol=0, rtol=0)
    noisy.seed = 1
    assert (noisy.restore(inputs)['ir'] - one).abs().max() > 0


def test_learns_to_remove_stripes():
    model = small(diffusion=False).train()
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)

    def batch() -> dict[str, torch.Tensor]:
        clean = F.interpolate(
            torch.rand(4, 1, 4, 4, generator=generator) - 0.5, (32, 32), mode='bicubic'
        )
        stripes = 0.2 * torch.randn(4, 1, 1, 32, generator=generator)
        vis = clean.expand(-1, 3, -1, -1)
        return dict(ir=clean + stripes, vis=vis, clean_ir=clean, clean_vis=vis)

    for _ in range(60):
        optimizer.zero_grad()
        model.loss(batch())['loss_restoration'].backward()
        optimizer.step()
    with torch.no_grad():
        inputs = batch()
        restored = model.eval().restore(inputs)
    before = (inputs['ir'] - inputs['clean_ir']).abs().mean()
    assert (restored['ir'] - inputs['clean_ir']).abs().mean() < 0.5 * before


def test_loss_of_the_untrained_network_is_the_distance_of_the_pair():
    inputs = pair()
    inputs.update(clean_ir=inputs['ir'] + 0.1, clean_vis=inputs['vis'] - 0.1)
    loss = small(restoration_loss=dict(type='RestorationLoss', loss_weight=2.0)).loss(inputs)
    torch.testing.assert_close(loss['loss_restoration'], torch.tensor(0.2))


def test_restoration_loss_by_hand():
    clean = torch.zeros(1, 1, 5, 5)
    restored = torch.arange(5.0).expand(1, 1, 5, 5) * 0.1
    # a ramp of .1 a pixel: mean .2; Sobel .8 inside, 0 at the two mirrored borders
    expected = 0.2 + 0.25 * 0.8 * 3 / 5
    torch.testing.assert_close(RestorationLoss()(restored, clean), torch.tensor(expected))


def test_column_profile_finds_offsets_of_columns_alone():
    image = torch.zeros(1, 1, 8, 64)
    image[..., 20] = 1.0
    profile = column_profile(image)
    assert profile[0, 0, 0, 20] == pytest.approx(1 - 1 / 31)
    assert profile[0, 0, :, 40].abs().max() == 0
    assert (profile == profile[:, :, :1]).all()


def test_predict_gives_images_of_the_own_size():
    inputs = pair(count=1)
    (sample,) = small()(
        inputs, [FusionDataSample(metainfo=dict(img_shape=(15, 20)))], mode='predict'
    )
    assert sample.restored_ir.shape == (1, 15, 20)
    assert sample.restored_vis.shape == (3, 15, 20)
    expected = (inputs['vis'] + (inputs['ir'] - luma(inputs['vis'])).clamp_min(0)).clamp(-1, 1)
    expected = ((expected[0, :, :15, :20] + 1) * 127.5).round()
    assert (sample.fused.float() - expected).abs().max() <= 1


@pytest.mark.parametrize('options', [dict(num_steps=0), dict(num_steps=2, diffusion=False)])
def test_impossible_steps_are_refused(options):
    with pytest.raises(ValueError, match='num_steps must lie within'):
        small(**options)


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match='nonsense'):
        small()(pair(), mode='nonsense')


def test_weights_carry_their_config_and_only_a_restorer_is_taken(tmp_path, tiny_weights):
    config = dict(type='PairRestorer', denoiser={**DENOISER, 'channel_mults': [1, 2]})
    path = tmp_path / 'restorer.safetensors'
    model = small()
    save_weights(model, path, dict(model=config), dtype=torch.float32)
    inputs = pair()
    torch.testing.assert_close(load_restorer(path).restore(inputs), model.restore(inputs))
    with pytest.raises(ValueError, match='must be a PairRestorer'):
        load_restorer(tiny_weights)
    hostile = tmp_path / 'hostile.safetensors'
    header = json.dumps(dict(model=dict(type='os.system', command='true')))
    state = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    save_file(state, hostile, {'mmsgdfuse': header})
    with pytest.raises(ValueError, match=r'os\.system'):
        load_restorer(hostile)

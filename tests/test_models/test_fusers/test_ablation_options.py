"""What the ablations of Table 3 ask of the fusers."""

from __future__ import annotations

import pytest
import torch

from mmsgdfuse.models.losses import MaskedIntensityLoss

INTENSITY = dict(intensity=dict(type='MaskedIntensityLoss', mask_floor=0.1, loss_weight=1.0))


class TestWithoutDiffusion:
    @pytest.fixture
    def model(self, build):
        return build('SGDFuse', feature_noise='none', train_denoiser=True).train()

    def test_is_not_asked_for_noise(self, model, make_inputs, build):
        assert 'loss_noise' not in model.loss(make_inputs())
        assert 'loss_noise' in build('SGDFuse', train_denoiser=True).loss(make_inputs())

    def test_trains_the_denoiser_by_the_image(self, model, make_inputs):
        sum(model.loss(make_inputs()).values()).backward()
        trained = {n.split('.')[0] for n, p in model.named_parameters() if p.grad is not None}
        assert trained == {'denoiser', 'head'}

    def test_training_and_inference_see_the_same(self, model, make_inputs):
        condition = model.condition(make_inputs())
        for one, other in zip(model.features(condition), model.features(condition, seeded=False)):
            assert all(torch.equal(*levels) for levels in zip(one, other))


class TestWithoutStageOne:
    def test_noise_goes_to_the_mean_of_the_sources(self, build, make_inputs):
        model, inputs = build('SGDFuse', preliminary=dict(type='MeanOfSources')), make_inputs()
        condition = model.condition(inputs)
        assert torch.equal(condition[:, :3], (inputs['ir'] + inputs['vis']) / 2)
        assert model.fuse(inputs)['fused'].shape == inputs['vis'].shape


class TestWithoutStageTwo:
    def test_masked_losses_see_the_joint_mask(self, build, make_inputs):
        model, inputs = build('PreliminaryFuser', losses=INTENSITY), make_inputs()
        mask = torch.where(
            inputs['mask_ir'] > inputs['mask_vis'], inputs['mask_ir'], inputs['mask_vis']
        )
        expected = MaskedIntensityLoss(mask_floor=0.1, loss_weight=1.0)(
            model.fuse(inputs)['fused'], inputs['ir'], inputs['vis'], mask
        )
        torch.testing.assert_close(model.loss(inputs)['loss_intensity'], expected)

    def test_without_masks_every_pixel_counts_alike(self, build, make_inputs):
        model, inputs = build('PreliminaryFuser', losses=INTENSITY), make_inputs(masks=False)
        expected = MaskedIntensityLoss(mask_floor=1.0, loss_weight=1.0)(
            model.fuse(inputs)['fused'], inputs['ir'], inputs['vis'], None
        )
        torch.testing.assert_close(model.loss(inputs)['loss_intensity'], expected)

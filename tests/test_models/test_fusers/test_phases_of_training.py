"""What each phase minimises, what it trains and what it leaves as it is."""

from __future__ import annotations

import pytest
import torch

from mmsgdfuse.models.fusers import SGDFuse
from mmsgdfuse.models.losses import (
    InfraredIntensityLoss,
    MaskedGradientLoss,
    MaskedIntensityLoss,
    VisibleGradientLoss,
)


def condition_by_hand(model, inputs: dict) -> torch.Tensor:
    """Eq. 8."""
    with torch.no_grad():
        preliminary = model.preliminary(inputs['ir'], inputs['vis'])
    masks = [2 * inputs['mask_ir'] - 1, 2 * inputs['mask_vis'] - 1]
    return torch.cat([preliminary, *masks], dim=1)


def spy_on(module: torch.nn.Module, method: str, monkeypatch) -> list[tuple]:
    """Arguments and result of each call of a method."""
    calls, original = [], getattr(module, method)

    def spied(*args):
        result = original(*args)
        calls.append((*args, result))
        return result

    monkeypatch.setattr(module, method, spied)
    return calls


def without_gradient(model) -> set[str]:
    return {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}


class TestPreliminary:
    def test_equation_15(self, build, make_inputs):
        model, inputs = build('PreliminaryFuser'), make_inputs()
        losses = model.loss(inputs)
        fused = model.preliminary(inputs['ir'], inputs['vis'])
        assert set(losses) == {'loss_intensity', 'loss_gradient'}
        for name, loss in dict(
            loss_intensity=InfraredIntensityLoss(), loss_gradient=VisibleGradientLoss()
        ).items():
            torch.testing.assert_close(losses[name], loss(fused, inputs['ir'], inputs['vis']))

    def test_needs_no_masks(self, build, make_inputs):
        assert build('PreliminaryFuser').loss(make_inputs(masks=False))

    def test_every_weight_is_trained(self, build, make_inputs):
        model = build('PreliminaryFuser')
        sum(model.loss(make_inputs()).values()).backward()
        assert without_gradient(model) == set()


class TestDiffusion:
    @pytest.mark.parametrize('prediction_type', ['epsilon', 'sample', 'v_prediction'])
    def test_equation_12(self, build, make_inputs, monkeypatch, prediction_type):
        model, inputs = build('DiffusionFuser', prediction_type=prediction_type), make_inputs(4)
        calls = spy_on(model.denoiser, 'forward', monkeypatch)
        loss = model.loss(inputs)['loss_noise']
        ((noised, level, prediction),) = calls

        clean = condition_by_hand(model, inputs)
        signal = level[:, None, None, None]
        sigma = (1 - signal**2).sqrt()
        noise = (noised - signal * clean) / sigma  # what Eq. 7 has added
        assert noise.mean().abs() < 0.02
        assert noise.std().item() == pytest.approx(1, abs=0.02)
        target = dict(epsilon=noise, sample=clean, v_prediction=signal * noise - sigma * clean)[
            prediction_type
        ]
        torch.testing.assert_close(loss, (prediction - target).square().mean(), rtol=1e-4, atol=0)

    def test_every_timestep_is_drawn(self, build, make_inputs, monkeypatch):
        model, inputs = build('DiffusionFuser'), make_inputs(8, size=(32, 32))
        calls = spy_on(model.denoiser, 'forward', monkeypatch)
        with torch.no_grad():
            for _ in range(25):
                model.loss(inputs)
        drawn = torch.cat([level for _, level, _ in calls])
        expected = model.schedule.noise_level(torch.arange(20))
        assert set(drawn.tolist()) == set(expected.tolist())

    def test_trains_the_denoiser_alone(self, build, make_inputs):
        model = build('DiffusionFuser').train()
        sum(model.loss(make_inputs()).values()).backward()
        frozen = {name for name, _ in model.named_parameters() if name.startswith('preliminary.')}
        assert without_gradient(model) == frozen
        assert not any(p.requires_grad for p in model.preliminary.parameters())

    def test_the_fused_image_is_f1_noised_and_denoised(self, build, make_inputs, monkeypatch):
        model, inputs = build('DiffusionFuser').eval(), make_inputs()
        clean = condition_by_hand(model, inputs)
        # a denoiser that knows the noise brings F1 back
        noise = model.noise(clean)
        monkeypatch.setattr(model.denoiser, 'forward', lambda x, level: noise)
        fused = model.fuse(inputs)['fused']
        torch.testing.assert_close(fused, clean[:, :3], atol=1e-4, rtol=0)


class TestFusion:
    def test_a_trained_denoiser_keeps_equation_12(self, build, make_inputs, monkeypatch):
        model, inputs = build('SGDFuse', train_denoiser=True), make_inputs()
        calls = spy_on(model.denoiser, 'forward', monkeypatch)
        losses = model.loss(inputs)
        ((noised, level, predicted),) = calls
        clean = condition_by_hand(model, inputs)
        level = level.view(-1, 1, 1, 1)
        noise = (noised - level * clean) / (1 - level**2).sqrt()
        torch.testing.assert_close(losses['loss_noise'], ((predicted - noise) ** 2).mean())

    @pytest.mark.parametrize(('share', 'asked'), [(1.0, 4), (0.5, 2), (0.01, 1)])
    def test_equation_12_of_a_share_of_the_batch(
        self, build, make_inputs, monkeypatch, share, asked
    ):
        model = build('SGDFuse', train_denoiser=True, noise_share=share)
        calls = spy_on(model.denoiser, 'forward', monkeypatch)
        inputs = {key: image.repeat(2, 1, 1, 1) for key, image in make_inputs().items()}
        assert len(inputs['ir']) == 4
        model.loss(inputs)
        assert [len(noised) for noised, _, _ in calls] == [asked]

    @pytest.mark.parametrize('share', [0, -0.5, 1.5])
    def test_share_of_the_batch_must_be_one(self, build, share):
        with pytest.raises(ValueError, match=r'noise_share must be within \(0, 1\]'):
            build('SGDFuse', noise_share=share)

    def test_equation_19(self, build, make_inputs, monkeypatch):
        model, inputs = build('SGDFuse'), make_inputs()
        calls = spy_on(model.head, 'forward', monkeypatch)
        losses = model.loss(inputs)
        ((_, ir, vis, _, fused),) = calls
        assert torch.equal(ir, inputs['ir'])
        assert torch.equal(vis, inputs['vis'])
        mask = torch.where(
            inputs['mask_ir'] > inputs['mask_vis'], inputs['mask_ir'], inputs['mask_vis']
        )
        assert set(losses) == {'loss_intensity', 'loss_gradient'}
        for name, loss in dict(
            loss_intensity=MaskedIntensityLoss(loss_weight=1.5),
            loss_gradient=MaskedGradientLoss(loss_weight=1.0),
        ).items():
            torch.testing.assert_close(losses[name], loss(fused, ir, vis, mask))

    @pytest.mark.parametrize('train_denoiser', [False, True])
    @pytest.mark.parametrize('train_preliminary', [False, True])
    @pytest.mark.parametrize('prediction', ['image', 'luma'])
    def test_trains_what_it_is_told(
        self, build, make_inputs, train_denoiser, train_preliminary, prediction
    ):
        head = dict(type='HFAH', level_channels=4, hidden_channels=8, prediction=prediction)
        model = build(
            'SGDFuse',
            head=head,
            train_denoiser=train_denoiser,
            train_preliminary=train_preliminary,
        ).train()
        trained = {'head.'}
        trained |= {'denoiser.'} if train_denoiser else set()
        trained |= {'preliminary.'} if train_preliminary else set()
        expected = {
            name for name, _ in model.named_parameters() if not name.startswith(tuple(trained))
        }
        assert {n for n, p in model.named_parameters() if not p.requires_grad} == expected
        sum(model.loss(make_inputs()).values()).backward()
        assert without_gradient(model) == expected

    def test_frozen_parts_stay_in_evaluation_mode(self, build):
        model = build('SGDFuse').train()
        assert not model.preliminary.training
        assert not model.denoiser.training
        assert model.head.training
        model.eval()
        model.train()
        assert not model.denoiser.training
        model = build('SGDFuse', train_denoiser=True).train()
        assert model.denoiser.training

    def test_training_noise_is_new_each_time_or_that_of_inference(
        self, build, make_inputs, monkeypatch
    ):
        inputs = make_inputs()
        for feature_noise, repeats in dict(random=False, seeded=True, none=True).items():
            model = build('SGDFuse', feature_noise=feature_noise)
            calls = spy_on(model.denoiser, 'features', monkeypatch)
            model.loss(inputs)
            model.loss(inputs)
            model.fuse(inputs)
            first, second, inference = (noised for noised, _, _ in calls)
            assert torch.equal(first, second) == repeats
            assert torch.equal(first, inference) == repeats


class TestFeatures:
    def test_each_timestep_has_its_own_noise_and_level(self, build, make_inputs, monkeypatch):
        model, inputs = build('SGDFuse').eval(), make_inputs(3)
        calls = spy_on(model.denoiser, 'features', monkeypatch)
        clean = condition_by_hand(model, inputs)
        with torch.no_grad():
            found = model.features(clean)
        ((noised, level, _),) = calls  # one batched pass
        expected_level = model.schedule.noise_level(torch.tensor([2, 8]))
        assert level.tolist() == expected_level.repeat_interleave(3).tolist()
        noises = []
        for step, part in enumerate(noised.chunk(2)):
            signal = expected_level[step]
            noise = (part - signal * clean) / (1 - signal**2).sqrt()
            torch.testing.assert_close(noise, noise[:1].expand_as(noise), atol=1e-4, rtol=0)
            assert noise.std().item() == pytest.approx(1, abs=0.03)
            noises.append(noise[0])
            with torch.no_grad():
                alone = model.denoiser.features(part, signal.expand(3))
            for scale, expected in zip(found[step], alone):
                torch.testing.assert_close(scale, expected, atol=1e-4, rtol=1e-4)
        correlation = torch.corrcoef(torch.stack([n.flatten() for n in noises]))[0, 1]
        assert correlation.abs() < 0.05

    def test_without_noise_the_denoiser_sees_the_clean_input(self, build, make_inputs, monkeypatch):
        model, inputs = build('SGDFuse', feature_noise='none').eval(), make_inputs()
        calls = spy_on(model.denoiser, 'features', monkeypatch)
        model.fuse(inputs)
        ((seen, _, _),) = calls
        torch.testing.assert_close(seen, condition_by_hand(model, inputs).repeat(2, 1, 1, 1))

    def test_seed_chooses_the_noise(self, build, make_inputs):
        state = build('SGDFuse').state_dict()
        images = []
        for seed in (0, 0, 1):
            model = build('SGDFuse', seed=seed).eval()
            model.load_state_dict(state)
            with torch.no_grad():
                images.append(model(make_inputs()))
        assert torch.equal(images[0], images[1])
        assert not torch.equal(images[0], images[2])


class TestInferenceModes:
    @pytest.mark.parametrize('mode', ['features', 'refine', 'sample'])
    @pytest.mark.parametrize('sampler', ['DDIMSampler', 'DDPMSampler'])
    def test_deterministic_and_independent_of_the_batch(self, build, make_inputs, mode, sampler):
        model = build('SGDFuse', inference_mode=mode, sampler=dict(type=sampler)).eval()
        inputs = make_inputs(3)
        with torch.no_grad():
            together, again = model(inputs), model(inputs)
            alone = torch.cat(
                [model({k: v[i : i + 1] for k, v in inputs.items()}) for i in range(3)]
            )
        assert torch.equal(together, again)
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)

    def test_the_number_of_network_evaluations(self, build, make_inputs, monkeypatch):
        for mode, evaluations in dict(features=0, refine=3, sample=3).items():
            model = build('SGDFuse', inference_mode=mode)
            denoised = spy_on(model.denoiser, 'forward', monkeypatch)
            passes = spy_on(model.denoiser, 'features', monkeypatch)
            model.fuse(make_inputs())
            assert len(denoised) == evaluations
            assert len(passes) == evaluations + 1  # the last one feeds the head

    def test_refining_starts_from_the_noised_condition(self, build, make_inputs, monkeypatch):
        model, inputs = build('SGDFuse', inference_mode='refine').eval(), make_inputs()
        calls = spy_on(model.denoiser, 'forward', monkeypatch)
        model.fuse(inputs)
        noised, level, _ = calls[0]
        clean = condition_by_hand(model, inputs)
        expected_level = model.schedule.noise_level(torch.tensor([8])).item()
        assert level.tolist() == [expected_level] * 2
        expected = expected_level * clean + (1 - expected_level**2) ** 0.5 * model.noise(clean)
        torch.testing.assert_close(noised, expected, atol=1e-5, rtol=0)

    def test_sampling_starts_from_nothing_but_noise(self, build, make_inputs, monkeypatch):
        model = build('SGDFuse', inference_mode='sample').eval()
        calls = spy_on(model.denoiser, 'forward', monkeypatch)
        model.fuse(make_inputs())
        noised, level, _ = calls[0]
        assert level[0] == model.schedule.noise_level(torch.tensor([19]))
        assert torch.equal(noised[0], noised[1])
        torch.testing.assert_close(noised, model.noise(noised))


class TestArguments:
    @pytest.mark.parametrize('name', ['DiffusionFuser', 'SGDFuse'])
    @pytest.mark.parametrize('missing', ['mask_ir', 'mask_vis'])
    @pytest.mark.parametrize('mode', ['tensor', 'loss'])
    def test_missing_mask(self, build, make_inputs, name, missing, mode):
        inputs = make_inputs()
        del inputs[missing]
        with pytest.raises(KeyError, match=f'{missing} is missing; add GenerateMasks'):
            build(name)(inputs, mode=mode)

    @pytest.mark.parametrize(
        ('argument', 'value'),
        [
            ('inference_mode', 'student'),
            ('feature_noise', 'fixed'),
            ('feature_timesteps', (2, 20)),
            ('feature_timesteps', (-1,)),
            ('feature_timesteps', ()),
        ],
    )
    def test_out_of_range(self, build, argument, value):
        with pytest.raises(ValueError, match=f'{argument} must be within'):
            build('SGDFuse', **{argument: value})

    def test_unknown_prediction_type(self, build):
        with pytest.raises(ValueError, match='prediction_type must be one of'):
            build('DiffusionFuser', prediction_type='noise')

    @pytest.mark.parametrize(
        'wrong', [dict(start_timestep=20), dict(start_timestep=-1), dict(num_steps=0)]
    )
    def test_steps_outside_the_schedule(self, build, wrong):
        with pytest.raises(ValueError, match=r'start_timestep within 0\.\.19 and num_steps'):
            build('DiffusionFuser', **wrong)

    def test_head_is_built_for_the_denoiser(self, build):
        model = build('SGDFuse', feature_timesteps=(1, 3, 5, 7))
        assert model.head.num_timesteps == 4
        assert [level[0].in_channels for level in model.head.levels] == [4 * 16, 4 * 8]

    def test_defaults_are_the_papers(self):
        model = SGDFuse()
        assert model.feature_timesteps == [5, 50, 100]
        assert model.schedule.num_train_timesteps == 1000
        assert model.denoiser.feature_channels == [512, 512, 256, 128, 64]
        assert model.prediction_type == 'epsilon'
        assert model.losses['intensity'].loss_weight == 1.5
        assert model.losses['gradient'].loss_weight == 1.0

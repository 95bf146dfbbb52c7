"""What all fusers share: modes, sizes, 8-bit results, determinism."""

from __future__ import annotations

import pytest
import torch

from mmsgdfuse.models.fusers.base import build_losses, to_uint8
from mmsgdfuse.models.losses import MaskedIntensityLoss, SSIMLoss


def predict(model, data: dict) -> list:
    """Samples of one batch, as mmengine's validation loop gets them."""
    model.eval()
    return model.val_step(data)


class TestModes:
    def test_tensor_is_the_image_in_the_networks_range(self, phase, build, make_inputs):
        inputs = make_inputs()
        fused = build(phase)(inputs)
        assert fused.shape == inputs['vis'].shape
        assert fused.abs().max() <= 1
        assert fused.std() > 0

    def test_loss_is_a_dict_that_mmengine_can_sum(self, phase, build, make_inputs):
        model = build(phase)
        losses = model(make_inputs(), mode='loss')
        assert losses
        assert all(name.startswith('loss_') and not loss.ndim for name, loss in losses.items())
        total, log = model.parse_losses(losses)
        assert total.requires_grad
        assert log['loss'] == sum(losses.values())

    def test_mixed_precision_trains_too(self, phase, build, make_inputs):
        model, inputs = build(phase), make_inputs()
        with torch.autocast('cpu', dtype=torch.bfloat16):
            losses = model(inputs, mode='loss')
        assert all(loss.dtype == torch.float32 for loss in losses.values())
        sum(losses.values()).backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert gradients
        assert all(gradient.isfinite().all() for gradient in gradients)

    def test_unknown_mode(self, phase, build, make_inputs):
        with pytest.raises(ValueError, match=r"mode must be one of .*, found 'train'"):
            build(phase)(make_inputs(), mode='train')

    def test_predict_needs_samples(self, phase, build, make_inputs):
        with pytest.raises(ValueError, match='data_samples, whose img_shape'):
            build(phase)(make_inputs(), mode='predict')


class TestPredict:
    @pytest.mark.parametrize('size', [(33, 47), (32, 32), (48, 65)])
    def test_any_size_comes_out_as_it_went_in(self, phase, build, make_data, size):
        (sample,) = predict(build(phase), make_data(size))
        assert sample.fused.dtype == torch.uint8
        assert sample.fused.shape == (3, *size)
        assert sample.name == '0.png'
        assert sample.ori_shape == size

    def test_sizes_may_differ_within_a_batch(self, phase, build, make_data):
        sizes = [(33, 47), (48, 40), (32, 63)]
        samples = predict(build(phase), make_data(*sizes))
        assert [tuple(sample.fused.shape[1:]) for sample in samples] == sizes

    def test_bytes_are_those_of_the_tensor(self, phase, build, make_data):
        model = build(phase).eval()
        data = make_data((33, 47))
        inputs = model.data_preprocessor(data)['inputs']
        assert not any(side % model.size_divisor for side in inputs['vis'].shape[-2:])
        (sample,) = predict(model, data)
        with torch.no_grad():
            expected = (model(inputs)[0, :, :33, :47].double() + 1) * 127.5
        torch.testing.assert_close(sample.fused.double(), expected.round(), atol=0, rtol=0)

    @pytest.mark.parametrize('name', ['DiffusionFuser', 'SGDFuse'])
    def test_preliminary_image_comes_along(self, build, make_data, name):
        model, data = build(name), make_data((32, 40))
        (sample,) = predict(model, data)
        inputs = model.data_preprocessor(data)['inputs']
        with torch.no_grad():
            expected = to_uint8(model.preliminary(inputs['ir'], inputs['vis']))[0]
        assert torch.equal(sample.preliminary, expected)
        assert not torch.equal(sample.preliminary, sample.fused)


class TestDeterminism:
    def test_same_bytes_whatever_was_drawn_before(self, phase, build, make_data):
        model, data = build(phase), make_data((32, 40))
        first = predict(model, data)[0].fused.clone()
        torch.randn(7)
        assert torch.equal(predict(model, data)[0].fused, first)

    def test_inference_leaves_the_global_generator_alone(self, phase, build, make_data):
        model, data = build(phase), make_data((32, 40))
        state = torch.get_rng_state()
        predict(model, data)
        assert torch.equal(torch.get_rng_state(), state)

    def test_an_image_does_not_depend_on_its_batch(self, phase, build, make_data):
        model, data = build(phase), make_data(*[(32, 40)] * 3)
        together = predict(model, data)
        for index in range(3):
            alone = dict(
                inputs={field: [images[index]] for field, images in data['inputs'].items()},
                data_samples=[data['data_samples'][index].clone()],
            )
            (sample,) = predict(model, alone)
            # batched kernels may add in another order: a rounding, not another image
            difference = (sample.fused.int() - together[index].fused.int()).abs()
            assert difference.max() <= 1
            assert (difference > 0).float().mean() < 1e-3


class TestConstruction:
    def test_preprocessor_pads_to_what_the_networks_need(self, build):
        assert build('PreliminaryFuser').data_preprocessor.pad_size_divisor == 1
        assert build('SGDFuse').size_divisor == 2
        assert build('SGDFuse').data_preprocessor.pad_size_divisor == 2

    def test_patches_multiply_the_divisor(self, build):
        preliminary = dict(type='PreliminaryNet', channels=8, depth=1, num_heads=2, patch_size=3)
        model = build('DiffusionFuser', preliminary=preliminary)
        assert model.size_divisor == 6

    def test_a_coarser_preprocessor_is_kept(self, build):
        preprocessor = dict(type='mmsgdfuse.FusionDataPreprocessor', pad_size_divisor=32)
        model = build('SGDFuse', data_preprocessor=preprocessor)
        assert model.data_preprocessor.pad_size_divisor == 32

    def test_weights_are_channels_last(self, phase, build):
        weights = [p for p in build(phase).parameters() if p.ndim == 4]
        assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)

    def test_checkpoint_holds_the_phases_submodules(self, build):
        submodules = {
            name: {key.split('.', 1)[0] for key in build(name).state_dict()}
            for name in ('PreliminaryFuser', 'DiffusionFuser', 'SGDFuse')
        }
        assert submodules == dict(
            PreliminaryFuser={'preliminary'},
            DiffusionFuser={'preliminary', 'denoiser'},
            SGDFuse={'preliminary', 'denoiser', 'head'},
        )

    @pytest.mark.parametrize(
        ('before', 'after'),
        [('PreliminaryFuser', 'DiffusionFuser'), ('DiffusionFuser', 'SGDFuse')],
    )
    def test_each_phase_takes_over_all_of_the_one_before(self, build, before, after):
        state, successor = build(before).state_dict(), build(after)
        missing, unexpected = successor.load_state_dict(state, strict=False)
        assert unexpected == []
        taken_over = {key.split('.', 1)[0] for key in state}
        assert not taken_over & {key.split('.', 1)[0] for key in missing}
        for key, value in state.items():
            assert torch.equal(successor.state_dict()[key], value)


class TestBytes:
    def test_rounds_to_the_nearest_and_clips(self):
        levels = torch.tensor([-3.0, 0.4, 0.6, 99.4, 99.6, 254.6, 300.0])
        found = to_uint8(levels / 127.5 - 1)
        assert found.dtype == torch.uint8
        assert found.tolist() == [0, 0, 1, 99, 100, 255, 255]
        assert to_uint8(torch.zeros(1)).item() == 128  # 127.5, half to even

    def test_leaves_its_input_alone(self):
        image = torch.rand(3, 4, 4)
        copy = image.clone()
        to_uint8(image)
        assert torch.equal(image, copy)

    def test_every_level_survives_the_way_there_and_back(self):
        levels = torch.arange(256)
        assert torch.equal(to_uint8(levels.float() / 127.5 - 1).long(), levels)


class TestLosses:
    def test_built_by_name(self):
        losses = build_losses(
            dict(a=dict(type='MaskedIntensityLoss', loss_weight=0.5), b=SSIMLoss())
        )
        assert list(losses) == ['a', 'b']
        assert isinstance(losses['a'], MaskedIntensityLoss)
        assert losses['a'].loss_weight == 0.5
        assert isinstance(losses['b'], SSIMLoss)

    def test_none_at_all_is_refused(self):
        with pytest.raises(ValueError, match='losses is empty'):
            build_losses({})

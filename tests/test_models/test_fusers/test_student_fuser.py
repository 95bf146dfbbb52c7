"""The student: what it learns from, and that its teacher is no part of it."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.engine import latest_checkpoint, plan_phases, run_phases
from mmsgdfuse.models.fusers import SGDFuse, StudentFuser
from mmsgdfuse.models.losses import DistillationLoss, MaskedIntensityLoss, SSIMLoss
from mmsgdfuse.utils.image_io import write_image
from mmsgdfuse.utils.setup_env import register_all_modules
from mmsgdfuse.utils.weights import save_weights


class TestTeacher:
    def test_the_target_is_the_teachers_image_of_the_pair_and_its_masks(
        self, build, make_inputs, tiny_weights, scene
    ):
        student = build('StudentFuser')
        inputs = make_inputs(1)
        target = student.target(inputs)
        teacher = FusionInferencer(weights=tiny_weights, device='cpu').model
        with torch.no_grad():
            torch.testing.assert_close(target, teacher.fuse(inputs)['fused'])
        without = dict(inputs, mask_ir=torch.zeros_like(inputs['mask_ir']))
        assert not torch.equal(student.target(without), target)

    def test_crops_that_the_teacher_cannot_take_are_padded(self, build, make_inputs):
        student = build('StudentFuser', network=dict(type='StudentNet', widths=(8,), depths=(1,)))
        inputs = make_inputs(1, (38, 42))
        assert student.size_divisor == 2
        assert student.teacher(torch.device('cpu')).size_divisor == 4
        padded = {
            key: torch.nn.functional.pad(image, (0, 2, 0, 2), mode='reflect')
            for key, image in inputs.items()
        }
        expected = student.target(padded)[..., :38, :42]
        torch.testing.assert_close(student.target(inputs), expected)

    def test_is_no_part_of_the_student(self, build, make_inputs):
        student = build('StudentFuser')
        before = set(student.state_dict())
        sum(student.loss(make_inputs()).values()).backward()
        assert isinstance(student.teacher(torch.device('cpu')), SGDFuse)
        assert set(student.state_dict()) == before
        assert {key.split('.', 1)[0] for key in before} == {'network'}
        assert not any(isinstance(module, SGDFuse) for module in student.modules())

    def test_is_frozen(self, build, make_inputs):
        student = build('StudentFuser').train()
        sum(student.loss(make_inputs()).values()).backward()
        teacher = student.teacher(torch.device('cpu'))
        assert not any(module.training for module in teacher.modules())
        assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())

    def test_loading_it_leaves_the_generator_alone(self, build, make_inputs):
        student, inputs = build('StudentFuser'), make_inputs()
        state = torch.get_rng_state()
        first = student.loss(inputs)['loss_distillation']
        assert torch.equal(torch.get_rng_state(), state)
        assert student.loss(inputs)['loss_distillation'] == first

    def test_is_loaded_by_training_alone(self, build, make_inputs):
        student = build('StudentFuser', teacher='nowhere.safetensors').eval()
        assert student(make_inputs(masks=False)).std() > 0
        with pytest.raises(FileNotFoundError, match=r'nowhere\.safetensors'):
            student.loss(make_inputs())

    def test_needs_its_masks(self, build, make_inputs):
        with pytest.raises(KeyError, match='mask_ir is missing'):
            build('StudentFuser').loss(make_inputs(masks=False))

    def test_weights_must_say_which_model_they_are_for(self, build, make_inputs, tmp_path):
        save_weights(build('PreliminaryFuser'), tmp_path / 'bare.safetensors')
        student = build('StudentFuser', teacher=tmp_path / 'bare.safetensors')
        with pytest.raises(ValueError, match=r'bare\.safetensors: does not say which model'):
            student.loss(make_inputs())

    @pytest.mark.gpu
    def test_follows_the_device(self, build, make_inputs):
        student, inputs = build('StudentFuser'), make_inputs()
        expected = student.target(inputs)
        found = student.cuda().target({key: image.cuda() for key, image in inputs.items()})
        torch.testing.assert_close(found.cpu(), expected, atol=2e-3, rtol=0)


class TestLosses:
    def test_against_the_teacher_and_the_sources(self, build, make_inputs):
        student = build(
            'StudentFuser',
            distillation=dict(type='DistillationLoss', gradient_weight=2.0, loss_weight=3.0),
            losses=dict(
                structure=dict(type='SSIMLoss', loss_weight=0.5),
                intensity=dict(type='MaskedIntensityLoss'),
            ),
        )
        inputs = make_inputs()
        losses = student.loss(inputs)
        fused = student(inputs)
        assert set(losses) == {'loss_distillation', 'loss_structure', 'loss_intensity'}
        expected = DistillationLoss(2.0, 3.0)(fused, student.target(inputs))
        torch.testing.assert_close(losses['loss_distillation'], expected)
        expected = SSIMLoss(loss_weight=0.5)(fused, inputs['ir'], inputs['vis'])
        torch.testing.assert_close(losses['loss_structure'], expected)
        mask = torch.maximum(inputs['mask_ir'], inputs['mask_vis'])
        expected = MaskedIntensityLoss()(fused, inputs['ir'], inputs['vis'], mask)
        torch.testing.assert_close(losses['loss_intensity'], expected)

    def test_every_weight_is_trained(self, build, make_inputs):
        student = build('StudentFuser')
        sum(student.loss(make_inputs()).values()).backward()
        assert all(p.grad is not None and p.grad.any() for p in student.parameters())

    def test_comes_closer_to_its_teacher(self, build, make_inputs):
        student, inputs = build('StudentFuser').train(), make_inputs()
        optimizer = torch.optim.Adam(student.parameters(), lr=5e-3)
        losses = []
        for _ in range(60):
            optimizer.zero_grad()
            losses.append(student.loss(inputs)['loss_distillation'])
            losses[-1].backward()
            optimizer.step()
        assert losses[-1] < 0.7 * losses[0]


class TestTraining:
    """The shipped config on two small pairs."""

    EPOCHS = 2

    @pytest.fixture
    def train(self, repository, tmp_path, tiny_weights, scene):
        register_all_modules()
        for name in ('MSRS/train', 'RoadScene/train', 'MSRS/dev'):
            write_image(tmp_path / name / 'ir' / '0.png', scene.ir)
            write_image(tmp_path / name / 'vi' / '0.png', scene.vis)
        options = dict(
            data_root=str(tmp_path),
            cache_dir=str(tmp_path / 'masks'),
            crop_size=48,
            batch_size=2,
            max_epochs=self.EPOCHS,
        )
        options.update(
            {
                'model.teacher': str(tiny_weights),
                'model.network.widths': [8, 8],
                'model.network.depths': [1, 1],
                'val_dataloader.dataset.indices': 1,
                'train_cfg.val_interval': 1,
                'visualizer.vis_backends': [dict(type='LocalVisBackend')],
            }
        )

        def train(name: str, stop_after: int | None = None, resume: bool = False) -> dict:
            cfg = Config.fromfile(repository / 'configs' / 'sgdfuse-student_ivif.py')
            phases = plan_phases(cfg, tmp_path / name, options)
            (phase,) = phases
            phase.cfg.experiment_name = f'{tmp_path.name}_{name}_{resume}'
            sets = phase.cfg.train_dataloader.dataset.datasets
            phase.cfg.train_dataloader.dataset.datasets = [dict(sets[0], times=4), sets[1]]
            if stop_after is not None:
                phase.cfg.train_cfg.max_epochs = stop_after
                phase.cfg.param_scheduler[0].end = self.EPOCHS
            run_phases(phases, resume=resume)
            return load_checkpoint(torch.nn.Module(), str(latest_checkpoint(phase.work_dir)[0]))

        return train

    @pytest.mark.slow
    def test_resumes_where_it_stopped(self, train):
        whole = train('whole')['state_dict']
        train('parts', stop_after=1)
        parts = train('parts', resume=True)['state_dict']
        assert {key.split('.', 1)[0] for key in whole} == {'network'}
        assert whole.keys() == parts.keys()
        assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_copy_holds_no_second_teacher(build):
    """EMAHook copies the model before the first step."""
    student = build('StudentFuser')
    assert copy.deepcopy(student)._teacher == []


def test_defaults():
    student = StudentFuser()
    assert sum(p.numel() for p in student.parameters()) < 100_000
    assert not student.needs_masks
    assert SGDFuse.needs_masks

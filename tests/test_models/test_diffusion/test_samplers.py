"""The samplers against exact denoisers and against steps written by hand."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch

from mmsgdfuse.models.diffusion.samplers import (
    DDIMSampler,
    DDPMSampler,
    DPMSolverSampler,
    UniPCSampler,
)
from mmsgdfuse.models.diffusion.schedules import (
    PREDICTION_TYPES,
    CosineNoiseSchedule,
    LinearNoiseSchedule,
    NoiseSchedule,
)
from mmsgdfuse.registry import DIFFUSION_SCHEDULERS

diffusers = pytest.importorskip('diffusers')

DETERMINISTIC = [
    dict(type='DDIMSampler'),
    dict(type='DPMSolverSampler'),
    dict(type='DPMSolverSampler', solver_order=3),
    dict(type='UniPCSampler'),
    dict(type='UniPCSampler', solver_order=3),
]
STOCHASTIC = [dict(type='DDPMSampler'), dict(type='DDIMSampler', eta=0.7)]
MEAN, STD = 0.3, 0.5


def name(config: dict) -> str:
    return '-'.join(str(value) for value in config.values())


every_sampler = pytest.mark.parametrize('config', DETERMINISTIC + STOCHASTIC, ids=name)
every_deterministic = pytest.mark.parametrize('config', DETERMINISTIC, ids=name)
every_stochastic = pytest.mark.parametrize('config', STOCHASTIC, ids=name)


def build(config: dict):
    return DIFFUSION_SCHEDULERS.build(dict(config))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed))


class GaussianDenoiser:
    """The optimal denoiser of x0 ~ N(mean, std^2), pixel by pixel; std 0 is a point mass.

    It works in float64 from its own product of the alphas and records what it is asked.
    """

    def __init__(self, schedule: NoiseSchedule, mean=MEAN, std=STD, prediction_type='epsilon'):
        self.bars = np.cumprod(1 - schedule.betas.numpy())
        self.mean, self.std = mean, std
        self.prediction_type = prediction_type
        self.calls = []

    def __call__(self, x, noise_level, timesteps):
        self.calls.append((x.clone(), noise_level.clone(), timesteps.clone()))
        bar = self.bars[timesteps[0].item()]
        signal, sigma = math.sqrt(bar), math.sqrt(1 - bar)
        x = x.double()
        gain = signal * self.std**2 / (bar * self.std**2 + sigma**2)
        x0 = self.mean + gain * (x - signal * self.mean)
        eps = (x - signal * x0) / sigma
        predictions = dict(epsilon=eps, sample=x0, v_prediction=signal * eps - sigma * x0)
        return predictions[self.prediction_type].float()

    @property
    def visited(self) -> list[int]:
        return [timesteps[0].item() for _, _, timesteps in self.calls]

    def marginal(self, timestep: int) -> tuple[float, float]:
        bar = self.bars[timestep]
        return math.sqrt(bar) * self.mean, math.sqrt(bar * self.std**2 + 1 - bar)

    def flow(self, x: torch.Tensor, timestep: int) -> torch.Tensor:
        """Where the probability-flow ODE takes ``x``, which keeps a Gaussian's quantiles."""
        mean, std = self.marginal(timestep)
        return self.mean + self.std / std * (x - mean)


class TestConstruction:
    @pytest.mark.parametrize('sampler', [DDPMSampler, DDIMSampler, DPMSolverSampler, UniPCSampler])
    def test_registered(self, sampler):
        assert type(build(dict(type=sampler.__name__))) is sampler
        with pytest.raises(ValueError, match=r"spacing must be one of .*found 'even'"):
            sampler(spacing='even')

    @pytest.mark.parametrize('eta', [-0.1, 1.1])
    def test_eta(self, eta):
        with pytest.raises(ValueError, match='eta must lie within'):
            DDIMSampler(eta=eta)

    @pytest.mark.parametrize('sampler', [DPMSolverSampler, UniPCSampler])
    @pytest.mark.parametrize('order', [0, 4])
    def test_order(self, sampler, order):
        with pytest.raises(ValueError, match='solver_order must be 1, 2 or 3'):
            sampler(solver_order=order)

    def test_missing_diffusers_names_the_command(self, monkeypatch):
        monkeypatch.setitem(sys.modules, 'diffusers', None)
        with pytest.raises(ImportError, match=r"pip install 'diffusers>=0\.28'"):
            DDIMSampler()


class TestTimesteps:
    schedule = LinearNoiseSchedule()

    @pytest.mark.parametrize('spacing', ['log_snr', 'trailing'])
    @pytest.mark.parametrize('schedule', [LinearNoiseSchedule, CosineNoiseSchedule])
    @pytest.mark.parametrize('start', [0, 1, 7, 200, 999])
    def test_all_of_them_lie_below_the_start(self, schedule, spacing, start):
        sampler = DDIMSampler(spacing=spacing)
        for count in {1, min(2, start + 1), start // 2 + 1, start + 1}:
            found = sampler.timesteps(schedule(), count, start)
            assert len(found) == count
            assert found[0] == start
            assert found[-1] >= 0
            assert all(after < before for before, after in zip(found, found[1:]))

    @pytest.mark.parametrize('spacing', ['log_snr', 'trailing'])
    def test_no_start_is_the_end_of_the_schedule(self, spacing):
        sampler = DDIMSampler(spacing=spacing)
        assert sampler.timesteps(self.schedule, 1000) == list(range(999, -1, -1))
        assert sampler.timesteps(self.schedule, 10)[0] == 999

    def test_trailing(self):
        sampler = DDIMSampler(spacing='trailing')
        assert sampler.timesteps(self.schedule, 4) == [999, 749, 499, 249]
        assert sampler.timesteps(self.schedule, 4, 7) == [7, 5, 3, 1]

    def test_log_snr_is_even_in_the_log_snr(self):
        bars = np.cumprod(1 - self.schedule.betas.numpy())
        found = DDIMSampler(spacing='log_snr').timesteps(self.schedule, 10)
        steps = np.diff(np.log(bars[found] / (1 - bars[found])))
        assert found[-1] == 0
        # The last timesteps are whole numbers next to each other, the others have room.
        np.testing.assert_allclose(steps[:6], steps[:6].mean(), rtol=0.1)

    def test_log_snr_spends_little_where_the_cosine_leaves_no_image(self):
        schedule = CosineNoiseSchedule()
        found = np.array(DDIMSampler(spacing='log_snr').timesteps(schedule, 30))
        hopeless = schedule.alpha_bars.numpy()[found] < math.exp(-10.5)
        assert hopeless.sum() == 1

    @pytest.mark.parametrize('start', [-1, 1000])
    def test_start_outside(self, start):
        with pytest.raises(ValueError, match=rf't_start must lie within 0\.\.999, found {start}'):
            DDIMSampler().timesteps(self.schedule, 1, start)

    @pytest.mark.parametrize(('count', 'start'), [(0, None), (1001, None), (9, 7), (-1, 7)])
    def test_too_many_or_no_steps(self, count, start):
        with pytest.raises(ValueError, match=rf'num_steps must lie within 1\.\..*found {count}'):
            DDIMSampler().timesteps(self.schedule, count, start)


class TestArguments:
    schedule = LinearNoiseSchedule()

    def sample(self, denoise_fn=None, x=None, **arguments):
        arguments = dict(num_steps=3) | arguments
        x = noise(2, 5, 8, 8) if x is None else x
        denoise_fn = denoise_fn or GaussianDenoiser(self.schedule)
        return DDPMSampler().sample(denoise_fn, x, self.schedule, **arguments)

    @pytest.mark.parametrize('clip', [0.0, -1.0])
    def test_clip(self, clip):
        with pytest.raises(ValueError, match='clip must be positive or None'):
            self.sample(clip=clip)

    def test_prediction_type(self):
        with pytest.raises(ValueError, match="found 'x0'"):
            self.sample(prediction_type='x0')

    def test_generators(self):
        with pytest.raises(ValueError, match='one for each of 2, found 3'):
            self.sample(generator=[seeded(i) for i in range(3)])

    def test_shape_of_the_prediction(self):
        with pytest.raises(ValueError, match='same shape'):
            self.sample(lambda x, noise_level, timesteps: x[:, :3])


class TestLoop:
    schedule = LinearNoiseSchedule()

    @every_sampler
    @pytest.mark.parametrize('start', [None, 200])
    def test_asks_the_network_once_per_timestep(self, config, start):
        denoiser = GaussianDenoiser(self.schedule)
        sampler = build(config)
        x = noise(3, 5, 6, 7)
        sampler.sample(denoiser, x, self.schedule, 7, start)
        assert denoiser.visited == sampler.timesteps(self.schedule, 7, start)
        assert torch.equal(denoiser.calls[0][0], x)
        for x_t, noise_level, timesteps in denoiser.calls:
            assert x_t.shape == x.shape
            assert timesteps.tolist() == [timesteps[0].item()] * 3
            assert timesteps.dtype == torch.int64
            assert noise_level.dtype == torch.float32
            level = math.sqrt(denoiser.bars[timesteps[0].item()])
            assert noise_level.tolist() == pytest.approx([level] * 3, rel=1e-6)

    @every_sampler
    @pytest.mark.parametrize('shape', [(1, 5, 33, 47), (2, 3, 1, 1), (2, 1, 32, 32)])
    def test_any_shape(self, config, shape):
        out = build(config).sample(GaussianDenoiser(self.schedule), noise(*shape), self.schedule, 5)
        assert out.shape == shape
        assert out.dtype == torch.float32
        assert out.isfinite().all()

    @every_sampler
    def test_same_generator_same_bytes(self, config):
        sampler = build(config)
        x = noise(2, 5, 33, 47)

        def run(seed):
            denoiser = GaussianDenoiser(self.schedule)
            return sampler.sample(denoiser, x, self.schedule, 6, generator=seeded(seed))

        first = run(1)
        torch.rand(10)  # the global generator has no say
        assert torch.equal(run(1), first)
        assert torch.equal(run(2), first) is (config in DETERMINISTIC)

    @every_stochastic
    def test_a_generator_per_image_makes_batches_irrelevant(self, config):
        sampler = build(config)
        x = noise(3, 5, 9, 11)

        def run(images, seeds):
            return sampler.sample(
                GaussianDenoiser(self.schedule),
                images,
                self.schedule,
                6,
                generator=[seeded(seed) for seed in seeds],
            )

        together = run(x, (4, 5, 6))
        assert torch.equal(run(x[1:2], (5,)), together[1:2])
        assert not torch.equal(run(x[1:2], (6,)), together[1:2])

    @every_sampler
    @pytest.mark.parametrize('clip', [0.25, 1.0])
    def test_clips_x0(self, config, clip):
        denoiser = GaussianDenoiser(self.schedule, mean=2.0, std=0.0)
        out = build(config).sample(denoiser, noise(1, 5, 8, 8), self.schedule, 5, clip=clip)
        torch.testing.assert_close(out, torch.full_like(out, clip), rtol=0, atol=1e-6)

    @every_sampler
    def test_clip_none_does_not(self, config):
        denoiser = GaussianDenoiser(self.schedule, mean=2.0, std=0.0)
        out = build(config).sample(denoiser, noise(1, 5, 8, 8), self.schedule, 5, clip=None)
        torch.testing.assert_close(out, torch.full_like(out, 2.0), rtol=0, atol=1e-5)

    @every_sampler
    @pytest.mark.parametrize('prediction_type', PREDICTION_TYPES)
    def test_half_precision_predictions(self, config, prediction_type):
        denoiser = GaussianDenoiser(self.schedule, prediction_type=prediction_type)
        x = noise(1, 5, 8, 8)

        def run(denoise_fn):
            arguments = (denoise_fn, x, self.schedule, 5, None, prediction_type, seeded())
            return build(config).sample(*arguments)

        exact = run(denoiser)
        coarse = run(lambda *arguments: denoiser(*arguments).half())
        assert coarse.dtype == torch.float32
        torch.testing.assert_close(coarse, exact, rtol=0, atol=0.02)

    @pytest.mark.gpu
    @every_sampler
    def test_cuda_with_a_cpu_generator(self, config):
        sampler = build(config)
        x = noise(2, 5, 9, 11)

        def run(device):
            return sampler.sample(
                GaussianDenoiser(self.schedule),
                x.to(device),
                self.schedule,
                6,
                generator=seeded(),
            )

        on_gpu = run('cuda')
        assert on_gpu.is_cuda
        torch.testing.assert_close(on_gpu.cpu(), run('cpu'), rtol=0, atol=1e-4)


class TestExactDenoiser:
    @every_sampler
    @pytest.mark.parametrize('prediction_type', PREDICTION_TYPES)
    @pytest.mark.parametrize('schedule', [LinearNoiseSchedule, CosineNoiseSchedule])
    @pytest.mark.parametrize(('steps', 'start'), [(1, None), (10, None), (30, None), (10, 200)])
    def test_a_point_mass_is_found(self, config, prediction_type, schedule, steps, start):
        built = schedule()
        point = noise(2, 5, 7, 9, seed=3).clamp(-1, 1)
        denoiser = GaussianDenoiser(built, point.double(), 0.0, prediction_type)
        out = build(config).sample(
            denoiser, noise(2, 5, 7, 9), built, steps, start, prediction_type, seeded()
        )
        # In one step float32 noise is divided by what little signal the start has.
        first = 999 if start is None else start
        rounding = 1e-6 / math.sqrt(denoiser.bars[first]) if steps == 1 else 0.0
        torch.testing.assert_close(out, point, rtol=0, atol=max(1e-5, rounding))

    @every_sampler
    @pytest.mark.parametrize('spacing', ['log_snr', 'trailing'])
    @pytest.mark.parametrize('start', [None, 500, 200])
    def test_standard_deviation_at_every_strided_step(self, config, spacing, start):
        schedule = LinearNoiseSchedule()
        first = 999 if start is None else start
        denoiser = GaussianDenoiser(schedule, 0.0, 0.0)
        x = math.sqrt(1 - denoiser.bars[first]) * noise(1, 5, 81, 101)
        sampler = build(config | dict(spacing=spacing))
        sampler.sample(denoiser, x, schedule, 20, start, generator=seeded(1))
        for timestep, (x_t, _, _) in zip(denoiser.visited, denoiser.calls):
            expected = math.sqrt(1 - denoiser.bars[timestep])
            # Five standard errors of the 40,905 values.
            assert x_t.std().item() == pytest.approx(expected, rel=0.018), timestep

    @pytest.mark.parametrize(
        ('config', 'steps', 'tolerance'),
        [
            (dict(type='DDIMSampler'), 1000, 0.006),
            (dict(type='DPMSolverSampler'), 60, 0.02),
            (dict(type='DPMSolverSampler', solver_order=3), 60, 0.02),
            (dict(type='UniPCSampler'), 60, 0.02),
            (dict(type='UniPCSampler', solver_order=3), 60, 0.02),
        ],
        ids=lambda value: name(value) if isinstance(value, dict) else str(value),
    )
    @pytest.mark.parametrize('schedule', [LinearNoiseSchedule, CosineNoiseSchedule])
    @pytest.mark.parametrize('start', [None, 300])
    def test_deterministic_samplers_follow_the_flow(
        self, config, steps, tolerance, schedule, start
    ):
        built = schedule()
        denoiser = GaussianDenoiser(built)
        first = 999 if start is None else start
        mean, std = denoiser.marginal(first)
        x = mean + std * noise(1, 5, 21, 23)
        out = build(config).sample(denoiser, x, built, min(steps, first + 1), start, clip=None)
        torch.testing.assert_close(out, denoiser.flow(x, first), rtol=0, atol=tolerance)

    @pytest.mark.parametrize('kind', ['DPMSolverSampler', 'UniPCSampler'])
    def test_second_order_beats_first_order(self, kind):
        schedule = LinearNoiseSchedule()
        denoiser = GaussianDenoiser(schedule)
        mean, std = denoiser.marginal(999)
        x = mean + std * noise(1, 5, 21, 23)

        def error(config):
            out = build(config).sample(denoiser, x, schedule, 20, clip=None)
            return (out - denoiser.flow(x, 999)).abs().max().item()

        assert error(dict(type=kind)) < 0.25 * error(dict(type='DDIMSampler'))

    @pytest.mark.parametrize('kind', ['DPMSolverSampler', 'UniPCSampler'])
    @pytest.mark.parametrize('std', [0.02, 0.1, 0.5])
    def test_ten_steps_keep_the_detail(self, kind, std):
        schedule = LinearNoiseSchedule()
        denoiser = GaussianDenoiser(schedule, MEAN, std)
        out = build(dict(type=kind)).sample(denoiser, noise(1, 5, 81, 101), schedule, 10, clip=None)
        assert out.std().item() == pytest.approx(std, rel=0.07)

    @every_stochastic
    @pytest.mark.parametrize('start', [None, 300])
    def test_stochastic_samplers_find_the_distribution(self, config, start):
        schedule = LinearNoiseSchedule()
        denoiser = GaussianDenoiser(schedule)
        first = 999 if start is None else start
        mean, std = denoiser.marginal(first)
        x = mean + std * noise(1, 5, 61, 65)
        out = (
            build(config)
            .sample(denoiser, x, schedule, first + 1, start, generator=seeded(1), clip=None)
            .double()
        )
        error = 5 / math.sqrt(x.numel())
        assert out.mean().item() == pytest.approx(MEAN, abs=error * STD)
        # A finite number of steps falls a little short of the variance.
        assert out.std().item() == pytest.approx(STD, rel=error + 0.005)
        # Normal: as many within one standard deviation as there should be.
        within = ((out - MEAN).abs() < STD).double().mean().item()
        assert within == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.02)

    def test_pure_noise_start_is_off_by_the_terminal_signal(self):
        """What docs/diffusion.md says about a start from N(0, 1)."""
        schedule = LinearNoiseSchedule()
        denoiser = GaussianDenoiser(schedule)
        x = noise(1, 5, 61, 65)
        x = (x - x.mean()) / x.std()
        out = DDIMSampler().sample(denoiser, x, schedule, 1000, clip=None)
        expected = denoiser.flow(torch.zeros(()), 999).item()
        assert expected - MEAN == pytest.approx(-0.0122, abs=1e-4)
        assert out.mean().item() == pytest.approx(expected, abs=2e-3)


class TestByHand:
    """Steps in float64 from the papers' equations; 1e-5 is what float32 leaves."""

    schedule = LinearNoiseSchedule()
    x = noise(2, 5, 33, 47, seed=5)

    @staticmethod
    def network(x, noise_level, timesteps):
        # Neither linear nor exact, and different at each timestep.
        level = noise_level.reshape(-1, 1, 1, 1).to(x.dtype)
        return torch.sin(2 * x) * (1 - level) + 0.3 * x.roll(1, dims=-1)

    def run_by_hand(self, visited, eta, clip, seed):
        bars = np.cumprod(1 - self.schedule.betas.numpy())
        generator = seeded(seed)
        x = self.x.double()
        for position, t in enumerate(visited):
            bar = bars[t]
            is_last = position == len(visited) - 1
            before = 1.0 if is_last else bars[visited[position + 1]]
            level = torch.full((2,), math.sqrt(bar), dtype=torch.float64)
            eps = self.network(x, level, None)
            x0 = (x - math.sqrt(1 - bar) * eps) / math.sqrt(bar)
            if clip is not None:
                x0 = x0.clamp(-clip, clip)
                eps = (x - math.sqrt(bar) * x0) / math.sqrt(1 - bar)
            sigma = eta * math.sqrt((1 - before) / (1 - bar) * (1 - bar / before))
            x = math.sqrt(before) * x0 + math.sqrt(max(1 - before - sigma**2, 0)) * eps
            if eta:
                x = x + sigma * torch.randn(x.shape, generator=generator).double()
        return x

    @pytest.mark.parametrize('eta', [0.0, 0.7, 1.0])
    @pytest.mark.parametrize('clip', [None, 1.0])
    @pytest.mark.parametrize(('steps', 'start'), [(10, None), (10, 200), (50, 400), (1, 200)])
    def test_ddim(self, eta, clip, steps, start):
        sampler = DDIMSampler(eta=eta)
        found = sampler.sample(
            self.network, self.x, self.schedule, steps, start, generator=seeded(7), clip=clip
        )
        visited = sampler.timesteps(self.schedule, steps, start)
        expected = self.run_by_hand(visited, eta, clip, seed=7)
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)

    def test_ddpm_is_the_papers_posterior(self):
        """Eq. 9-11, all timesteps from 60 down."""
        generator = seeded(7)
        betas = self.schedule.betas.numpy()
        bars = np.cumprod(1 - betas)
        x = self.x.double()
        for t in range(60, -1, -1):
            level = torch.full((2,), math.sqrt(bars[t]), dtype=torch.float64)
            eps = self.network(x, level, None)
            x = (x - betas[t] / math.sqrt(1 - bars[t]) * eps) / math.sqrt(1 - betas[t])  # Eq. 11
            if t > 0:
                sigma = math.sqrt((1 - bars[t - 1]) / (1 - bars[t]) * betas[t])  # Eq. 10
                x = x + sigma * torch.randn(x.shape, generator=generator).double()
        found = DDPMSampler().sample(
            self.network, self.x, self.schedule, 61, 60, generator=seeded(7), clip=None
        )
        torch.testing.assert_close(found.double(), x, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(('steps', 'start'), [(20, None), (20, 200)])
    def test_strided_ddpm_is_ddim_with_all_of_the_noise(self, steps, start):
        # DDPM draws nothing in the last step, where DDIM's noise has no weight.
        arguments = (self.network, self.x, self.schedule, steps, start)
        found = DDPMSampler().sample(*arguments, generator=seeded(7))
        expected = DDIMSampler(eta=1.0).sample(*arguments, generator=seeded(7))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(('steps', 'start'), [(10, None), (10, 200)])
    def test_first_order_dpm_solver_is_ddim(self, steps, start):
        arguments = (self.network, self.x, self.schedule, steps, start)
        found = DPMSolverSampler(solver_order=1).sample(*arguments)
        torch.testing.assert_close(found, DDIMSampler().sample(*arguments), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(
        ('config', 'scheduler', 'settings'),
        [
            (dict(type='DDIMSampler'), 'DDIMScheduler', dict(clip_sample=False)),
            (dict(type='DDPMSampler'), 'DDPMScheduler', dict(clip_sample=False)),
            (dict(type='DPMSolverSampler'), 'DPMSolverMultistepScheduler', {}),
            (dict(type='UniPCSampler'), 'UniPCMultistepScheduler', {}),
        ],
        ids=lambda value: value if isinstance(value, str) else '',
    )
    def test_diffusers_own_use_of_the_schedule(self, config, scheduler, settings):
        """The whole schedule and its strided timesteps, as diffusers' pipelines run it."""
        plain = getattr(diffusers, scheduler)(
            num_train_timesteps=1000,
            trained_betas=self.schedule.betas.tolist(),
            timestep_spacing='trailing',
            **settings,
        )
        plain.set_timesteps(50)
        options = dict(generator=seeded(7)) if scheduler == 'DDPMScheduler' else {}
        denoiser = GaussianDenoiser(self.schedule)
        expected = self.x
        for timestep in plain.timesteps:
            prediction = denoiser(expected, timestep, timestep.reshape(1))
            expected = plain.step(prediction, timestep, expected, **options).prev_sample

        found = build(config | dict(spacing='trailing')).sample(
            denoiser, self.x, self.schedule, 50, generator=seeded(7), clip=None
        )
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)

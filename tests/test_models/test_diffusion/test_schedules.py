"""The noise schedules against the equations, worked out with plain Python and numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mmsgdfuse.models.diffusion.schedules import (
    PREDICTION_TYPES,
    CosineNoiseSchedule,
    LinearNoiseSchedule,
    NoiseSchedule,
    ScaledLinearNoiseSchedule,
    SigmoidNoiseSchedule,
)
from mmsgdfuse.registry import NOISE_SCHEDULES

SCHEDULES = [
    LinearNoiseSchedule,
    ScaledLinearNoiseSchedule,
    SigmoidNoiseSchedule,
    CosineNoiseSchedule,
]
COARSE = [0.1, 0.2, 0.3, 0.4, 0.5]


def alpha_bars_by_hand(betas: list[float]) -> np.ndarray:
    bars, product = [], 1.0
    for beta in betas:
        product *= 1.0 - beta
        bars.append(product)
    return np.array(bars)


def images(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 5, 7, 9, generator=generator, dtype=torch.float64).to(dtype)


class TestBetas:
    def test_linear(self):
        betas = LinearNoiseSchedule(5, beta_start=0.1, beta_end=0.5).betas
        assert betas.dtype == torch.float64
        assert betas.tolist() == pytest.approx(COARSE, abs=1e-15)

    def test_linear_defaults_are_the_papers(self):
        betas = LinearNoiseSchedule().betas.tolist()
        assert len(betas) == 1000
        assert betas == pytest.approx([1e-6 + i * (1e-2 - 1e-6) / 999 for i in range(1000)])

    def test_scaled_linear(self):
        betas = ScaledLinearNoiseSchedule(3, beta_start=0.04, beta_end=0.36).betas
        assert betas.tolist() == pytest.approx([0.2**2, 0.4**2, 0.6**2])

    def test_sigmoid(self):
        betas = SigmoidNoiseSchedule(3, beta_start=0.1, beta_end=0.3).betas
        low = 1 / (1 + math.exp(6))
        assert betas.tolist() == pytest.approx([0.1 + 0.2 * low, 0.2, 0.3 - 0.2 * low])

    def test_cosine(self):
        steps, offset = 1000, 0.008
        schedule = CosineNoiseSchedule(steps, offset=offset)

        def level(t: int) -> float:
            return math.cos((t / steps + offset) / (1 + offset) * math.pi / 2) ** 2

        expected = [level(t + 1) / level(0) for t in range(steps)]
        # Only the last beta would be 1 and is capped.
        assert schedule.alpha_bars[:-1].tolist() == pytest.approx(expected[:-1], rel=1e-9)
        assert schedule.betas[-1].item() == 0.999
        assert schedule.betas[-2].item() < 0.999

    @pytest.mark.parametrize('schedule', SCHEDULES)
    def test_alpha_bars_are_the_product_of_the_alphas(self, schedule):
        built = schedule()
        assert built.num_train_timesteps == 1000
        np.testing.assert_allclose(
            built.alpha_bars.numpy(), alpha_bars_by_hand(built.betas.tolist()), rtol=1e-12
        )

    def test_default_leaves_eight_percent_of_the_image_at_the_end(self):
        logs = math.fsum(math.log1p(-(1e-6 + i * (1e-2 - 1e-6) / 999)) for i in range(1000))
        level = LinearNoiseSchedule().noise_level(torch.tensor([999])).item()
        assert level == pytest.approx(math.exp(logs / 2), rel=1e-6)
        assert level == pytest.approx(0.0814, abs=5e-5)

    @pytest.mark.parametrize('schedule', SCHEDULES)
    def test_registered(self, schedule):
        built = NOISE_SCHEDULES.build(dict(type=schedule.__name__, num_train_timesteps=20))
        assert type(built) is schedule
        assert built.num_train_timesteps == 20

    def test_betas_by_config(self):
        built = NOISE_SCHEDULES.build(dict(type='NoiseSchedule', betas=COARSE))
        assert built.alpha_bars.tolist() == pytest.approx([0.9, 0.72, 0.504, 0.3024, 0.1512])


class TestBadArguments:
    @pytest.mark.parametrize(
        ('betas', 'message'),
        [
            ([], 'one or more'),
            ([[0.1, 0.2]], r'\(1, 2\)'),
            ([0.1, 0.0], r'betas\[1\] is 0\.0'),
            ([1.0], r'betas\[0\] is 1\.0'),
            ([0.1, 0.2, -0.3], r'betas\[2\]'),
            ([float('nan')], 'nan'),
        ],
    )
    def test_betas(self, betas, message):
        with pytest.raises(ValueError, match=message):
            NoiseSchedule(betas)

    @pytest.mark.parametrize(
        'schedule', [LinearNoiseSchedule, ScaledLinearNoiseSchedule, SigmoidNoiseSchedule]
    )
    @pytest.mark.parametrize(('start', 'end'), [(0.2, 0.1), (0.0, 0.1), (-0.1, 0.1), (0.1, 1.0)])
    def test_range(self, schedule, start, end):
        with pytest.raises(ValueError, match='0 < beta_start <= beta_end < 1'):
            schedule(beta_start=start, beta_end=end)

    @pytest.mark.parametrize('schedule', SCHEDULES)
    def test_no_steps(self, schedule):
        with pytest.raises(ValueError, match='num_train_timesteps must be 1 or more, found 0'):
            schedule(num_train_timesteps=0)

    @pytest.mark.parametrize(
        ('arguments', 'name'),
        [
            (dict(offset=-0.1), 'offset'),
            (dict(offset=float('nan')), 'offset'),
            (dict(max_beta=1.0), 'max_beta'),
            (dict(max_beta=0.0), 'max_beta'),
        ],
    )
    def test_cosine(self, arguments, name):
        with pytest.raises(ValueError, match=name):
            CosineNoiseSchedule(**arguments)

    @pytest.mark.parametrize('wrong', [-1, 5, 1000])
    def test_timestep_outside(self, wrong):
        schedule = NoiseSchedule(COARSE)
        with pytest.raises(ValueError, match=rf'within 0\.\.4, found \[{wrong}\]'):
            schedule.noise_level(torch.tensor([0, wrong, 4]))
        with pytest.raises(ValueError, match='within'):
            schedule.add_noise(images(1), images(1), torch.tensor([wrong]))

    def test_timesteps_kind(self):
        schedule = NoiseSchedule(COARSE)
        with pytest.raises(TypeError, match=r'integer tensor, found torch\.float32'):
            schedule.noise_level(torch.tensor([1.0]))
        with pytest.raises(TypeError, match=r'integer tensor, found torch\.bool'):
            schedule.noise_level(torch.tensor([True]))
        with pytest.raises(ValueError, match=r'shape \(N,\)'):
            schedule.noise_level(torch.tensor(1))

    def test_images(self):
        schedule = NoiseSchedule(COARSE)
        times = torch.tensor([0, 1])
        with pytest.raises(ValueError, match='one entry per image'):
            schedule.add_noise(images(3), images(3), times)
        with pytest.raises(ValueError, match='same shape'):
            schedule.add_noise(images(2), images(2)[:, :3], times)
        with pytest.raises(TypeError, match=r'floating-point, found torch\.uint8'):
            schedule.add_noise(images(2).byte(), images(2), times)

    @pytest.mark.parametrize('method', ['target', 'to_x0', 'to_noise'])
    def test_prediction_type(self, method):
        convert = getattr(NoiseSchedule(COARSE), method)
        with pytest.raises(ValueError, match=r"epsilon.*found 'eps'"):
            convert(images(1), images(1), torch.tensor([0]), 'eps')


class TestMarginals:
    @pytest.mark.parametrize('schedule', SCHEDULES)
    def test_coefficients_at_every_timestep(self, schedule):
        built = schedule()
        times = torch.arange(1000)
        one = torch.ones(1000, 1, 1, 1, dtype=torch.float64)
        signal = built.add_noise(one, torch.zeros_like(one), times).flatten().numpy()
        sigma = built.add_noise(torch.zeros_like(one), one, times).flatten().numpy()

        # The variance by the Markov chain of Eq. 6, which never uses 1 - alpha_bar.
        variance, expected = 0.0, []
        for beta in built.betas.tolist():
            variance = (1 - beta) * variance + beta
            expected.append(variance)
        np.testing.assert_allclose(sigma**2, expected, rtol=1e-9)
        np.testing.assert_allclose(signal**2, alpha_bars_by_hand(built.betas.tolist()), rtol=1e-12)

    def test_coefficients_survive_float32(self):
        # A product of float32 alphas misses the first standard deviations by over 0.5 %.
        one = torch.ones(3, 1)
        times = torch.tensor([0, 1, 2])
        sigma = LinearNoiseSchedule().add_noise(torch.zeros_like(one), one, times).flatten()
        step = (1e-2 - 1e-6) / 999
        betas = [1e-6, 1e-6 + step, 1e-6 + 2 * step]
        expected = np.sqrt(1 - alpha_bars_by_hand(betas))
        np.testing.assert_allclose(sigma.numpy(), expected, rtol=1e-6)

    def test_chain_of_single_steps_has_the_marginal(self):
        generator = torch.Generator().manual_seed(0)
        x = torch.full((200_000,), 0.7, dtype=torch.float64)
        for beta in COARSE:
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            x = math.sqrt(1 - beta) * x + math.sqrt(beta) * noise  # Eq. 6
        bar = NoiseSchedule(COARSE).alpha_bars[-1].item()
        assert x.mean().item() == pytest.approx(math.sqrt(bar) * 0.7, abs=0.011)
        assert x.var().item() == pytest.approx(1 - bar, rel=0.016)

    @pytest.mark.parametrize('schedule', SCHEDULES)
    @pytest.mark.parametrize('timestep', [0, 5, 200, 700, 999])
    def test_statistics(self, schedule, timestep):
        built = schedule()
        generator = torch.Generator().manual_seed(timestep)
        x0 = torch.full((4, 5, 100, 101), -0.6)
        noise = torch.randn(x0.shape, generator=generator)
        x_t = built.add_noise(x0, noise, torch.full((4,), timestep)).double()
        bar = alpha_bars_by_hand(built.betas.tolist())[timestep]
        # Five standard errors.
        error = 5 / math.sqrt(x0.numel())
        sigma = math.sqrt(1 - bar)
        assert x_t.mean().item() == pytest.approx(-0.6 * math.sqrt(bar), abs=error * sigma + 1e-6)
        assert x_t.std().item() == pytest.approx(sigma, rel=error)

    def test_each_image_has_its_own_timestep(self):
        schedule = LinearNoiseSchedule()
        x0, noise = images(3), images(3, seed=1)
        times = torch.tensor([999, 0, 200])
        together = schedule.add_noise(x0, noise, times)
        for i in range(3):
            alone = schedule.add_noise(x0[i : i + 1], noise[i : i + 1], times[i : i + 1])
            assert torch.equal(together[i : i + 1], alone)
        assert not torch.allclose(together[0], together[1])

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
    def test_keeps_dtype(self, dtype):
        schedule = LinearNoiseSchedule()
        times = torch.tensor([3, 300])
        x0, noise = images(2), images(2, seed=1)
        exact = schedule.add_noise(x0, noise, times)
        x_t = schedule.add_noise(x0.to(dtype), noise.to(dtype), times)
        assert x_t.dtype == dtype
        torch.testing.assert_close(x_t.double(), exact, rtol=0, atol=10 * torch.finfo(dtype).eps)

    @pytest.mark.parametrize('shape', [(2,), (2, 3), (2, 5, 33, 47), (2, 1, 2, 3, 4)])
    def test_any_number_of_dimensions(self, shape):
        x_t = NoiseSchedule(COARSE).add_noise(
            torch.ones(shape), torch.zeros(shape), torch.tensor([0, 1])
        )
        assert x_t.shape == shape
        np.testing.assert_allclose(x_t[0].numpy(), math.sqrt(0.9), rtol=1e-6)
        np.testing.assert_allclose(x_t[1].numpy(), math.sqrt(0.72), rtol=1e-6)

    @pytest.mark.gpu
    def test_cuda(self):
        schedule = LinearNoiseSchedule()
        x0, noise, times = images(2).float(), images(2, seed=1).float(), torch.tensor([3, 300])
        on_gpu = schedule.add_noise(x0.cuda(), noise.cuda(), times.cuda())
        assert on_gpu.is_cuda
        assert schedule.noise_level(times.cuda()).is_cuda
        torch.testing.assert_close(on_gpu.cpu(), schedule.add_noise(x0, noise, times))


class TestNoiseLevel:
    @pytest.mark.parametrize('dtype', [torch.int64, torch.int32, torch.uint8])
    def test_is_the_square_root_of_alpha_bar(self, dtype):
        level = NoiseSchedule(COARSE).noise_level(torch.tensor([4, 0, 2, 0], dtype=dtype))
        assert level.dtype == torch.float32
        expected = [math.sqrt(bar) for bar in (0.1512, 0.9, 0.504, 0.9)]
        assert level.tolist() == pytest.approx(expected, rel=1e-6)


class TestPredictions:
    schedule = NoiseSchedule(COARSE)
    times = torch.tensor([0, 2, 4])
    x0, noise = images(3), images(3, seed=1)

    def test_targets(self):
        arguments = (self.x0, self.noise, self.times)
        assert torch.equal(self.schedule.target(*arguments), self.noise)
        assert torch.equal(self.schedule.target(*arguments, 'epsilon'), self.noise)
        assert torch.equal(self.schedule.target(*arguments, 'sample'), self.x0)
        velocity = self.schedule.target(*arguments, 'v_prediction')
        for i, bar in enumerate((0.9, 0.504, 0.1512)):
            expected = math.sqrt(bar) * self.noise[i] - math.sqrt(1 - bar) * self.x0[i]
            torch.testing.assert_close(velocity[i], expected)

    @pytest.mark.parametrize('prediction_type', PREDICTION_TYPES)
    @pytest.mark.parametrize('schedule', SCHEDULES)
    def test_conversions_invert_the_target(self, schedule, prediction_type):
        built = schedule()
        times = torch.tensor([0, 200, 900])
        x_t = built.add_noise(self.x0, self.noise, times)
        target = built.target(self.x0, self.noise, times, prediction_type)
        x0 = built.to_x0(x_t, target, times, prediction_type)
        noise = built.to_noise(x_t, target, times, prediction_type)
        torch.testing.assert_close(x0, self.x0, rtol=0, atol=1e-10)
        torch.testing.assert_close(noise, self.noise, rtol=0, atol=1e-10)


class TestPosterior:
    @pytest.mark.parametrize('timestep', [1, 2, 3, 4])
    def test_is_bayes_rule(self, timestep):
        x0, x_t = 0.4, -0.9
        bars = alpha_bars_by_hand(COARSE)
        before, beta = bars[timestep - 1], COARSE[timestep]
        grid = np.linspace(-12, 12, 200_001)
        log_prior = -((grid - math.sqrt(before) * x0) ** 2) / (2 * (1 - before))
        log_likelihood = -((x_t - math.sqrt(1 - beta) * grid) ** 2) / (2 * beta)
        density = np.exp(log_prior + log_likelihood)
        density /= density.sum()
        mean = (density * grid).sum()
        variance = (density * (grid - mean) ** 2).sum()

        noise = (x_t - math.sqrt(bars[timestep]) * x0) / math.sqrt(1 - bars[timestep])
        found = NoiseSchedule(COARSE).posterior_mean_variance(
            torch.tensor([[x_t]], dtype=torch.float64),
            torch.tensor([[noise]], dtype=torch.float64),
            torch.tensor([timestep]),
        )
        assert found[0].item() == pytest.approx(mean, abs=1e-8)
        assert found[1].item() == pytest.approx(variance, abs=1e-8)

    def test_first_step_ends_at_the_clean_image(self):
        schedule = LinearNoiseSchedule()
        x0, noise, times = images(2), images(2, seed=1), torch.tensor([0, 0])
        x_t = schedule.add_noise(x0, noise, times)
        mean, variance = schedule.posterior_mean_variance(x_t, noise, times)
        torch.testing.assert_close(mean, x0)
        assert variance.shape == (2, 1, 1, 1)
        assert not variance.any()

    def test_refuses_timesteps_outside(self):
        with pytest.raises(ValueError, match='within'):
            NoiseSchedule(COARSE).posterior_mean_variance(images(1), images(1), torch.tensor([5]))


class TestRespace:
    @pytest.mark.parametrize('schedule', SCHEDULES)
    def test_keeps_the_marginals(self, schedule):
        built = schedule()
        chosen = [0, 3, 200, 640, 999]
        chain = built.respace(chosen)
        assert chain.num_train_timesteps == 5
        torch.testing.assert_close(chain.alpha_bars, built.alpha_bars[chosen], rtol=1e-7, atol=0)

    def test_all_timesteps_give_the_schedule_back(self):
        schedule = NoiseSchedule(COARSE)
        torch.testing.assert_close(schedule.respace(range(5)).betas, schedule.betas)

    @pytest.mark.parametrize(
        ('timesteps', 'message'),
        [([], 'ascend'), ([3, 1], 'ascend'), ([1, 1], 'ascend'), ([0, 5], 'within')],
    )
    def test_bad_timesteps(self, timesteps, message):
        with pytest.raises(ValueError, match=message):
            NoiseSchedule(COARSE).respace(timesteps)

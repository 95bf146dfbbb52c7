"""A conditional diffusion model that removes sensor noise, stripes and blur from a pair."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmsgdfuse.models.diffusion.samplers import BaseSampler
from mmsgdfuse.models.fusers.base import to_uint8
from mmsgdfuse.models.luma import luma
from mmsgdfuse.registry import DIFFUSION_SCHEDULERS, MODELS, NOISE_SCHEDULES
from mmsgdfuse.structures import FusionDataSample

# x_t: infrared image and visible luma; the condition has both and the column profile
_IMAGES = 2
_CHANNELS = 2 * _IMAGES + 1
# The smoothing of the column means, in columns: stripes are narrower, the scene is wider.
_PROFILE_WINDOW = 31


@MODELS.register_module()
class PairRestorer(BaseModel):
    """Restores the infrared image and the luma of the visible image, each with the other's help.

    The diffusion runs on the two clean images, Eq. 6-7 of the paper with another x0. The
    degraded images are its condition. The U-Net sees ``x_t``, the degraded images, and the column
    profile of the infrared image, and predicts how far x0 is from the degraded images. A clean
    pair is so left nearly as it is, and a single pass from pure noise already estimates x0.

    Args:
        denoiser: Config of the U-Net, with five input channels and two output channels. Default
            ``NoiseUNet``.
        schedule: Config of the noise schedule. Default ``LinearNoiseSchedule``.
        sampler: Config of the sampler for more than one step. Default ``DDIMSampler``.
        restoration_loss: Config of the loss. Default ``RestorationLoss``.
        deblur: Config of the module that sharpens the visible image before the U-Net sees it, such
            as :class:`~mmsgdfuse.models.restoration.WienerDeblur`. The U-Net has few pixels in its
            reach, and the loss prefers a soft image to a wrong edge: it does not learn to undo
            a blur by itself. Default None: there is none.
        num_steps: Passes of the U-Net per pair. 1 takes the first estimate of x0. Default 1.
        diffusion: Whether the U-Net sees ``x_t``. Without, it is a plain feed-forward network of
            the same size, and ``num_steps`` must be 1: the baseline that the diffusion is compared
            with. Default True.
        seed: Seed of the noise in inference, the same for every pair. Default 0.
        data_preprocessor: Config of the preprocessor. Default :class:`FusionDataPreprocessor`.
        init_cfg: mmengine's initialisation config. Default None.

    Shape:
        ``inputs`` holds ``ir`` (N, 1, H, W) and ``vis`` (N, 3, H, W) in [-1, 1]; in training also
        ``clean_ir`` and ``clean_vis`` of the same form.

    Raises:
        ValueError: ``num_steps`` is outside the schedule, or above 1 without diffusion.
    """

    def __init__(
        self,
        denoiser: dict | None = None,
        schedule: dict | None = None,
        sampler: dict | None = None,
        restoration_loss: dict | None = None,
        deblur: dict | None = None,
        num_steps: int = 1,
        diffusion: bool = True,
        seed: int = 0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            data_preprocessor=data_preprocessor or dict(type='mmsgdfuse.FusionDataPreprocessor'),
            init_cfg=init_cfg,
        )
        self.denoiser = MODELS.build(
            dict(
                denoiser or dict(type='mmsgdfuse.NoiseUNet'),
                in_channels=_CHANNELS,
                out_channels=_IMAGES,
            )
        )
        _start_from_zero(self.denoiser)
        self.schedule = NOISE_SCHEDULES.build(schedule or dict(type='LinearNoiseSchedule'))
        longest = self.schedule.num_train_timesteps if diffusion else 1
        if not 1 <= num_steps <= longest:
            raise ValueError(f'num_steps must lie within 1..{longest}, found {num_steps}')
        self._sampler_cfg = sampler or dict(type='DDIMSampler')
        self.restoration_loss = MODELS.build(
            restoration_loss or dict(type='mmsgdfuse.RestorationLoss')
        )
        self.deblur = nn.Identity() if deblur is None else MODELS.build(deblur)
        self.num_steps = num_steps
        self.diffusion = diffusion
        self.seed = seed
        self.data_preprocessor.pad_size_divisor = max(
            self.data_preprocessor.pad_size_divisor, self.denoiser.size_divisor
        )
        self.to(memory_format=torch.channels_last)

    @cached_property
    def sampler(self) -> BaseSampler:
        """The sampler, built on first use: a single step needs none."""
        return DIFFUSION_SCHEDULERS.build(self._sampler_cfg)

    def restore(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Estimate the clean pair.

        Args:
            inputs: ``ir`` and ``vis`` as in the class's Shape.

        Returns:
            ``ir`` and ``vis`` of the same form. The visible image keeps its chroma.
        """
        inputs = dict(inputs, vis=self.deblur(inputs['vis']))
        condition = self.condition(inputs)
        noise = self._noise(condition[:, :_IMAGES])
        last = self.schedule.num_train_timesteps - 1
        if self.num_steps == 1:
            times = torch.full((len(noise),), last, device=noise.device)
            clean = self.predict_clean(noise, condition, self.schedule.noise_level(times))
        else:
            clean = self.sampler.sample(
                lambda x, level, _: self.predict_clean(x, condition, level),
                noise,
                self.schedule,
                num_steps=self.num_steps,
                prediction_type='sample',
            )
        clean = clean.clamp(-1, 1)
        change = clean[:, 1:] - condition[:, 1:_IMAGES]
        return {'ir': clean[:, :1], 'vis': (inputs['vis'] + change).clamp(-1, 1)}

    def predict_clean(self, noised: Tensor, condition: Tensor, noise_level: Tensor) -> Tensor:
        """x0 (N, 2, H, W) from ``x_t`` (N, 2, H, W), :meth:`condition` and the noise level (N,)."""
        if not self.diffusion:
            noised, noise_level = torch.zeros_like(noised), torch.zeros_like(noise_level)
        change = self.denoiser(torch.cat([noised, condition], dim=1), noise_level)
        return condition[:, :_IMAGES] + change

    @staticmethod
    def condition(inputs: dict[str, Tensor]) -> Tensor:
        """Infrared image, visible luma and column profile: (N, 3, H, W)."""
        ir = inputs['ir']
        return torch.cat([ir, luma(inputs['vis']), column_profile(ir)], dim=1)

    def loss(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss of one batch, at one random diffusion time per pair."""
        clean = torch.cat([inputs['clean_ir'], luma(inputs['clean_vis'])], dim=1)
        condition = self.condition(dict(inputs, vis=self.deblur(inputs['vis'])))
        # later times are drawn more often: the first estimate, which few-step inference lives on,
        # is made at the last one
        last = self.schedule.num_train_timesteps - 1
        times = (last * torch.rand(len(clean), device=clean.device).sqrt()).round().long()
        noise = torch.randn_like(clean)
        noised = self.schedule.add_noise(clean, noise, times)
        # Inference starts from pure noise. A schedule whose last step keeps a trace of x0 would
        # teach the network to read the brightness of x0 from there (arXiv 2305.08891).
        noised = torch.where((times == last)[:, None, None, None], noise, noised)
        estimate = self.predict_clean(noised, condition, self.schedule.noise_level(times))
        return {'loss_restoration': self.restoration_loss(estimate, clean)}

    def forward(
        self,
        inputs: dict[str, Tensor],
        data_samples: Sequence[FusionDataSample] | None = None,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[FusionDataSample]:
        """The entry that mmengine calls.

        Args:
            inputs: What the data preprocessor returns.
            data_samples: One sample per pair; needed by ``predict``.
            mode: ``'loss'``: a dict of losses. ``'tensor'``: the result of :meth:`restore`.
                ``'predict'``: the samples with ``restored_ir`` and ``restored_vis`` set as 8-bit
                images of the input's own size, and ``fused``, the maximum rule on the two, which
                validation measures.

        Raises:
            ValueError: ``mode`` is none of these, or ``predict`` gets no samples.
        """
        if mode == 'loss':
            return self.loss(inputs)
        restored = self.restore(inputs)
        if mode == 'tensor':
            return restored
        if mode != 'predict' or data_samples is None:
            raise ValueError(f'mode must be loss, tensor or, with data_samples, predict: {mode!r}')
        samples = list(data_samples)
        surplus = (restored['ir'] - luma(restored['vis'])).clamp_min(0)
        fields = {f'restored_{key}': batch for key, batch in restored.items()}
        fields['fused'] = (restored['vis'] + surplus).clamp_max(1)
        for field, batch in fields.items():
            for sample, image in zip(samples, self.data_preprocessor.crop_back(batch, samples)):
                setattr(sample, field, to_uint8(image))
        return samples

    def _noise(self, like: Tensor) -> Tensor:
        # drawn on the CPU, so that a GPU restores with the same noise
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(like.shape[1:], generator=generator).to(like).expand_as(like)


def column_profile(image: Tensor) -> Tensor:
    """What each column's mean has above the mean of its neighbours, repeated over the rows.

    Readout circuits of thermal sensors add an offset of its own to each column. A convolution
    sees a few rows of a column, the mean over all of them tells the offset from the scene.

    Shape:
        (N, 1, H, W) -> (N, 1, H, W).
    """
    means = image.mean(dim=2)
    reach = min(_PROFILE_WINDOW // 2, means.shape[-1] - 1)
    smooth = F.avg_pool1d(F.pad(means, (reach, reach), mode='reflect'), 2 * reach + 1, stride=1)
    return (means - smooth)[:, :, None].expand_as(image)


def _start_from_zero(denoiser: nn.Module) -> None:
    """Let the untrained network change nothing: its last convolution starts from zeros."""
    last = [layer for layer in denoiser.modules() if isinstance(layer, nn.Conv2d)][-1]
    nn.init.zeros_(last.weight)
    if last.bias is not None:
        nn.init.zeros_(last.bias)

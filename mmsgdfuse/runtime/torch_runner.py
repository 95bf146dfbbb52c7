"""Running a fuser by torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor

from mmsgdfuse.models.fusers import BaseFuser
from mmsgdfuse.models.fusers.base import to_uint8
from mmsgdfuse.models.fusers.diffusion_fuser import DiffusionFuser
from mmsgdfuse.models.fusers.sgdfuse import SGDFuse
from mmsgdfuse.models.statistics import Statistics, whole_image_statistics
from mmsgdfuse.runtime.runner import Pass
from mmsgdfuse.utils.noise import position_noise


class TorchRunner:
    """A fuser that is built and loaded.

    Args:
        model: Used as it is; its preprocessor pads and scales.
        device: Where it is.
    """

    def __init__(self, model: BaseFuser, device: torch.device) -> None:
        self.model = model
        self.device = device

    @property
    def needs_masks(self) -> bool:
        return self.model.needs_masks

    @property
    def size_divisor(self) -> int:
        return self.model.data_preprocessor.pad_size_divisor

    def noise(self, shape: tuple[int, int], origin: tuple[int, int] = (0, 0)) -> np.ndarray | None:
        """See :class:`~mmsgdfuse.runtime.runner.Runner`."""
        if not isinstance(self.model, DiffusionFuser):
            return None
        draws = len(self.model.feature_timesteps) if isinstance(self.model, SGDFuse) else 1
        return np.stack(
            [position_noise(self.model.seed, i, (5, *shape), origin) for i in range(draws)]
        )

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        noise: np.ndarray | None = None,
        statistics: np.ndarray | None = None,
    ) -> Pass:
        """See :class:`~mmsgdfuse.runtime.runner.Runner`."""
        count, height, width = inputs['ir'].shape[:3]
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
            for name, image in inputs.items()
        }
        # recording takes another group norm, whose rounding differs: only tiles ask for it
        recording = None
        if noise is not None:
            given = None if statistics is None else torch.from_numpy(statistics).to(self.device)
            recording = Statistics(count, given)
        with (
            torch.inference_mode(),
            repeatable(self.device),
            evaluating(self.model),
            _noise_of(self.model, noise),
            nullcontext() if recording is None else whole_image_statistics(recording),
        ):
            batch = self.model.data_preprocessor(dict(inputs=tensors), False)['inputs']
            batch = {k: v.to(memory_format=torch.channels_last) for k, v in batch.items()}
            fused = self.model.fuse(batch)
            images = {
                name: to_uint8(image[:, :, :height, :width]).permute(0, 2, 3, 1)
                for name, image in fused.items()
            }
            found = torch.zeros(count, 0) if recording is None else recording.recorded()
        return Pass(
            {name: image.contiguous().cpu().numpy() for name, image in images.items()},
            found.cpu().numpy(),
        )


@contextmanager
def _noise_of(model: BaseFuser, noise: np.ndarray | None) -> Iterator[None]:
    """Give a model the noise of a tile instead of a whole image's, for one pass."""
    if noise is None or not isinstance(model, DiffusionFuser):
        yield
        return

    def given(like: Tensor, index: int = 0) -> Tensor:
        return torch.from_numpy(noise[index]).to(like).expand_as(like)

    model.noise = given  # type: ignore[method-assign]
    try:
        yield
    finally:
        del model.noise


@contextmanager
def evaluating(model: BaseFuser) -> Iterator[None]:
    """Evaluation mode for one call; a model that is being trained goes on as it was."""
    modes = [(module, module.training) for module in model.modules()]
    if not any(training for _, training in modes):
        yield
        return
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def repeatable(device: torch.device) -> AbstractContextManager:
    """Context in which a GPU gives the same bytes twice; a CPU does so anyway."""
    if device.type != 'cuda':
        return nullcontext()
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32
    )

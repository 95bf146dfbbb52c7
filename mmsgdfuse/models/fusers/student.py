"""The student: SGDFuse distilled into one small feed-forward network."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmsgdfuse.models.data_preprocessors.fusion import reflect_pad
from mmsgdfuse.models.fusers.base import BaseFuser, build_losses, freeze, joint_mask
from mmsgdfuse.models.fusers.loading import load_fuser
from mmsgdfuse.registry import MODELS
from mmsgdfuse.structures import FusionDataSample


@MODELS.register_module()
class StudentFuser(BaseFuser):
    """A network that learns to make a trained fuser's images without masks and diffusion.

    In training the teacher fuses each crop with the crop's masks, and the student, which sees
    the two sources alone, is judged by the distance from that image. The teacher is loaded
    when the first loss is asked for, and is no submodule: it is neither trained nor saved, and
    inference never loads it.

    Args:
        network: Config of the student's network. Default ``StudentNet``.
        teacher: File of the teacher's weights, ``*.safetensors`` with its config in the header
            (``tools/model_converters/export_weights.py``). Default: the SGDFuse that ships with
            the package.
        distillation: Config of the loss against the teacher's image. Default
            ``DistillationLoss``.
        losses: Configs, by name, of losses against the sources beside it, such as
            ``dict(ssim=dict(type='SSIMLoss'))``. Default: none.
        data_preprocessor: Config of the preprocessor. Default :class:`FusionDataPreprocessor`.
        init_cfg: mmengine's initialisation config. Default None.

    Raises:
        FileNotFoundError: In training, there is no such teacher.
        ValueError: In training, the teacher's file does not say which model it is for, or its
            weights are not those of that model.
    """

    def __init__(
        self,
        network: dict | None = None,
        teacher: str | os.PathLike | None = None,
        distillation: dict | None = None,
        losses: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.network = MODELS.build(network or dict(type='mmsgdfuse.StudentNet'))
        self.distillation = MODELS.build(distillation or dict(type='mmsgdfuse.DistillationLoss'))
        self.losses = build_losses(losses) if losses else nn.ModuleDict()
        self._teacher_weights = teacher
        # a list hides the teacher from state_dict, parameters and copies such as EMAHook's
        self._teacher: list[BaseFuser] = []
        self._finish()

    @property
    def size_divisor(self) -> int:
        return self.network.size_divisor

    def fuse(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {'fused': self.network(inputs['ir'], inputs['vis'])}

    def loss(
        self, inputs: dict[str, Tensor], data_samples: Sequence[FusionDataSample] | None = None
    ) -> dict[str, Tensor]:
        fused = self.fuse(inputs)['fused']
        losses = {'loss_distillation': self.distillation(fused, self.target(inputs))}
        for name, loss in self.losses.items():
            losses[f'loss_{name}'] = loss(fused, inputs['ir'], inputs['vis'], joint_mask(inputs))
        return losses

    @torch.no_grad()
    def target(self, inputs: dict[str, Tensor]) -> Tensor:
        """The teacher's fused image (N, 3, H, W) in [-1, 1].

        Args:
            inputs: As in :meth:`fuse`, with the masks if the teacher needs them.

        Raises:
            KeyError: The teacher needs a mask that is missing.
        """
        teacher = self.teacher(inputs['vis'].device)
        height, width = inputs['vis'].shape[-2:]
        divisor = teacher.size_divisor
        padded = -(-height // divisor) * divisor, -(-width // divisor) * divisor
        fused = teacher.fuse({key: reflect_pad(image, *padded) for key, image in inputs.items()})
        return fused['fused'][..., :height, :width]

    def teacher(self, device: torch.device) -> BaseFuser:
        """The frozen teacher, loaded on the first call, on ``device``."""
        if not self._teacher:
            # its random initial values leave the generator alone: a resumed run, which loads the
            # teacher in another epoch, goes on as an unbroken one
            self._teacher.append(load_fuser(weights=self._teacher_weights))
            freeze(self._teacher[0])
        return self._teacher[0].to(device)

"""Training phase ``preliminary``: Stage I alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mmsgdfuse.models.fusers.base import BaseFuser, build_losses, joint_mask
from mmsgdfuse.registry import MODELS
from mmsgdfuse.structures import FusionDataSample

STAGE_ONE_LOSSES: dict[str, dict] = dict(
    intensity=dict(type='mmsgdfuse.InfraredIntensityLoss'),
    gradient=dict(type='mmsgdfuse.VisibleGradientLoss'),
)


@MODELS.register_module()
class PreliminaryFuser(BaseFuser):
    """Stage I by itself, trained by Eq. 13-15; its fused image is F1.

    Args:
        preliminary: Config of the Stage I network. Default ``PreliminaryNet``.
        losses: Configs of the losses by name. Default Eq. 15, which needs no masks; a masked one
            weighs all pixels alike where the inputs have none.
        data_preprocessor: Config of the preprocessor. Default :class:`FusionDataPreprocessor`.
        init_cfg: mmengine's initialisation config. Default None.
    """

    def __init__(
        self,
        preliminary: dict | None = None,
        losses: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.preliminary = MODELS.build(preliminary or dict(type='mmsgdfuse.PreliminaryNet'))
        self.losses = build_losses(losses or STAGE_ONE_LOSSES)
        self._finish()

    @property
    def size_divisor(self) -> int:
        return self.preliminary.size_divisor

    def fuse(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {'fused': self.preliminary(inputs['ir'], inputs['vis'])}

    def loss(
        self, inputs: dict[str, Tensor], data_samples: Sequence[FusionDataSample] | None = None
    ) -> dict[str, Tensor]:
        fused = self.preliminary(inputs['ir'], inputs['vis'])
        mask = joint_mask(inputs)
        return {
            f'loss_{name}': loss(fused, inputs['ir'], inputs['vis'], mask)
            for name, loss in self.losses.items()
        }

"""Fusion rules without weights, for comparison in one and the same pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from mmsgdfuse.models.fusers.base import BaseFuser
from mmsgdfuse.models.luma import luma
from mmsgdfuse.registry import MODELS
from mmsgdfuse.structures import FusionDataSample

# The same amount added to R, G and B moves the luma and keeps the chroma (Rec. 601).
_RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = dict(
    infrared=lambda ir, vis: ir.expand_as(vis),
    visible=lambda ir, vis: vis,
    average=lambda ir, vis: vis + (ir - luma(vis)) / 2,
    maximum=lambda ir, vis: vis + (ir - luma(vis)).clamp_min(0),
)


@MODELS.register_module()
class RuleFuser(BaseFuser):
    """Fuses by a rule, so that a table compares sources, rules and networks in one pipeline.

    Args:
        rule: ``'infrared'``: that image in three equal channels; ``'visible'``: that image;
            ``'average'``, ``'maximum'``: the mean or the larger of the two lumas, with the
            visible image's chroma. Default 'maximum'.
        data_preprocessor: Config of the preprocessor. Default :class:`FusionDataPreprocessor`.
        init_cfg: mmengine's initialisation config, of no use here. Default None.

    Raises:
        ValueError: ``rule`` is none of these.
    """

    def __init__(
        self,
        rule: str = 'maximum',
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if rule not in _RULES:
            raise ValueError(f'rule must be one of {list(_RULES)}, found {rule!r}')
        self.rule = rule
        self._finish()

    def fuse(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {'fused': _RULES[self.rule](inputs['ir'], inputs['vis'])}

    def loss(
        self, inputs: dict[str, Tensor], data_samples: Sequence[FusionDataSample] | None = None
    ) -> dict[str, Tensor]:
        """Refuses: a rule has nothing to train."""
        raise NotImplementedError(f'the rule {self.rule!r} has no weights that could be trained')

"""mmagic's image metrics beside ours, in mmengine's validation and test loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmsgdfuse.registry import METRICS
from mmsgdfuse.utils.compat import import_downstream


@METRICS.register_module()
class MMagicMetric(BaseMetric):
    """One of mmagic's sample-wise metrics (PSNR, SSIM, MAE, NIQE, ...) of a fused image.

    mmagic's metrics expect mmagic's own evaluator and names; this class gives them what they
    read, so that one evaluator of mmengine holds both packages' metrics. The images are RGB
    tensors (3, H, W) in 0..255: ``ir`` (its grey repeated), ``vis``, ``fused`` and, where the
    model makes it, ``preliminary``. Under mmagic's own names, ``gt_img`` is the visible and
    ``pred_img`` the fused image.

    Args:
        metric (dict): Config of the metric. Default
            ``dict(type='PSNR', gt_key='vis', pred_key='fused')``.
        collect_device (str): Where mmengine gathers the results of several processes. Default
            'cpu'.
        prefix (str | None): Put before the name, as in ``mmagic/PSNR``. Default 'mmagic'.

    Raises:
        ImportError: mmagic cannot be imported; the message names versions that work.
        TypeError: The metric compares distributions (FID, ...), which needs mmagic's own loops.

    Examples:
        >>> niqe = dict(type='NIQE', input_order='CHW')
        >>> val_evaluator = [
        ...     dict(type='mmsgdfuse.FusionMetric'),
        ...     dict(type='mmsgdfuse.MMagicMetric', metric=niqe),
        ... ]
    """

    default_prefix = 'mmagic'

    def __init__(
        self,
        metric: Mapping[str, Any] = {'type': 'PSNR', 'gt_key': 'vis', 'pred_key': 'fused'},
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        import_downstream('mmagic')
        from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
        from mmagic.registry import METRICS as MMAGIC_METRICS

        self.metric = MMAGIC_METRICS.build(dict(metric, _scope_='mmagic'))
        if not isinstance(self.metric, BaseSampleWiseMetric):
            raise TypeError(
                f'{type(self.metric).__name__} is not computed image by image; take one that is, '
                'such as PSNR, SSIM, MAE or NIQE'
            )
        self.metric.channel_order = 'RGB'

    def process(self, data_batch: Mapping[str, Any], data_samples: Sequence[dict]) -> None:
        inputs = data_batch['inputs']
        for ir, vis, sample in zip(inputs['ir'], inputs['vis'], data_samples):
            images = dict(ir=ir.expand(3, -1, -1).float().cpu(), vis=vis.float().cpu())
            images['gt_img'] = images['vis']
            output = {
                key: value.float().cpu()
                for key, value in sample.items()
                if isinstance(value, Tensor) and key in ('fused', 'preliminary')
            }
            output['pred_img'] = output['fused']
            self.metric.process(data_batch, [dict(images, **output, output=output)])
        self.results.extend(self.metric.results)
        self.metric.results.clear()

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        return {name: float(value) for name, value in self.metric.compute_metrics(results).items()}

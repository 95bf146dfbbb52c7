"""The fusion metrics inside mmengine's validation and test loops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, get_world_size
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmsgdfuse.evaluation.functional import PAPER_METRICS, fusion_metrics, resolve_names
from mmsgdfuse.evaluation.summary import summarise
from mmsgdfuse.registry import METRICS

_Identity = tuple[str, str]


def to_uint8_image(tensor: Tensor, role: str) -> np.ndarray:
    """An image tensor as the 8-bit array that the metrics are defined on.

    Args:
        tensor: (C, H, W), uint8 or floating point, 0..255. Floating point is what 16-bit files
            become; it is rounded half to even.
        role: What to call the image in an error message.

    Returns:
        uint8 array (H, W, C).

    Raises:
        ValueError: Not three-dimensional, not finite, or outside 0..255.
    """
    if tensor.ndim != 3:
        raise ValueError(f'{role} must be (C, H, W), found {tuple(tensor.shape)}')
    image = tensor.detach().cpu().numpy().transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
    if image.dtype == np.uint8:
        return image
    low, high = float(image.min()), float(image.max())
    # A NaN fails both comparisons.
    if not (low >= 0 and high <= 255):
        raise ValueError(
            f'{role} must lie in 0..255, found {low:g}..{high:g}: the metrics take the images as '
            'they are on disk, not normalised'
        )
    return np.rint(image).astype(np.uint8)


@METRICS.register_module()
class FusionMetric(BaseMetric):
    """Mean fusion metrics over a data set, for validation and testing.

    The sources are read from the batch (``data_batch['inputs']['ir'][i]``, (1, H, W), and
    ``['vis'][i]``, (3, H, W), both 0..255), the result from the model's output
    (``data_sample['fused']``, uint8 (3, H, W)). Each image is scored on its own, so that neither
    the batch size nor the number of processes changes a value.

    Reports, for each metric, its mean and under ``<name>_count`` the number of images that the
    mean is over: an undefined value (NaN) is left out. With QRG also ``QRG_worst``, the largest
    one, since a score counts only if no single image has its noise amplified.

    Args:
        names: Metrics to compute, out of :data:`~mmsgdfuse.evaluation.functional.METRIC_INFOS`.
            Default: the paper's seven (EN, SD, SF, MI, SCD, VIF, Qabf) and QRG. None means all.
        collect_device: Where mmengine gathers the results of several processes. Default 'cpu'.
        prefix: Put before each name, as in ``fusion/VIF``. Default 'fusion'.
        collect_dir: Shared folder for gathering on several machines. Default: a temporary one.

    Raises:
        ValueError: A name is unknown; while running: an image is not in 0..255, or the sizes of
            a pair and its result differ (the message has the pair's name).
        KeyError: A data sample holds no ``fused`` image or no paths.

    Source: docs/metrics.md defines the metrics.

    Examples:
        >>> val_evaluator = dict(type='mmsgdfuse.FusionMetric', names=['VIF', 'Qabf', 'QRG'])
    """

    default_prefix = 'fusion'

    def __init__(
        self,
        names: Sequence[str] | None = (*PAPER_METRICS, 'QRG'),
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.names = resolve_names(names)

    def process(self, data_batch: Mapping[str, Any], data_samples: Sequence[dict]) -> None:
        """Scores the images of one batch.

        Args:
            data_batch: The batch as the data loader gave it, see the class.
            data_samples: The model's outputs as dictionaries.
        """
        inputs = data_batch['inputs']
        for ir, vis, sample in zip(inputs['ir'], inputs['vis'], data_samples):
            if 'fused' not in sample:
                raise KeyError(
                    f"FusionMetric needs data_sample['fused'], found only {sorted(sample)}: run "
                    "the model with mode='predict'"
                )
            identity = self._identity(sample)
            try:
                values = fusion_metrics(
                    to_uint8_image(ir, 'ir'),
                    to_uint8_image(vis, 'vis'),
                    to_uint8_image(sample['fused'], 'fused'),
                    self.names,
                )
            except (TypeError, ValueError) as error:
                raise type(error)(f'{identity[1]}: {error}') from error
            self.results.append((identity, values))

    @staticmethod
    def _identity(sample: Mapping[str, Any]) -> _Identity:
        try:
            return str(sample['ir_path']), str(sample['vis_path'])
        except KeyError as error:
            raise KeyError(
                f'FusionMetric tells the pairs apart by their paths, and a data sample has no '
                f'{error}: keep PackFusionInputs as the last transform'
            ) from error

    def evaluate(self, size: int) -> dict[str, float]:
        """Gathers the results of all processes and averages them.

        Args:
            size: Number of pairs in the data set.

        Returns:
            Mean and count by prefixed name, the same on every process.
        """
        # mmengine interleaves the processes' results up to the shortest list and cuts off at
        # `size`. With a sampler that does not pad, that loses images; so the lists are padded
        # here, all of it is gathered, and compute_metrics drops padding and repeats.
        lengths = all_gather_object(len(self.results))
        self.results.extend([None] * (max(lengths) - len(self.results)))
        return super().evaluate(max(size, max(lengths) * get_world_size()))

    def compute_metrics(
        self, results: list[tuple[_Identity, dict[str, float]] | None]
    ) -> dict[str, float]:
        """Averages the values of all images.

        Args:
            results: One (identity, values) per image, in any order; None and repeats, which
                several processes pad their share with, are skipped.

        Returns:
            Mean and count of each metric, and QRG_worst where QRG is among them.
        """
        values = dict(result for result in results if result is not None)
        report: dict[str, float] = {}
        for name in self.names:
            summary = summarise(image[name] for image in values.values())
            report[name] = summary.mean
            report[f'{name}_count'] = summary.count
            if name == 'QRG' and not math.isnan(summary.worst):
                report['QRG_worst'] = summary.worst
        return report

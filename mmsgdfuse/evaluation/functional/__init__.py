"""The evaluation metrics as pure functions on uint8 arrays: numpy, scipy and OpenCV, nothing else.

Every function takes the infrared, the visible and the fused image (or the fused one alone) as
uint8 arrays (H, W), (H, W, 1) or (H, W, 3) in RGB order and computes in float64 on their 8-bit
luma. :func:`fusion_metrics` computes any number of them by name.
"""

from mmsgdfuse.evaluation.functional.catalogue import (
    CONSTANT_RESULT,
    METRIC_INFOS,
    PAPER_METRICS,
    MetricInfo,
    fusion_metrics,
    resolve_names,
)
from mmsgdfuse.evaluation.functional.correlation import (
    correlation_coefficient,
    sum_of_correlations_of_differences,
)
from mmsgdfuse.evaluation.functional.edges import nabf, qabf
from mmsgdfuse.evaluation.functional.feature_information import (
    FMI_FEATURES,
    feature_mutual_information,
)
from mmsgdfuse.evaluation.functional.image import UndefinedMetricWarning, luma_triple, to_luma
from mmsgdfuse.evaluation.functional.information import (
    mutual_information,
    nonlinear_correlation_information_entropy,
)
from mmsgdfuse.evaluation.functional.overshoot import overshoot
from mmsgdfuse.evaluation.functional.perception import qcb, qcv
from mmsgdfuse.evaluation.functional.quiet_regions import QRG_MIN_PIXELS, quiet_region_gain
from mmsgdfuse.evaluation.functional.region_contrast import region_contrast
from mmsgdfuse.evaluation.functional.similarity import MS_SSIM_MIN_SIDE, ms_ssim, psnr, qy, ssim
from mmsgdfuse.evaluation.functional.statistics import (
    average_gradient,
    entropy,
    spatial_frequency,
    standard_deviation,
)
from mmsgdfuse.evaluation.functional.temporal import (
    FlowAlignment,
    temporal_difference,
    temporal_differences,
)
from mmsgdfuse.evaluation.functional.vif import VIF_MIN_SIDE, visual_information_fidelity

__all__ = [
    'CONSTANT_RESULT',
    'FMI_FEATURES',
    'METRIC_INFOS',
    'MS_SSIM_MIN_SIDE',
    'PAPER_METRICS',
    'QRG_MIN_PIXELS',
    'VIF_MIN_SIDE',
    'FlowAlignment',
    'MetricInfo',
    'UndefinedMetricWarning',
    'average_gradient',
    'correlation_coefficient',
    'entropy',
    'feature_mutual_information',
    'fusion_metrics',
    'luma_triple',
    'ms_ssim',
    'mutual_information',
    'nabf',
    'nonlinear_correlation_information_entropy',
    'overshoot',
    'psnr',
    'qabf',
    'qcb',
    'qcv',
    'quiet_region_gain',
    'qy',
    'region_contrast',
    'resolve_names',
    'spatial_frequency',
    'ssim',
    'standard_deviation',
    'sum_of_correlations_of_differences',
    'temporal_difference',
    'temporal_differences',
    'to_luma',
    'visual_information_fidelity',
]

"""Every metric by its name: how to compute it, its unit and which way is better."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from mmsgdfuse.evaluation.functional.correlation import (
    correlation_coefficient,
    sum_of_correlations_of_differences,
)
from mmsgdfuse.evaluation.functional.edges import nabf, qabf
from mmsgdfuse.evaluation.functional.feature_information import (
    FMI_FEATURES,
    feature_mutual_information,
)
from mmsgdfuse.evaluation.functional.image import UndefinedMetricWarning, luma_triple
from mmsgdfuse.evaluation.functional.information import (
    mutual_information,
    nonlinear_correlation_information_entropy,
)
from mmsgdfuse.evaluation.functional.overshoot import overshoot
from mmsgdfuse.evaluation.functional.perception import qcb, qcv
from mmsgdfuse.evaluation.functional.quiet_regions import quiet_region_gain
from mmsgdfuse.evaluation.functional.similarity import ms_ssim, psnr, qy, ssim
from mmsgdfuse.evaluation.functional.statistics import (
    average_gradient,
    entropy,
    spatial_frequency,
    standard_deviation,
)
from mmsgdfuse.evaluation.functional.vif import vif_per_source
from mmsgdfuse.utils.errors import InputError

_Compute = Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, float]]


@dataclass(frozen=True)
class MetricInfo:
    """What a table needs to know about a metric.

    Args:
        name: The name that tables and options use.
        direction: 1 where higher is better, -1 where lower is, 0 where neither is (QRG).
        unit: Physical unit, '' where there is none.
        about: The definition in a few words.
        compute: Maps luma planes (ir, vis, fused) to this value and those found along with it.
        part_of: The metric that this one is a part or another unit of, '' for one of its own.
            A ranking counts only the latter.
        costly: Whether it takes longer than all those together that are not; such a metric is
            computed only where it is named.
        of_sequences: Whether a value belongs to a frame and the one before, not to one image; such
            a metric has no ``compute`` of its own and is found by
            :func:`~mmsgdfuse.evaluation.scoring.score_folders` only.
    """

    name: str
    direction: int
    unit: str
    about: str
    compute: _Compute
    part_of: str = ''
    costly: bool = False
    of_sequences: bool = False

    @property
    def arrow(self) -> str:
        """An arrow in the direction of better values, '' where there is none."""
        return {1: '\u2191', -1: '\u2193', 0: ''}[self.direction]


def _alone(name: str, function: Callable[[np.ndarray], float]) -> _Compute:
    return lambda ir, vis, fused: {name: function(fused)}


def _against(name: str, function: Callable[..., float]) -> _Compute:
    return lambda ir, vis, fused: {name: function(ir, vis, fused)}


def _no_image(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> dict[str, float]:
    raise InputError('a temporal metric needs two frames: see temporal_difference')


def _information(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> dict[str, float]:
    nats = mutual_information(ir, vis, fused)
    return {'MI': nats, 'MI_bits': nats / math.log(2)}


def _fidelity(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> dict[str, float]:
    of_ir, of_vis = vif_per_source(ir, vis, fused)
    return {'VIF': of_ir + of_vis, 'VIF_ir': of_ir, 'VIF_vi': of_vis}


_scd = _against('SCD', sum_of_correlations_of_differences)
_qncie = _against('QNCIE', nonlinear_correlation_information_entropy)
_INFOS = (
    MetricInfo('EN', 1, 'bits', 'entropy', _alone('EN', entropy)),
    MetricInfo('SD', 1, 'grey levels', 'standard deviation', _alone('SD', standard_deviation)),
    MetricInfo('SF', 1, 'grey levels', 'spatial frequency', _alone('SF', spatial_frequency)),
    MetricInfo('MI', 1, 'nats', 'mutual information, sum over the sources', _information),
    MetricInfo('SCD', 1, '', 'sum of the correlations of differences', _scd),
    MetricInfo('VIF', 1, '', 'visual information fidelity, sum over the sources', _fidelity),
    MetricInfo('Qabf', 1, '', 'edges of the sources that are kept', _against('Qabf', qabf)),
    MetricInfo('AG', 1, 'grey levels', 'average gradient', _alone('AG', average_gradient)),
    MetricInfo('CC', 1, '', 'mean correlation', _against('CC', correlation_coefficient)),
    MetricInfo('SSIM', 1, '', 'mean structural similarity', _against('SSIM', ssim)),
    MetricInfo('MS_SSIM', 1, '', 'mean multi-scale SSIM', _against('MS_SSIM', ms_ssim)),
    MetricInfo('PSNR', 1, 'dB', 'peak 255, mean of the two errors', _against('PSNR', psnr)),
    MetricInfo('Nabf', -1, '', 'edges that no source explains', _against('Nabf', nabf)),
    MetricInfo(
        'Qcb', 1, '', 'local contrast that is kept, after a model of the eye', _against('Qcb', qcb)
    ),
    MetricInfo('Qcv', -1, '', 'visible differences from the sources', _against('Qcv', qcv)),
    MetricInfo('Qy', 1, '', 'structural similarity where the sources agree', _against('Qy', qy)),
    MetricInfo('QNCIE', 1, '', 'nonlinear correlation of the three images', _qncie),
    MetricInfo('QRG', 0, '', 'noise gain in quiet regions', _against('QRG', quiet_region_gain)),
    MetricInfo(
        'Overshoot',
        -1,
        'grey levels',
        "values beside strong edges beyond both sources'",
        _against('Overshoot', overshoot),
    ),
    MetricInfo('VIF_ir', 1, '', 'VIF against the infrared image', _fidelity, part_of='VIF'),
    MetricInfo('VIF_vi', 1, '', 'VIF against the visible image', _fidelity, part_of='VIF'),
    MetricInfo('MI_bits', 1, 'bits', 'MI with logarithms to base 2', _information, part_of='MI'),
    *(
        MetricInfo(
            f'FMI_{feature}',
            1,
            '',
            f'mutual information of the feature {feature!r} in windows',
            _against(f'FMI_{feature}', partial(feature_mutual_information, feature=feature)),
            costly=True,
        )
        for feature in FMI_FEATURES
    ),
    MetricInfo(
        'TD', -1, 'grey levels', 'change between flow-aligned frames', _no_image, of_sequences=True
    ),
)

#: Every metric by name, in the order of the tables.
METRIC_INFOS: dict[str, MetricInfo] = {info.name: info for info in _INFOS}

#: The seven of the SGDFuse paper's tables.
#: How the warning of a constant fused image begins.
CONSTANT_RESULT = 'the fused image is constant'

PAPER_METRICS = ('EN', 'SD', 'SF', 'MI', 'SCD', 'VIF', 'Qabf')


def resolve_names(names: Iterable[str] | None, sequences: bool = False) -> tuple[str, ...]:
    """Checks metric names and drops repeats.

    Args:
        names: Names out of ``METRIC_INFOS``; None means all but the costly ones (``FMI_*``)
            and those of sequences (``TD``).
        sequences: Whether metrics of sequences may be among them. Default False.

    Returns:
        The names, in the order given.

    Raises:
        TypeError: ``names`` is a single string.
        ValueError: A name is unknown or of sequences, or there is none.

    Examples:
        >>> resolve_names(['VIF', 'EN', 'VIF'])
        ('VIF', 'EN')
    """
    if names is None:
        return tuple(
            name for name, info in METRIC_INFOS.items() if not (info.costly or info.of_sequences)
        )
    if isinstance(names, str):
        raise TypeError(f'names must be a sequence of metric names, found the string {names!r}')
    unique = tuple(dict.fromkeys(names))
    if not unique:
        raise InputError('no metric was named')
    for name in unique:
        if name not in METRIC_INFOS:
            close = difflib.get_close_matches(name, METRIC_INFOS, n=1, cutoff=0.5)
            hint = f', did you mean {close[0]!r}?' if close else ''
            raise InputError(
                f'unknown metric {name!r}{hint} Known metrics: {", ".join(METRIC_INFOS)}'
            )
        if METRIC_INFOS[name].of_sequences and not sequences:
            raise InputError(
                f'{name} is of a sequence of frames, not of one image: name it for folders of '
                'frames (score_folders, tools/evaluate.py), or call temporal_difference'
            )
    return unique


def _warn_of_constant_sources(ir: np.ndarray, vis: np.ndarray) -> None:
    for role, luma in (('infrared', ir), ('visible', vis)):
        if luma.min() == luma.max():
            warnings.warn(
                f'the {role} image is constant ({luma.flat[0]}): its VIF counts as kept whole, '
                'CC and SCD are undefined',
                UndefinedMetricWarning,
                stacklevel=3,
            )


def _warn_of_constant_result(fused: np.ndarray) -> None:
    if fused.min() == fused.max():
        warnings.warn(
            f'{CONSTANT_RESULT} ({fused.flat[0]}): it shows nothing of its sources, and its scores '
            'mean nothing; fuse the pair again, or look at what wrote the file',
            UndefinedMetricWarning,
            stacklevel=3,
        )


def fusion_metrics(
    ir: np.ndarray,
    vis: np.ndarray,
    fused: np.ndarray,
    names: Iterable[str] | None = None,
) -> dict[str, float]:
    """The metrics of one fused image, computed in float64 on 8-bit luma.

    Args:
        ir: Infrared image, uint8 (H, W), (H, W, 1) or (H, W, 3) RGB, 0..255.
        vis: Visible image, the same, of the same size.
        fused: Fused image, the same, of the same size.
        names: Which metrics, out of ``METRIC_INFOS``. None (default) means all but the costly ones
            (``FMI_*``); one of sequences (``TD``) cannot be among them.

    Returns:
        Value by name, in the order of ``names``. An undefined value is NaN: leave it out of a
        mean and report how many images counted.

    Raises:
        TypeError: An image is not a uint8 array.
        ValueError: The sizes differ, an image has an alpha channel, or a name is unknown.

    Warns:
        UndefinedMetricWarning: A source or the fused image is constant, or the image is too
            small for a metric.

    Source: docs/metrics.md defines each metric; the convention is that of CDDFuse's evaluator.

    Examples:
        >>> import numpy as np
        >>> ramp = (np.indices((64, 64)).sum(axis=0) * 2).astype(np.uint8)
        >>> noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
        >>> values = fusion_metrics(ramp, noise, np.maximum(ramp, noise), names=['EN', 'VIF'])
        >>> {name: round(value, 3) for name, value in values.items()}
        {'EN': 7.408, 'VIF': 0.253}
    """
    wanted = resolve_names(names)
    ir, vis, fused = luma_triple(ir, vis, fused)
    _warn_of_constant_sources(ir, vis)
    _warn_of_constant_result(fused)
    values: dict[str, float] = {}
    for name in wanted:
        if name not in values:
            values.update(METRIC_INFOS[name].compute(ir, vis, fused))
    return {name: values[name] for name in wanted}

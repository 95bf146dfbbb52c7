"""What a fusion of degraded sources is worth: beside the clean sources and the clean fusion."""

from __future__ import annotations

import numpy as np

from mmsgdfuse.evaluation.functional import fusion_metrics, psnr, ssim, to_luma
from mmsgdfuse.evaluation.functional.edges import qabf
from mmsgdfuse.evaluation.functional.vif import vif_per_source

#: Against the method's own fusion of the clean sources, which is the reference there.
OWN_METRICS = ('PSNR_own', 'SSIM_own', 'VIF_own', 'Qabf_own')
#: Against the clean sources, as the metrics of the same names are defined.
SOURCE_METRICS = ('PSNR', 'SSIM', 'VIF', 'Qabf')
#: All keys of :func:`score_restoration`, in the order of the tables.
RESTORATION_METRICS = (*OWN_METRICS, *SOURCE_METRICS)


def score_restoration(
    fused: np.ndarray, clean_fused: np.ndarray, ir: np.ndarray, vis: np.ndarray
) -> dict[str, float]:
    """Measure the fusion of a degraded pair, in float64 on 8-bit luma.

    Args:
        fused: What a method makes of the degraded pair, uint8 (H, W), (H, W, 1) or RGB (H, W, 3).
        clean_fused: What the same method makes of the clean pair, the same.
        ir: Clean infrared image, the same.
        vis: Clean visible image, the same.

    Returns:
        By the names of ``RESTORATION_METRICS``. ``*_own`` take ``clean_fused`` as the one
        reference: ``PSNR_own`` in dB with peak 255, infinite where both are equal; ``SSIM_own``,
        ``VIF_own`` and ``Qabf_own`` are at most 1, 1 and 0.98 for equal images. ``PSNR``,
        ``SSIM`` (means over the sources), ``VIF`` (sum over them) and ``Qabf`` are those of
        docs/metrics.md against ``ir`` and ``vis``.

    Raises:
        TypeError: An image is not uint8.
        ValueError: The sizes differ.

    Examples:
        >>> import numpy as np
        >>> image = (np.indices((64, 64)).sum(axis=0) * 2).astype(np.uint8)
        >>> score_restoration(image + np.uint8(1), image, image, image)['PSNR_own']
        48.1308...
    """
    clean = to_luma(clean_fused, 'clean_fused')
    luma = to_luma(fused, 'fused')
    own = dict(
        PSNR_own=psnr(clean, clean, luma),
        SSIM_own=ssim(clean, clean, luma),
        VIF_own=vif_per_source(clean, clean, luma)[0],
        Qabf_own=qabf(clean, clean, luma),
    )
    return {**own, **fusion_metrics(ir, vis, luma, SOURCE_METRICS)}

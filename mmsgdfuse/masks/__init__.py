"""From an image to the one-channel semantic prior M: generators, composers and an on-disk cache."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmsgdfuse.masks.base import BaseMaskGenerator
from mmsgdfuse.masks.cache import (
    CachedMaskGenerator,
    MaskCache,
    image_digest,
    settings_digest,
)
from mmsgdfuse.masks.checkpoints import (
    SAM_CHECKPOINTS,
    CheckpointError,
    default_checkpoint,
    download,
    file_sha256,
)
from mmsgdfuse.masks.composers import build_composer, labels, salience, score, union
from mmsgdfuse.masks.contrast import centre_surround
from mmsgdfuse.masks.saliency import ThermalVisualSaliency
from mmsgdfuse.masks.segments import (
    Segment,
    add_contrast,
    as_luma,
    covered_share,
    mask_box,
    segment_contrast,
)
from mmsgdfuse.masks.semantic import label_segments
from mmsgdfuse.masks.sheet import contact_sheet

if TYPE_CHECKING:
    from mmsgdfuse.masks.openmmlab import MMDetMaskGenerator, MMSegMaskGenerator
    from mmsgdfuse.masks.sam import SAMMaskGenerator
    from mmsgdfuse.masks.transformers_sam import TransformersSAMMaskGenerator

__all__ = [
    'SAM_CHECKPOINTS',
    'BaseMaskGenerator',
    'CachedMaskGenerator',
    'CheckpointError',
    'MMDetMaskGenerator',
    'MMSegMaskGenerator',
    'MaskCache',
    'SAMMaskGenerator',
    'Segment',
    'ThermalVisualSaliency',
    'TransformersSAMMaskGenerator',
    'add_contrast',
    'as_luma',
    'build_composer',
    'centre_surround',
    'contact_sheet',
    'covered_share',
    'default_checkpoint',
    'download',
    'file_sha256',
    'image_digest',
    'label_segments',
    'labels',
    'mask_box',
    'salience',
    'score',
    'segment_contrast',
    'settings_digest',
    'union',
]

# The embedded generator works without torch, these do not
_NEED_TORCH = {
    'SAMMaskGenerator': 'mmsgdfuse.masks.sam',
    'MMDetMaskGenerator': 'mmsgdfuse.masks.openmmlab',
    'MMSegMaskGenerator': 'mmsgdfuse.masks.openmmlab',
    'TransformersSAMMaskGenerator': 'mmsgdfuse.masks.transformers_sam',
}


def __getattr__(name: str) -> Any:
    """Import a generator that needs torch on first use."""
    if name in _NEED_TORCH:
        return getattr(import_module(_NEED_TORCH[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

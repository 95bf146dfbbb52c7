"""From batches of the data loader to what the networks read."""

from mmsgdfuse.models.data_preprocessors.fusion import FusionDataPreprocessor

__all__ = ['FusionDataPreprocessor']

"""Data sets of infrared-visible pairs, their transforms, and a synthetic scene."""

from mmsgdfuse.datasets.ivif_dataset import DatasetError, IVIFDataset
from mmsgdfuse.datasets.synthetic import SyntheticScene, synthetic_scene

__all__ = ['DatasetError', 'IVIFDataset', 'SyntheticScene', 'synthetic_scene']

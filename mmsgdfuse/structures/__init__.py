"""What one sample carries from dataset to model, metric and visualizer."""

from mmsgdfuse.structures.fusion_data_sample import FusionDataSample

__all__ = ['FusionDataSample']

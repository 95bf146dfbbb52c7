"""Pictures of sources, masks and results: for people, TensorBoard and test folders."""

from mmsgdfuse.visualization.hook import FusionVisualizationHook
from mmsgdfuse.visualization.panel import TITLES, fusion_panel
from mmsgdfuse.visualization.visualizer import FusionVisualizer

__all__ = ['TITLES', 'FusionVisualizationHook', 'FusionVisualizer', 'fusion_panel']

"""Fusion results for mmengine's visualization backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from mmengine.dist import master_only
from mmengine.visualization import Visualizer
from torch import Tensor

from mmsgdfuse.registry import VISUALIZERS
from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.visualization.panel import fusion_panel


def to_array(image: Tensor | np.ndarray) -> np.ndarray:
    """A tensor (C, H, W) on any device as an array (H, W, C); an array stays as it is."""
    if isinstance(image, Tensor):
        return image.detach().cpu().numpy().transpose(1, 2, 0)
    return image


@VISUALIZERS.register_module()
class FusionVisualizer(Visualizer):
    """Shows sources, masks, preliminary and fused image of a pair in one panel.

    Args:
        name: Name of the instance. Default 'visualizer'.
        columns: Tiles per row. Default: all in one row.
        tile_width: Width in pixels that each image is scaled to. Default: as it is.
        **kwargs: Arguments of mmengine's Visualizer: ``vis_backends``, ``save_dir``.

    Raises:
        ValueError: See :func:`~mmsgdfuse.visualization.fusion_panel`.

    Examples:
        >>> visualizer = dict(
        ...     type='mmsgdfuse.FusionVisualizer',
        ...     vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
        ... )
    """

    def __init__(
        self,
        name: str = 'visualizer',
        columns: int | None = None,
        tile_width: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.columns = columns
        self.tile_width = tile_width

    @master_only
    def add_datasample(
        self,
        name: str,
        inputs: Mapping[str, Tensor | np.ndarray],
        data_sample: FusionDataSample | None = None,
        step: int = 0,
        show: bool = False,
        wait_time: float = 0.0,
    ) -> None:
        """Draw one pair and hand the panel to every backend.

        Args:
            name: Identifier of the picture; the local backend makes a file name of it.
            inputs: ``ir`` (1, H, W) and ``vis`` (3, H, W) in 0..255, ``mask_ir`` and
                ``mask_vis`` (1, H, W) in [0, 1] where there are any; tensors, or arrays of
                the same meaning with channels last.
            data_sample: Result with ``fused`` and, where there is one, ``preliminary``.
            step: Training step that the picture belongs to. Default 0.
            show: Whether to open a window. Default False.
            wait_time: Seconds that the window stays open; 0 waits for a key. Default 0.
        """
        images = {}
        for field, image in inputs.items():
            array = to_array(image)
            # 16-bit sources arrive as floating point in 0..255
            images[field] = (
                array if field.startswith('mask') else np.rint(array).clip(0, 255).astype(np.uint8)
            )
        for field in ('preliminary', 'fused'):
            if data_sample is not None and field in data_sample:
                images[field] = to_array(data_sample.get(field))
        panel = fusion_panel(images, self.columns, self.tile_width)
        self.set_image(panel)
        if show:
            self.show(panel, win_name=name, wait_time=wait_time)
        self.add_image(name, panel, step)

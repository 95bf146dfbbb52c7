"""Pictures during validation, fused images of a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsgdfuse.registry import HOOKS
from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.utils.image_io import write_image
from mmsgdfuse.visualization.visualizer import to_array


@HOOKS.register_module()
class FusionVisualizationHook(Hook):
    """Shows what a model makes of the validation pairs, and writes what it makes of the test's.

    In validation every ``interval``-th sample, ``max_images`` at most, becomes a panel in each
    backend of the visualizer (see :class:`FusionVisualizer`). In a test with ``out_dir``
    every fused image is written as ``<out_dir>/<name>.png`` under its pair's name and in its
    pair's size.

    Args:
        interval: Distance in samples between two panels. Default 20.
        max_images: Most panels per validation. Default 4.
        out_dir: Folder for the fused images of a test. Default None, which writes none.

    Raises:
        ValueError: ``interval`` is below 1 or ``max_images`` below 0; while testing: two pairs
            have the same name, so that one image would replace the other.
    """

    priority = 'NORMAL'

    def __init__(
        self, interval: int = 20, max_images: int = 4, out_dir: str | Path | None = None
    ) -> None:
        if interval < 1 or max_images < 0:
            raise ValueError(
                'interval starts at 1 and max_images at 0, '
                f'found interval={interval}, max_images={max_images}'
            )
        self.interval = interval
        self.max_images = max_images
        self.out_dir = Path(out_dir) if out_dir is not None else None
        self._seen = 0
        self._drawn = 0
        self._written: dict[str, str] = {}

    def before_val_epoch(self, runner: Runner) -> None:
        """Start counting anew."""
        self._seen = self._drawn = 0

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[FusionDataSample] | None = None,
    ) -> None:
        """Add the panels of this batch to the visualizer."""
        fields = data_batch['inputs'] if data_batch else {}
        for index, sample in enumerate(outputs or ()):
            if self._seen % self.interval == 0 and self._drawn < self.max_images:
                inputs = {field: batch[index] for field, batch in fields.items()}
                # the iteration counts on through the run and so tells the pictures apart
                runner.visualizer.add_datasample(
                    f'val_{Path(sample.name).stem}', inputs, sample, step=runner.iter
                )
                self._drawn += 1
            self._seen += 1

    def before_test_epoch(self, runner: Runner) -> None:
        """Forget the names of an earlier test."""
        self._written = {}

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[FusionDataSample] | None = None,
    ) -> None:
        """Write the fused images of this batch."""
        if self.out_dir is None:
            return
        for sample in outputs or ():
            file_name = f'{Path(sample.name).stem}.png'
            # a distributed sampler may repeat a pair; another pair of that name is an error
            source = str(sample.ir_path)
            other = self._written.setdefault(file_name, source)
            if other != source:
                raise ValueError(
                    f'{other} and {source} would both be written to {self.out_dir / file_name}; '
                    'test one data set at a time'
                )
            write_image(self.out_dir / file_name, to_array(sample.fused))

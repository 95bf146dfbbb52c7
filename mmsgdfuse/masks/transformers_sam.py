"""Segments from the Segment Anything family, through the ``transformers`` library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmsgdfuse.masks.base import BaseMaskGenerator
from mmsgdfuse.masks.segments import Segment, mask_box
from mmsgdfuse.registry import MASK_GENERATORS
from mmsgdfuse.utils.errors import InputError, MissingPackageError


@MASK_GENERATORS.register_module()
class TransformersSAMMaskGenerator(BaseMaskGenerator):
    """SAM, SAM-HQ, SAM 2 and models of their kind, as far as the installed library has them.

    Without prompts the segments are those of ``pipeline('mask-generation')``. With boxes or points
    each prompt gives the segment that the model rates highest of its guesses.
    Only ``*.safetensors`` weights are loaded, and no code of the model's folder is run.

    Args:
        model (str): Folder of ``save_pretrained``, or a name on the hub.
        boxes (Sequence | None): (N, 4) as x0, y0, x1, y1 in pixels. Default: None.
        points (Sequence | None): (N, 2) as x, y in pixels, one segment each. Default: None.
        options (dict | None): Arguments of the pipeline's call, such as ``points_per_batch``,
            ``pred_iou_thresh`` and ``stability_score_thresh``. Default: its own.
        device (str | None): Default: the GPU if there is one.
        composer (str | dict): Segments to map, see :class:`BaseMaskGenerator`.

    Raises:
        InputError: Both boxes and points are given, or the model cannot be loaded (on first use).
        MissingPackageError: (On first use.) ``transformers`` is not installed.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        boxes: Sequence[Sequence[float]] | None = None,
        points: Sequence[Sequence[float]] | None = None,
        options: dict[str, Any] | None = None,
        device: str | None = None,
        composer: str | dict[str, Any] = 'salience',
    ) -> None:
        super().__init__(composer=composer)
        if boxes is not None and points is not None:
            raise InputError('give boxes or points, not both')
        for name, prompts, width in (('boxes', boxes, 4), ('points', points, 2)):
            if prompts is not None and np.asarray(prompts, float).shape[1:] != (width,):
                raise InputError(f'{name} must be (N, {width}), N at least 1')
        self.name = str(model)
        self.boxes, self.points = boxes, points
        self.options = dict(options or {})
        self.device = device or ('cuda' if torch.cuda.is_available() else 'cpu')

    @property
    def own_settings(self) -> dict[str, Any]:
        lists = {
            name: None if value is None else np.asarray(value, float).tolist()
            for name, value in (('boxes', self.boxes), ('points', self.points))
        }
        folder = Path(self.name)
        files = sorted(folder.glob('*.safetensors')) if folder.is_dir() else []
        stamps = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
        return dict(model=self.name, files=stamps, options=self.options, **lists)

    @cached_property
    def pipeline(self) -> Any:
        """The library's pipeline for automatic masks."""
        try:
            import transformers
        except ImportError as error:
            raise MissingPackageError(
                f'{type(self).__name__} needs transformers: pip install transformers'
            ) from error
        try:
            return transformers.pipeline(
                'mask-generation',
                model=self.name,
                device=self.device,
                model_kwargs=dict(use_safetensors=True),
            )
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f'{self.name}: cannot be loaded by transformers {transformers.__version__} '
                f'({error}); give a folder of save_pretrained with *.safetensors, or install a '
                'version that has this model'
            ) from error

    def segment(self, image: np.ndarray) -> list[Segment]:
        picture = Image.fromarray(image).convert('RGB')
        if self.boxes is not None:
            return self._prompted(picture, input_boxes=[np.asarray(self.boxes, float).tolist()])
        if self.points is not None:
            points = np.asarray(self.points, float)[:, None].tolist()
            return self._prompted(picture, input_points=[points])
        found = self.pipeline(picture, **self.options)
        return _segments(found['masks'], found['scores'])

    @torch.no_grad()
    def _prompted(self, picture: Image.Image, **prompts: Any) -> list[Segment]:
        model = self.pipeline.model
        processor = getattr(self.pipeline, 'processor', None)
        if processor is None:
            from transformers import AutoProcessor

            processor = AutoProcessor.from_pretrained(self.name)
        inputs = processor(images=picture, return_tensors='pt', **prompts)
        inputs = {
            key: value.to(self.device, torch.float32) if value.is_floating_point() else value
            for key, value in inputs.items()
        }
        sizes = {
            k: inputs.pop(k) for k in ('original_sizes', 'reshaped_input_sizes') if k in inputs
        }
        outputs = model(**{key: value.to(self.device) for key, value in inputs.items()})
        masks = processor.post_process_masks(outputs.pred_masks.cpu(), *sizes.values())[0]
        scores = outputs.iou_scores[0].cpu()
        best = scores.argmax(dim=-1)
        rows = torch.arange(len(best))
        return _segments(masks[rows, best], scores[rows, best])


def _segments(masks: Any, scores: Any) -> list[Segment]:
    segments = []
    for mask, score in zip(masks, scores):
        array = np.asarray(mask).astype(bool)
        if array.any():
            segments.append(
                Segment(
                    segmentation=array,
                    area=int(np.count_nonzero(array)),
                    bbox=mask_box(array),
                    predicted_iou=float(np.clip(float(score), 0, 1)),
                    stability_score=1.0,
                )
            )
    return segments

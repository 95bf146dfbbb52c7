"""Segments from Segment Anything, through the ``segment-anything`` package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from mmsgdfuse.masks.base import BaseMaskGenerator
from mmsgdfuse.masks.checkpoints import (
    CheckpointError,
    default_checkpoint,
    file_sha256,
    read_state_dict,
    require_checkpoint,
)
from mmsgdfuse.masks.segments import Segment, mask_box
from mmsgdfuse.registry import MASK_GENERATORS
from mmsgdfuse.utils.errors import InputError, MissingPackageError

_PRECISIONS = {
    'float32': torch.float32,
    'float16': torch.float16,
    'bfloat16': torch.bfloat16,
}
_PROMPTS = ('boxes', 'points')


def _package() -> Any:
    try:
        import segment_anything
    except ImportError as error:
        raise MissingPackageError(
            'SAMMaskGenerator needs the package segment-anything: pip install segment-anything'
        ) from error
    return segment_anything


def _lower_precision(encoder: nn.Module, dtype: torch.dtype) -> None:
    """Let an image encoder compute in ``dtype`` behind a float32 interface.

    It takes nearly all of SAM's time and memory. The prompt encoder and the mask decoder stay in
    float32: they cost little, and the package's post-processing does not accept half precision.
    """
    encoder.to(dtype)
    encoder.register_forward_pre_hook(lambda _, args: tuple(arg.to(dtype) for arg in args))
    encoder.register_forward_hook(lambda _, args, output: output.float())


def _as_rgb(image: np.ndarray) -> np.ndarray:
    """(H, W), (H, W, 1) or (H, W, 3) -> (H, W, 3)."""
    if image.ndim == 3 and image.shape[2] == 3:
        return image
    return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)


@MASK_GENERATORS.register_module()
class SAMMaskGenerator(BaseMaskGenerator):
    """Segment Anything (Kirillov et al., ICCV 2023) on infrared and visible images.

    Without ``prompter`` a grid of points prompts SAM, and the segments are exactly those of the
    package's ``SamAutomaticMaskGenerator``. With one, the segments of another, cheaper generator
    do: their boxes or their middles become prompts, SAM draws the outlines. That takes one pass of
    the image encoder and a few dozen prompts instead of a thousand. :meth:`segment_boxes` and
    :meth:`segment_points` take prompts of your own.

    Every option of ``SamAutomaticMaskGenerator`` is an argument here, with its default, but for
    ``output_mode``: composers need segments as arrays, and no run-length codes.

    One-channel images are shown to SAM as three equal channels. The model is loaded on first use;
    so settings can be read, and cached masks be looked up, without it. In a data loader with
    several workers each would load a copy: run ``tools/generate_masks.py`` before training instead.

    Args:
        model_type (str): A key of the package's ``sam_model_registry``: 'vit_b', 'vit_l' or
            'vit_h'. Default: 'vit_b'.
        checkpoint (str | Path | None): File of weights; None is the official one at
            ``checkpoints/sam_vit_*.pth``, where ``tools/download_sam.py`` puts it. Default: None.
        device (str | None): Where to compute, such as 'cuda:1'; None is the current CUDA device, or
            the CPU where there is none. Default: None.
        precision (str): 'float32', 'float16' or 'bfloat16' for the image encoder. Default:
            'float32'.
        prompter (dict | BaseMaskGenerator | None): Generator whose segments prompt SAM, or its
            config. Default: None, a grid of points.
        prompt (str): What of the prompter's segments: 'boxes' or 'points' (the pixel furthest from
            the segment's edge). Default: 'boxes'.
        points_per_side (int | None): The grid has this many points squared; None where
            ``point_grids`` are given. Default: 32.
        points_per_batch (int): Prompts that are decoded at once. Default: 64.
        pred_iou_thresh (float): Segments that SAM rates lower are dropped, 0..1. Default: 0.88.
        stability_score_thresh (float): Less stable segments are dropped, 0..1. Default: 0.95.
        stability_score_offset (float): Shift of the logits by which stability is measured. Default:
            1.0.
        box_nms_thresh (float): Of two segments whose boxes overlap by more (IoU) one is dropped.
            Default: 0.7.
        crop_n_layers (int): The grid is run again on this many layers of crops, 2**i per side in
            the i-th. Default: 0.
        crop_nms_thresh (float): ``box_nms_thresh`` between crops. Default: 0.7.
        crop_overlap_ratio (float): Overlap of the first layer's crops. Default: 512 / 1500.
        crop_n_points_downscale_factor (int): The grid of layer n is this to the n-th coarser.
            Default: 1.
        point_grids (Sequence | None): Explicit points per layer, each (N, 2) as x, y in 0..1,
            instead of ``points_per_side``. Default: None.
        min_mask_region_area (int): Islands and holes below this, in pixels, are removed from the
            grid's segments. Default: 0.
        composer (str | dict): Segments to map, see :class:`BaseMaskGenerator`. Default: 'salience'.

    Raises:
        ValueError: An argument is outside its range, or not exactly one of ``points_per_side`` and
            ``point_grids`` is given.
        FileNotFoundError: (On first use.) There is no checkpoint.
        CheckpointError: (On first use.) The checkpoint is damaged or of another model type.
        ImportError: (On first use.) ``segment-anything`` is not installed.
    """

    def __init__(
        self,
        *,
        model_type: str = 'vit_b',
        checkpoint: str | Path | None = None,
        device: str | None = None,
        precision: str = 'float32',
        prompter: dict[str, Any] | BaseMaskGenerator | None = None,
        prompt: str = 'boxes',
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[Any] | None = None,
        min_mask_region_area: int = 0,
        composer: str | dict[str, Any] = 'salience',
    ) -> None:
        super().__init__(composer=composer)
        if precision not in _PRECISIONS:
            raise ValueError(f'precision must be one of {tuple(_PRECISIONS)}, found {precision!r}')
        if prompt not in _PROMPTS:
            raise ValueError(f'prompt must be one of {_PROMPTS}, found {prompt!r}')
        if (points_per_side is None) == (point_grids is None):
            raise ValueError('give either points_per_side or point_grids, the other as None')
        if point_grids is not None and len(point_grids) != crop_n_layers + 1:
            raise ValueError(
                'point_grids needs one grid for the image and one per layer of crops, '
                f'{crop_n_layers + 1} in all, found {len(point_grids)}'
            )
        if points_per_batch < 1:
            raise ValueError(f'points_per_batch must be at least 1, found {points_per_batch}')
        self.model_type = model_type
        self.checkpoint = Path(checkpoint) if checkpoint else default_checkpoint(model_type)
        self.device = device
        self.precision = precision
        self.prompter = MASK_GENERATORS.build(prompter) if isinstance(prompter, dict) else prompter
        self.prompt = prompt
        grids = None if point_grids is None else [np.asarray(g, float) for g in point_grids]
        self.options: dict[str, Any] = dict(
            points_per_side=points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            stability_score_offset=stability_score_offset,
            box_nms_thresh=box_nms_thresh,
            crop_n_layers=crop_n_layers,
            crop_nms_thresh=crop_nms_thresh,
            crop_overlap_ratio=crop_overlap_ratio,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            point_grids=grids,
            min_mask_region_area=min_mask_region_area,
        )

    @property
    def own_settings(self) -> dict[str, Any]:
        # points_per_batch is left out: how many prompts share a batch does not change them.
        options = {k: v for k, v in self.options.items() if k != 'points_per_batch'}
        if options['point_grids'] is not None:
            options['point_grids'] = [grid.tolist() for grid in options['point_grids']]
        return dict(
            model_type=self.model_type,
            checkpoint_sha256=self._checkpoint_sha256,
            precision=self.precision,
            prompter=None if self.prompter is None else self.prompter.settings,
            prompt=None if self.prompter is None else self.prompt,
            **options,
        )

    @cached_property
    def _checkpoint_sha256(self) -> str:
        require_checkpoint(self.checkpoint, self.model_type)
        return file_sha256(self.checkpoint)

    @cached_property
    def model(self) -> Any:
        """The ``segment_anything.modeling.Sam``, ready to use."""
        registry = _package().sam_model_registry
        if self.model_type not in registry:
            raise InputError(
                f"segment-anything knows no model '{self.model_type}': choose one of "
                f'{", ".join(registry)}'
            )
        state = read_state_dict(self.checkpoint, self.model_type)
        model = registry[self.model_type](checkpoint=None)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.checkpoint}: holds weights of another model than '{self.model_type}'; give "
                'its own model_type, or the right file'
            ) from error
        if self.precision != 'float32':
            _lower_precision(model.image_encoder, _PRECISIONS[self.precision])
        device = self.device or ('cuda' if torch.cuda.is_available() else 'cpu')
        return model.eval().requires_grad_(False).to(device)

    @cached_property
    def _automatic(self) -> Any:
        return _package().SamAutomaticMaskGenerator(self.model, **self.options)

    @cached_property
    def _predictor(self) -> Any:
        return _package().SamPredictor(self.model)

    def segment(self, image: np.ndarray) -> list[Segment]:
        if self.prompter is None:
            return self._automatic.generate(_as_rgb(image))
        proposals = self.prompter.generate(image)
        if self.prompt == 'boxes':
            segments = self.segment_boxes(image, [_corners(p['bbox']) for p in proposals])
        else:
            points = [[_middle(p)] for p in proposals]
            segments = self.segment_points(image, points, [[1]] * len(points))
        return self._select(segments)

    def segment_boxes(self, image: np.ndarray, boxes: Sequence[Sequence[float]]) -> list[Segment]:
        """One segment for each box.

        Args:
            image (np.ndarray): uint8, (H, W), (H, W, 1) or RGB (H, W, 3).
            boxes (Sequence): (N, 4) as x0, y0, x1, y1 in pixels.

        Returns:
            list[Segment]: In the order of the boxes, unfiltered; a segment may be empty.
        """
        array = np.asarray(boxes, float).reshape(-1, 4)
        return self._prompted(image, boxes=array)

    def segment_points(
        self,
        image: np.ndarray,
        points: Sequence[Sequence[Sequence[float]]],
        labels: Sequence[Sequence[int]],
    ) -> list[Segment]:
        """One segment for each set of points: of SAM's three guesses the one that it rates highest.

        Args:
            image (np.ndarray): uint8, (H, W), (H, W, 1) or RGB (H, W, 3).
            points (Sequence): (N, P, 2) as x, y in pixels: P points for each of N segments.
            labels (Sequence): (N, P), 1 for a point in the segment, 0 for one outside.

        Returns:
            list[Segment]: In the order of the sets, unfiltered; with ``point_coords``.
        """
        coordinates, kinds = np.asarray(points, float), np.asarray(labels, int)
        if len(coordinates) and kinds.shape != coordinates.shape[:2]:
            raise ValueError(
                f'points (N, P, 2) need labels (N, P), found {coordinates.shape} and {kinds.shape}'
            )
        segments = self._prompted(image, points=coordinates, labels=kinds)
        for segment, used in zip(segments, coordinates):
            segment['point_coords'] = used.tolist()
        return segments

    @torch.no_grad()
    def _prompted(self, image: np.ndarray, **prompts: np.ndarray) -> list[Segment]:
        count = len(next(iter(prompts.values())))
        if not count:
            return []
        predictor, size = self._predictor, image.shape[:2]
        predictor.set_image(_as_rgb(image))
        boxes, points, labels = (
            self._tensor(prompts.get(name), size) for name in ('boxes', 'points', 'labels')
        )
        segments = []
        step = self.options['points_per_batch']
        for start in range(0, count, step):
            part = slice(start, start + step)
            logits, scores, _ = predictor.predict_torch(
                None if points is None else points[part],
                None if labels is None else labels[part],
                None if boxes is None else boxes[part],
                multimask_output=boxes is None,
                return_logits=True,
            )
            best = scores.argmax(dim=1)
            rows = torch.arange(len(best), device=best.device)
            segments += self._records(logits[rows, best], scores[rows, best])
        predictor.reset_image()
        return segments

    def _tensor(self, prompt: np.ndarray | None, size: tuple[int, int]) -> Tensor | None:
        """Prompts in the model's frame, on its device; labels are whole numbers and stay."""
        if prompt is None:
            return None
        device = self._predictor.device
        if np.issubdtype(prompt.dtype, np.integer):
            return torch.as_tensor(prompt, dtype=torch.int, device=device)
        transform = self._predictor.transform
        apply = transform.apply_boxes if prompt.ndim == 2 else transform.apply_coords
        return torch.as_tensor(apply(prompt, size), dtype=torch.float, device=device)

    def _records(self, logits: Tensor, scores: Tensor) -> list[Segment]:
        """(N, H, W) logits and (N,) ratings -> records."""
        from segment_anything.utils.amg import calculate_stability_score

        threshold = self.model.mask_threshold
        stability = calculate_stability_score(
            logits, threshold, self.options['stability_score_offset']
        ).nan_to_num()  # 0 / 0 where a segment is empty
        masks = (logits > threshold).cpu().numpy()
        height, width = masks.shape[1:]
        return [
            Segment(
                segmentation=mask,
                area=int(np.count_nonzero(mask)),
                bbox=mask_box(mask),
                predicted_iou=float(score),
                stability_score=float(stable),
                crop_box=[0, 0, width, height],
            )
            for mask, score, stable in zip(masks, scores.tolist(), stability.tolist())
        ]

    def _select(self, segments: list[Segment]) -> list[Segment]:
        """What the thresholds leave of prompted segments, best first, without near duplicates."""
        from torchvision.ops import nms

        lowest, least_stable = (
            self.options[name] for name in ('pred_iou_thresh', 'stability_score_thresh')
        )
        # As in the package, a threshold of 0 lets everything pass: ratings may be negative.
        good = [
            segment
            for segment in segments
            if segment['area']
            and (lowest <= 0 or segment['predicted_iou'] > lowest)
            and (least_stable <= 0 or segment['stability_score'] >= least_stable)
        ]
        if not good:
            return []
        boxes = torch.tensor([_corners(segment['bbox']) for segment in good], dtype=torch.float)
        scores = torch.tensor([segment['predicted_iou'] for segment in good])
        return [good[i] for i in nms(boxes, scores, self.options['box_nms_thresh']).tolist()]


def _corners(box: Sequence[int]) -> list[int]:
    """X, y, width, height -> x0, y0, x1, y1."""
    x, y, width, height = box
    return [x, y, x + width, y + height]


def _middle(segment: Segment) -> list[float]:
    """The pixel of a segment that is furthest from its edge, as x, y."""
    x, y, width, height = segment['bbox']
    crop = segment['segmentation'][y : y + height, x : x + width].astype(np.uint8)
    # The frame's border counts as an edge, too.
    distance = cv2.distanceTransform(np.pad(crop, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(distance.argmax(), distance.shape)
    return [float(x + column), float(y + row)]

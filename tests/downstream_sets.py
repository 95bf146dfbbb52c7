"""Small synthetic data sets arranged as the public ones, for tests of downstream configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmsgdfuse.datasets.downstream import (
    DETECTION_SETS,
    SEGMENTATION_SETS,
    Box,
    DetectionLabels,
    to_coco,
)
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.evaluation.exports import to_json
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.image_io import write_image

SIZE = (48, 64)
SPLITS = ('train', 'test')
# folders of images fused beforehand, where the configs look for them
FUSED = dict(MSRS='{split}/fused', FMB='{split}/fused', LLVIP='fused/{split}', M3FD='fused')


def write_set(root: Path, name: str, maps: bool, images: int = 4) -> Path:
    """Pairs, images fused by the maximum rule, and labels, for training and for the test."""
    known = (SEGMENTATION_SETS if maps else DETECTION_SETS)[name]
    for number, split in enumerate(SPLITS):
        folders = known.layout.folders(split if '{split}' in known.layout.ir else None)
        labels = DetectionLabels(known.classes)
        for seed in range(number * images, (number + 1) * images):
            file = f'{seed:05d}.png'
            scene = synthetic_scene(seed, size=SIZE)
            write_image(root / folders['ir'] / file, scene.ir)
            write_image(root / folders['vis'] / file, scene.vis)
            fused = np.maximum(scene.ir[..., None], scene.vis)
            write_image(root / FUSED[name].format(split=split) / file, fused)
            if maps:
                write_image(root / known.labels.format(split=split) / file, scene.labels)
                continue
            labels.sizes[file] = SIZE
            labels.boxes[file] = [
                Box(min(label, len(known.classes)) - 1, x0, y0, x1 - x0, y1 - y0, 1)
                for label, x0, y0, x1, y1 in scene.boxes
                if x1 - x0 >= 1 and y1 - y0 >= 1
            ]
        if not maps:
            write_text(root / f'annotations/{split}.json', to_json(to_coco(labels)))
    return root


def write_frames(root: Path, names: Sequence[str]) -> Path:
    """Pairs of these names in ``ir`` and ``vi``, and their boxes as YOLO text in ``labels``."""
    height, width = SIZE
    for seed, name in enumerate(names):
        scene = synthetic_scene(seed, size=SIZE)
        write_image(root / f'ir/{name}.png', scene.ir)
        write_image(root / f'vi/{name}.png', scene.vis)
        lines = [
            f'{min(label, 3) - 1} {(x0 + x1) / 2 / width} {(y0 + y1) / 2 / height} '
            f'{(x1 - x0) / width} {(y1 - y0) / height}'
            for label, x0, y0, x1, y1 in scene.boxes
            if x1 - x0 >= 1 and y1 - y0 >= 1
        ]
        write_text(root / f'labels/{name}.txt', '\n'.join(lines) + '\n')
    return root


def drop_pretrained(node: object) -> None:
    """Nothing is to be downloaded."""
    if isinstance(node, dict):
        node.pop('init_cfg', None)
        node.pop('pretrained', None)
        for value in node.values():
            drop_pretrained(value)


def options(values: Mapping[str, object]) -> list[str]:
    """``--cfg-options`` for a run of few small steps, and what a test adds to them."""
    quick = dict(
        scale='(64,48)', batch_size=2, num_workers=0, max_epochs=1, val_interval=1,
    )  # fmt: skip
    return ['--cfg-options', *(f'{key}={value}' for key, value in {**quick, **values}.items())]

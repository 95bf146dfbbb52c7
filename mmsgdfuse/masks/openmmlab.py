"""Segments from the models of MMDetection and MMSegmentation."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import DefaultScope

from mmsgdfuse.masks.base import BaseMaskGenerator
from mmsgdfuse.masks.checkpoints import file_sha256
from mmsgdfuse.masks.segments import Segment, mask_box
from mmsgdfuse.masks.semantic import label_segments
from mmsgdfuse.registry import MASK_GENERATORS
from mmsgdfuse.utils.errors import InputError, MissingPackageError
from mmsgdfuse.utils.torch_files import read_torch_file


class _OpenMMLabMaskGenerator(BaseMaskGenerator):
    """A model of an OpenMMLab package, built on first use.

    Args:
        config (str | Path | dict): Config file of the package, or its content; or the dict of a
            model alone, with ``type``. Without a test pipeline images go to the model in their
            own size.
        checkpoint (str | Path | None): Weights, read without running code; None leaves the
            model's initial ones. Default: None.
        classes (Sequence[str | int] | None): Classes to take, by name or index. Default: all
            (of MMSegmentation's: all but 'background').
        class_weights (dict | None): Name or index to a factor 0..1 on the confidence, for the
            composer 'score'. Default: 1 for all.
        class_names (Sequence[str] | None): Names by index. Default: those in the checkpoint, else
            those in the config's test data set.
        score_thr (float): Less confident segments are dropped, 0..1.
        device (str | None): Default: the GPU if there is one.
        composer (str | dict): Segments to map, see :class:`BaseMaskGenerator`.

    Raises:
        FileNotFoundError: Config or checkpoint is not there.
        InputError: A class is unknown, or the checkpoint does not fit the model.
        MissingPackageError: (On first use.) The package is not installed.
    """

    package = ''
    distribution = ''

    def __init__(
        self,
        config: str | Path | Mapping[str, Any],
        *,
        checkpoint: str | Path | None = None,
        classes: Sequence[str | int] | None = None,
        class_weights: Mapping[str | int, float] | None = None,
        class_names: Sequence[str] | None = None,
        score_thr: float = 0.3,
        device: str | None = None,
        composer: str | dict[str, Any] = 'salience',
    ) -> None:
        super().__init__(composer=composer)
        for path in (config, checkpoint):
            if isinstance(path, (str, Path)) and not Path(path).is_file():
                raise FileNotFoundError(f'{path}: no such file; check the path')
        if not 0 <= score_thr <= 1:
            raise InputError(f'score_thr must be within 0..1, found {score_thr}')
        weights = dict(class_weights or {})
        if not all(0 <= weight <= 1 for weight in weights.values()):
            raise InputError(f'class_weights must be within 0..1, found {weights}')
        loaded = Config(config) if isinstance(config, Mapping) else Config.fromfile(config)
        self.cfg = loaded if 'model' in loaded else Config(dict(model=loaded.to_dict()))
        self.checkpoint = checkpoint
        self.classes = None if classes is None else list(classes)
        self.class_weights = weights
        self.class_names = None if class_names is None else list(class_names)
        self.score_thr = score_thr
        self.device = device or ('cuda' if torch.cuda.is_available() else 'cpu')

    @property
    def own_settings(self) -> dict[str, Any]:
        text = json.dumps(self.cfg.to_dict(), sort_keys=True, default=str)
        return dict(
            config=hashlib.blake2b(text.encode(), digest_size=8).hexdigest(),
            checkpoint=None if self.checkpoint is None else file_sha256(self.checkpoint),
            classes=self.classes,
            class_weights={str(name): weight for name, weight in self.class_weights.items()},
            class_names=self.class_names,
            score_thr=self.score_thr,
        )

    @cached_property
    def model(self) -> Any:
        """The model on its device, in evaluation mode."""
        try:
            registry = importlib.import_module(f'{self.package}.registry')
            setup = importlib.import_module(f'{self.package}.utils')
        except ImportError as error:
            raise MissingPackageError(
                f'{type(self).__name__} needs {self.distribution} ({error}): '
                f'pip install {self.distribution}'
            ) from error
        setup.register_all_modules(init_default_scope=False)
        cfg = self.cfg.model.copy()
        cfg['_scope_'] = self.package
        model = revert_sync_batchnorm(registry.MODELS.build(cfg))
        if self.checkpoint is None:
            model.init_weights()
        else:
            content = read_torch_file(self.checkpoint)
            try:
                model.load_state_dict(content.get('state_dict', content))
            except (RuntimeError, AttributeError) as error:
                raise InputError(
                    f'{self.checkpoint}: does not fit the config ({str(error)[:300]}); give the '
                    'config that it was trained with'
                ) from error
            meta = content.get('meta', {}).get('dataset_meta', {})
            names = meta.get('classes', meta.get('CLASSES'))
            if self.class_names is None and names is not None:
                self.__dict__['_checkpoint_names'] = list(names)
        return model.to(self.device).eval()

    @cached_property
    def names(self) -> list[str]:
        """Class names by index; empty where they are not known."""
        _ = self.model  # its checkpoint may hold them
        if self.class_names is not None:
            return self.class_names
        if '_checkpoint_names' in self.__dict__:
            return self.__dict__['_checkpoint_names']
        dataset = self.cfg.get('test_dataloader', {}).get('dataset', {})
        names = dataset.get('metainfo', {}).get('classes')
        if names is None and 'type' in dataset:
            registry = importlib.import_module(f'{self.package}.registry').DATASETS
            kind = registry.get(dataset['type'])
            names = None if kind is None else kind.METAINFO.get('classes')
        return list(names or ())

    def _index(self, label: str | int) -> int:
        if isinstance(label, int):
            return label
        if label not in self.names:
            raise InputError(
                f'no class is called {label!r}; the model has {self.names or "no names"}. Give '
                'one of these, an index, or class_names'
            )
        return self.names.index(label)

    def _wanted(self, label: int) -> bool:
        if self.classes is None:
            return label >= len(self.names) or self.names[label] != 'background'
        return label in {self._index(name) for name in self.classes}

    def _weight(self, label: int) -> float:
        return {self._index(name): w for name, w in self.class_weights.items()}.get(label, 1.0)

    @cached_property
    def _pipeline(self) -> Compose:
        dataset = self.cfg.get('test_dataloader', {}).get('dataset', {})
        while 'pipeline' not in dataset and 'dataset' in dataset:
            dataset = dataset['dataset']
        pack = 'PackDetInputs' if self.package == 'mmdet' else 'PackSegInputs'
        # the pixels are here already, and labels are not wanted
        kept = [
            step
            for step in dataset.get('pipeline', [dict(type=pack)])
            if not step['type'].rsplit('.', 1)[-1].startswith('Load')
        ]
        transforms = importlib.import_module(f'{self.package}.registry').TRANSFORMS
        loader = 'LoadImageFromNDArray'
        with_scope = [dict(type=loader), *kept]
        return Compose([transforms.build(dict(s, _scope_=self.package)) for s in with_scope])

    @torch.no_grad()
    def _predict(self, image: np.ndarray) -> Any:
        """The package's data sample of one image, (H, W) or RGB (H, W, 3)."""
        model = self.model
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        # both packages read files as BGR
        with DefaultScope.overwrite_default_scope(self.package):
            data = self._pipeline(dict(img=np.ascontiguousarray(image[..., ::-1]), img_id=0))
            return model.test_step(pseudo_collate([data]))[0]


@MASK_GENERATORS.register_module()
class MMDetMaskGenerator(_OpenMMLabMaskGenerator):
    """Instances of any MMDetection model; boxes where the model makes no masks.

    The arguments are those of MMDetection and MMSegmentation alike, see docs/masks.md.
    """

    package = 'mmdet'
    distribution = 'mmdet'

    def segment(self, image: np.ndarray) -> list[Segment]:
        found = self._predict(image).pred_instances.cpu().numpy()
        segments = []
        for index in np.argsort(-found.scores, kind='stable').tolist():
            label, score = int(found.labels[index]), float(found.scores[index])
            if score < self.score_thr or not self._wanted(label):
                continue
            if 'masks' in found:
                mask = np.asarray(found.masks[index]).astype(bool)
            else:
                mask = np.zeros(image.shape[:2], bool)
                left, top, right, bottom = np.rint(found.bboxes[index]).astype(int).clip(0)
                mask[top:bottom, left:right] = True
            if mask.any():
                segments.append(_segment(mask, score * self._weight(label)))
        return segments


@MASK_GENERATORS.register_module()
class MMSegMaskGenerator(_OpenMMLabMaskGenerator):
    """Connected regions of the classes of any MMSegmentation model.

    The arguments are those of MMDetection and MMSegmentation alike, see docs/masks.md.
    """

    package = 'mmseg'
    distribution = 'mmsegmentation'

    def segment(self, image: np.ndarray) -> list[Segment]:
        sample = self._predict(image)
        labels = sample.pred_sem_seg.data[0].cpu().numpy()
        logits = sample.seg_logits.data
        # a model of one channel tells one class from the rest
        odds = logits.softmax(0).amax(0) if len(logits) > 1 else logits[0].sigmoid()
        chances = odds.cpu().numpy()
        if len(logits) == 1:
            chances = np.where(labels == 1, chances, 1 - chances)
        segments = []
        for label in filter(self._wanted, np.unique(labels).tolist()):
            # ids count from 1 there, as 0 is unlabelled
            region = (labels == label).astype(np.uint8)
            for found in label_segments(region, {1}):
                score = float(chances[found['segmentation']].mean())
                if score >= self.score_thr:
                    segments.append(_segment(found['segmentation'], score * self._weight(label)))
        return segments


def _segment(mask: np.ndarray, score: float) -> Segment:
    return Segment(
        segmentation=mask,
        area=int(np.count_nonzero(mask)),
        bbox=mask_box(mask),
        predicted_iou=score,
        stability_score=1.0,
    )

"""How well detectors and segmenters do on different inputs, from what they predicted.

The packages' own metrics return means and print the values per class. So a test keeps its
predictions, and everything here is computed from those: AP and AP50 by pycocotools, IoU by
counting pixels.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from mmsgdfuse.datasets.downstream import (
    LabelError,
    check_config,
    check_fused_folder,
    image_folder,
    map_folder,
)
from mmsgdfuse.datasets.downstream.maps import IGNORED
from mmsgdfuse.evaluation.tables import Cell, Table, format_number, place_marks
from mmsgdfuse.utils.config_text import read_dumped_config
from mmsgdfuse.utils.image_io import list_images, read_labels

MEAN = 'mean'
SINGLE_INPUTS = ('infrared', 'visible')
_BOXES, _MAPS = 'CocoMetric', 'IoUMetric'
_PREDICTIONS = 'predictions'


@dataclass(frozen=True)
class DownstreamResult:
    """What a model scored on one input.

    Args:
        name: What the table calls the input.
        values: Value in percent by metric (AP, AP50, IoU) and class; NaN where the truth has
            none of the class.
        reported: The classes that the table shows and the mean is over.
        truth: What was scored against; equal for results that may be compared.
        cfg: Config of the test.
    """

    name: str
    values: Mapping[str, Mapping[str, float]]
    reported: tuple[str, ...]
    truth: Any = field(repr=False)
    cfg: Config = field(repr=False)

    def mean(self, metric: str) -> float:
        """Mean over the reported classes that have a value; NaN if none has."""
        found = [self.values[metric][name] for name in self.reported]
        found = [value for value in found if not math.isnan(value)]
        return math.fsum(found) / len(found) if found else math.nan

    @property
    def images(self) -> Path | None:
        """Folder of the images that the model reads as they are; None if it fuses pairs."""
        return None if _fuses(self.cfg.model) else image_folder(_dataset(self.cfg))


def keep_predictions(cfg: Config, out_dir: Path) -> None:
    """Let a test of mmdet or mmseg write its predictions where :func:`read_result` finds them.

    Args:
        cfg: Config with ``CocoMetric`` or ``IoUMetric`` in ``test_evaluator``; changed in place.
        out_dir: Folder of the test's results.
    """
    folder = out_dir / _PREDICTIONS
    for metric in _evaluators(cfg):
        if metric['type'].endswith(_BOXES):
            folder.mkdir(parents=True, exist_ok=True)
            metric['outfile_prefix'] = str(folder / 'boxes')
        elif metric['type'].endswith(_MAPS):
            metric['output_dir'] = str(folder)


def read_result(folder: str | Path, name: str | None = None) -> DownstreamResult:
    """Score what ``tools/test.py`` left for a downstream config.

    Args:
        folder: The test's ``--out-dir``.
        name: What the table calls the input. Default: the last part of the config's name.

    Raises:
        LabelError: It is not the folder of such a test, or its labels, classes and images do
            not belong together, see :func:`mmsgdfuse.datasets.downstream.check_config`.
    """
    folder = Path(folder)
    try:
        stem = Path(json.loads((folder / 'metrics.json').read_text())['config']).stem
        cfg = read_dumped_config(folder / f'{stem}.py')  # which may be someone else's
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LabelError(
            f'{folder}: expected the results of tools/test.py with a config of '
            f'configs/downstream, found none that can be read ({error})'
        ) from error
    lacking = [key for key in ('model', 'test_dataloader', 'test_evaluator') if not cfg.get(key)]
    if lacking:
        raise LabelError(
            f'{folder / stem}.py: expected the config of a test, found none: it lacks '
            f'{", ".join(lacking)}; test again with tools/test.py'
        )
    check_config(cfg, ('test',))
    classes = tuple(_dataset(cfg)['metainfo']['classes'])
    kinds = {metric['type'].rpartition('.')[2]: metric for metric in _evaluators(cfg)}
    predictions = folder / _PREDICTIONS
    if _BOXES in kinds:
        truth_file = predictions / 'boxes.gt.json'
        if not truth_file.is_file():
            truth_file = Path(kinds[_BOXES].get('ann_file') or truth_file)
        values, truth = score_boxes(truth_file, predictions / 'boxes.bbox.json')
    elif _MAPS in kinds:
        labels = map_folder(_dataset(cfg))
        values = score_maps(predictions, labels, classes)
        truth = (labels.resolve(), [path.stem for path in list_images(predictions)])
    else:
        raise LabelError(
            f'{folder}: expected a test_evaluator of {_BOXES} or {_MAPS}, found {list(kinds)}'
        )
    reported = tuple(cfg.get('reported') or classes)
    unknown = [entry for entry in reported if entry not in classes]
    if unknown:
        raise LabelError(f'{folder}: reported: expected some of {classes}, found {unknown}')
    return DownstreamResult(name or stem.rpartition('-')[2], values, reported, truth, cfg)


def score_boxes(truth: Path, predictions: Path) -> tuple[dict[str, dict[str, float]], Any]:
    """AP over the overlaps 0.5, 0.55, ..., 0.95, and AP at 0.5, of each class.

    Args:
        truth: COCO document.
        predictions: COCO results of the same images; absent or empty if nothing was found.

    Returns:
        Percent by metric and class, and the annotations scored against.

    Raises:
        LabelError: ``truth`` does not exist, or a file is damaged.

    Source: pycocotools, which mmdet's CocoMetric uses too.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not truth.is_file():
        raise LabelError(f'{truth}: no such file; run the test again with tools/test.py')
    try:
        found = json.loads(predictions.read_text()) if predictions.is_file() else []
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells of its progress
            document = COCO(str(truth))
            results = document.loadRes(found) if found else None
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError) as error:
        raise LabelError(
            f'{truth}, {predictions}: expected a COCO document and results of its images '
            f'({error!r}); test again with tools/test.py'
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):
        if results is not None:
            scored = COCOeval(document, results, 'bbox')
            scored.evaluate()
            scored.accumulate()
            precision = scored.eval['precision'][:, :, :, 0, -1]  # overlap, recall, class
    values: dict[str, dict[str, float]] = dict(AP={}, AP50={})
    for index, (number, category) in enumerate(sorted(document.cats.items())):
        present = bool(document.getAnnIds(catIds=[number], iscrowd=False))
        for metric, overlaps in (('AP', slice(None)), ('AP50', slice(1))):
            value = math.nan
            if present:
                value = 100 * float(precision[overlaps, :, index].mean()) if found else 0.0
            values[metric][category['name']] = value
    return values, [
        (a['image_id'], a['category_id'], [round(side, 1) for side in a['bbox']])
        for a in document.dataset['annotations']
    ]


def score_maps(
    predictions: Path, labels: Path, classes: Sequence[str], ignored: int = IGNORED
) -> dict[str, dict[str, float]]:
    """IoU of each class, over the pixels of all images together.

    Args:
        predictions: Folder of maps of class ids.
        labels: Folder of the true maps, of the same names.
        classes: Names in the order of the class id.
        ignored: Id in the true maps that does not count. Default 255.

    Returns:
        Percent by metric (``IoU``) and class.

    Raises:
        LabelError: There is no prediction, or one of another size than its label.
        ImageFileError: A map is missing or cannot be read.
    """
    count = len(classes)
    paths = list_images(predictions) if predictions.is_dir() else []
    if not paths:
        raise LabelError(f'{predictions}: no predictions; run the test again with tools/test.py')
    confusion = np.zeros((count, count), np.int64)
    for path in paths:
        predicted, true = read_labels(path), read_labels(labels / f'{path.stem}.png')
        if predicted.shape != true.shape:
            raise LabelError(
                f"{path}: expected the label's {true.shape[1]}x{true.shape[0]}, found "
                f'{predicted.shape[1]}x{predicted.shape[0]}'
            )
        counted = true != ignored
        pairs = count * true[counted].astype(np.int64) + predicted[counted]
        confusion += np.bincount(pairs, minlength=count**2).reshape(count, count)
    hits = np.diagonal(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hits
    # a class that the truth lacks has no IoU; mmseg gives it 0 once a pixel is taken for it
    shown = confusion.sum(1) > 0
    return dict(
        IoU={
            name: 100 * float(hits[i] / union[i]) if shown[i] else math.nan
            for i, name in enumerate(classes)
        }
    )


def check_comparable(results: Sequence[DownstreamResult]) -> None:
    """Refuse results that do not belong into one table.

    Args:
        results: Of the inputs.

    Raises:
        LabelError: Two have the same name, were scored against other labels or classes, or one
            that is not called infrared or visible was read from a folder of those images (see
            :func:`mmsgdfuse.datasets.downstream.check_fused_folder`).
    """
    first = results[0]
    names = [result.name for result in results]
    if len(set(names)) < len(names):
        raise LabelError(f'expected inputs of different names, found {names}; give NAME=...')
    for other in results[1:]:
        if other.reported != first.reported or other.truth != first.truth:
            raise LabelError(
                f'{other.name}: expected the classes and labels that {first.name} was tested on '
                f'({", ".join(first.reported)}), found other ones ({", ".join(other.reported)}); '
                'test all inputs on the same images'
            )
    single = {result.name: result.images for result in results if result.name in SINGLE_INPUTS}
    ir, vis = (single.get(name) for name in SINGLE_INPUTS)
    for result in results:
        if result.name not in SINGLE_INPUTS and result.images and ir and vis:
            check_fused_folder(result.images, ir, vis)


def result_table(results: Sequence[DownstreamResult], digits: int = 1) -> Table:
    """One row per input; per metric a column for each reported class and one for their mean.

    Args:
        results: Of the inputs.
        digits: Digits after the point. Default 1.

    Returns:
        The table; the best two of each column are marked.
    """
    head = ['input']
    columns = []
    for metric in results[0].values:
        for name in (*results[0].reported, MEAN):
            column = [value_of(result, metric, name) for result in results]
            marks = place_marks(column, 1, [True] * len(column))
            head.append(f'{metric} {name}')
            columns.append(
                [Cell(format_number(value, digits), mark) for value, mark in zip(column, marks)]
            )
    return Table(
        head=tuple(head),
        labels=tuple(result.name for result in results),
        cells=tuple(zip(*columns)),
        rule_after=sum(result.name in SINGLE_INPUTS for result in results),
        footnotes=('percent',),
    )


def value_of(result: DownstreamResult, metric: str, name: str) -> float:
    """A metric's value of a class, or of :data:`MEAN`."""
    return result.mean(metric) if name == MEAN else result.values[metric][name]


def _dataset(cfg: Config) -> Mapping[str, Any]:
    return cfg.test_dataloader.dataset


def _fuses(model: Mapping[str, Any]) -> bool:
    return str(model.get('type', '')).rpartition('.')[2] in ('FusedDetector', 'FusedSegmentor')


def _evaluators(cfg: Config) -> Iterator[dict]:
    evaluator = cfg.test_evaluator
    yield from evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]

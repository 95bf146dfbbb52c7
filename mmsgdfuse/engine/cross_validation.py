"""Training one small detector per input and fold, and testing it on the frames left out."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmsgdfuse.datasets.downstream import DetectionLabels, LabelError, collect_boxes, to_coco
from mmsgdfuse.engine.phases import Phase, run_phases
from mmsgdfuse.evaluation.cache import content_digest
from mmsgdfuse.evaluation.downstream import keep_predictions
from mmsgdfuse.evaluation.exports import to_json
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.image_io import list_images
from mmsgdfuse.utils.setup_env import import_packages_of

_FINISHED = 'metrics.json'


@dataclass(frozen=True)
class DetectionInput:
    """Images of one kind, with their boxes.

    Attributes:
        name: What tables call it.
        folder: Of the images.
        labels: Their boxes.
        digest: Of the images' content.
    """

    name: str
    folder: Path
    labels: DetectionLabels
    digest: str

    @property
    def frames(self) -> list[str]:
        """Names of the images without suffix, in the order in which mmdet reads them."""
        return [Path(name).stem for name in sorted(self.labels.boxes)]


@dataclass(frozen=True)
class DetectorRun:
    """One training and its test.

    Attributes:
        name: Of the input.
        fold: Number of the fold that is tested, from 0.
        seed: Of the training.
        cfg: Complete config of the Runner.
    """

    name: str
    fold: int
    seed: int
    cfg: Config

    @property
    def folder(self) -> Path:
        """Where its checkpoints, predictions and values are."""
        return Path(self.cfg.work_dir)

    @property
    def finished(self) -> bool:
        """Whether it was tested."""
        return (self.folder / _FINISHED).is_file()

    @property
    def seconds(self) -> float:
        """What the process took to train and to test it, since it was last started."""
        return json.loads((self.folder / _FINISHED).read_text())['seconds']


def read_input(
    name: str, folder: Path, labels: Path, classes: Sequence[str], box_format: str = 'yolo'
) -> DetectionInput:
    """Read and check an input.

    Args:
        name: What tables call it.
        folder: Of the images.
        labels: Of their label files, of the same names.
        classes: Names in the order of the class index.
        box_format: See :func:`mmsgdfuse.datasets.downstream.collect_boxes`. Default 'yolo'.

    Raises:
        LabelError: An image or a label is missing or cannot be used; all are named.
    """
    paths = list_images(folder)
    if not paths:
        raise LabelError(f'{name}={folder}: expected images, found none; check the path')
    # an input stands alone: what checks a pair is given each image twice
    images = [dict(name=path.name, ir_path=str(path), vis_path=str(path)) for path in paths]
    found = collect_boxes(images, labels, box_format, classes, folders=[folder])
    if found.faults:
        listed = '\n'.join(map(str, found.faults))
        raise LabelError(f'{name}={folder}: does not go with {labels}:\n{listed}')
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        digest.update(f'{path.name} {content_digest(path)}\n'.encode())
    return DetectionInput(name, folder, found, digest.hexdigest())


def plan_runs(
    cfg: Config,
    inputs: Sequence[DetectionInput],
    folds: Sequence[Sequence[str]],
    seeds: Sequence[int],
    work_dir: Path,
) -> list[DetectorRun]:
    """One run for each input, fold and seed, in a folder named after all that it depends on.

    Args:
        cfg: Config of mmdet, as ``configs/downstream/cross_validation`` has them.
        inputs: From :func:`read_input`; of the same frames.
        folds: Frames of each fold.
        seeds: Of the trainings.
        work_dir: Folder of the runs; the labels are written there at once.

    Returns:
        The runs, all inputs of a fold and seed one after the other.

    Raises:
        LabelError: Inputs do not have the same frames and sizes.
    """
    first = inputs[0]
    runs = []
    for item in inputs:
        _check_same(first, item)
        write_text(_annotations(item, work_dir), to_json(to_coco(item.labels, item.name)))
    for seed in seeds:
        for fold, tested in enumerate(folds):
            runs += [_plan_run(cfg, item, fold, tested, seed, work_dir) for item in inputs]
    return runs


def run_detector(run: DetectorRun) -> DetectorRun:
    """Train and test, unless that is done; a training that was stopped goes on.

    Args:
        run: From :func:`plan_runs`.

    Returns:
        ``run``, with ``metrics.json`` and ``predictions/`` in its folder, as ``tools/test.py``
        leaves them.
    """
    if run.finished:
        return run
    began = time.perf_counter()
    import_packages_of(run.cfg)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells of its progress
        checkpoint = run_phases([Phase('training', run.cfg)], resume=True)
        testing = copy.deepcopy(run.cfg)
        testing.update(
            experiment_name=f'{run.cfg.experiment_name}-test', resume=False,
            load_from=str(checkpoint),
        )  # fmt: skip
        keep_predictions(testing, run.folder)
        metrics = Runner.from_cfg(testing).test()
    content = dict(
        config=run.cfg.filename,
        checkpoint=str(checkpoint),
        metrics=metrics,
        seconds=time.perf_counter() - began,
    )
    write_text(run.folder / _FINISHED, to_json(content))
    return run


def run_detectors(runs: Sequence[DetectorRun], jobs: int = 1) -> Iterator[DetectorRun]:
    """Several runs, see :func:`run_detector`.

    Args:
        runs: From :func:`plan_runs`.
        jobs: How many are worked on at a time, if several each in a process of one thread.
            Default 1.

    Yields:
        The runs as they finish.

    Raises:
        ValueError: ``jobs`` is below 1.
    """
    if jobs < 1:
        raise InputError(f'jobs must be at least 1, found {jobs}')
    if jobs == 1:
        yield from map(run_detector, runs)
        return
    # a fork of a process that has computed may wait forever for torch's threads
    context = multiprocessing.get_context('spawn')
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_use_one_thread)
    try:
        for future in as_completed([pool.submit(run_detector, run) for run in runs]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _use_one_thread() -> None:
    # as many processes as cores: more threads in each would only wait for one another
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _plan_run(
    cfg: Config,
    item: DetectionInput,
    fold: int,
    tested: Sequence[str],
    seed: int,
    work_dir: Path,
) -> DetectorRun:
    indices = [item.frames.index(frame) for frame in tested]
    others = [index for index, frame in enumerate(item.frames) if frame not in set(tested)]
    cfg = copy.deepcopy(cfg)
    cfg.randomness = dict(cfg.get('randomness', {}), seed=seed)
    settings = dict(
        cfg=cfg.to_dict(), images=item.digest, labels=to_coco(item.labels), tested=indices
    )
    digest = hashlib.blake2b(to_json(settings).encode(), digest_size=5).hexdigest()
    for loader, chosen in (('train', others), ('test', indices)):
        cfg[f'{loader}_dataloader'].dataset.update(
            data_root='',
            ann_file=str(_annotations(item, work_dir).resolve()),
            data_prefix=dict(img=str(item.folder.resolve())),
            indices=chosen,
        )
    cfg.work_dir = str(work_dir / item.name / f'fold{fold + 1}-seed{seed}-{digest}')
    cfg.experiment_name = f'{item.name}-fold{fold + 1}-seed{seed}'
    return DetectorRun(item.name, fold, seed, cfg)


def _annotations(item: DetectionInput, work_dir: Path) -> Path:
    return work_dir / item.name / 'boxes.json'


def _check_same(first: DetectionInput, other: DetectionInput) -> None:
    expected, found = (
        {Path(name).stem: size for name, size in item.labels.sizes.items()}
        for item in (first, other)
    )
    frames = sorted(expected.keys() | found.keys())
    unlike = [frame for frame in frames if expected.get(frame) != found.get(frame)]
    if unlike:
        raise LabelError(
            f'{other.folder}: expected the frames of {first.folder} in the same sizes, found '
            f'{len(unlike)} missing, additional or of another size: {", ".join(unlike[:3])}'
        )

"""Scoring folders of fused images: many processes, and no image computed twice."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmsgdfuse.evaluation.baselines import BASELINES, baseline_image
from mmsgdfuse.evaluation.cache import (
    CacheEntry,
    MetricCache,
    content_digest,
    definitions_fingerprint,
)
from mmsgdfuse.evaluation.folders import (
    EvaluationError,
    Problem,
    Sample,
    check_same_size,
    lossy_methods,
    match_folders,
    read_8bit,
)
from mmsgdfuse.evaluation.functional import (
    CONSTANT_RESULT,
    METRIC_INFOS,
    FlowAlignment,
    UndefinedMetricWarning,
    fusion_metrics,
    resolve_names,
)
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.utils.image_io import ImageFileError

#: Pixels that each side of an image must have for the metrics to be defined.
MIN_SIDE = 2

_NAMED_PROBLEMS = 10
_WATCH_SECONDS = 2.0


@dataclass(frozen=True)
class SampleScores:
    """The values of one image.

    Args:
        values: Value by metric, by row (baselines and methods).
        notes: What to tell the user about it.
        cache_fault: Why its values could not be kept; '' if they were.
    """

    values: dict[str, dict[str, float]]
    notes: tuple[str, ...]
    cache_fault: str = ''


class _SampleImages:
    """The images of a sample, read from disk when first asked for and checked."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._sources: tuple[np.ndarray, np.ndarray] | None = None

    def sources(self) -> tuple[np.ndarray, np.ndarray]:
        if self._sources is None:
            ir, vis = read_8bit(self._sample.ir), read_8bit(self._sample.vis)
            check_same_size(self._sample.vis, vis, self._sample.ir, ir)
            if min(ir.shape[:2]) < MIN_SIDE:
                raise ImageFileError(
                    f'{self._sample.ir}: is {ir.shape[1]}x{ir.shape[0]} pixels; the metrics need '
                    f'{MIN_SIDE}x{MIN_SIDE} or more, so leave the pair out'
                )
            self._sources = ir, vis
        return self._sources

    def result(self, row: str) -> np.ndarray:
        ir, vis = self.sources()
        if row not in self._sample.fused:
            return baseline_image(row, ir, vis)
        path = self._sample.fused[row]
        image = read_8bit(path)
        check_same_size(path, image, self._sample.ir, ir)
        return image


def read_result(sample: Sample, row: str) -> np.ndarray:
    """The image of a method or trivial baseline for one sample.

    Args:
        sample: The files of the image.
        row: A method of ``sample.fused`` or one of the baselines.

    Returns:
        uint8 array (H, W), (H, W, 1) or (H, W, 3), RGB.

    Raises:
        ImageFileError: A file is unfit, or differs from its sources in size.
    """
    return _SampleImages(sample).result(row)


def _complete(entry: CacheEntry, images: _SampleImages, row: str, missing: Iterable[str]) -> None:
    """Computes what an entry lacks."""
    ir, vis = images.sources()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always', UndefinedMetricWarning)
        result = images.result(row)
        entry.values.update(fusion_metrics(ir, vis, result, missing))
    entry.notes.extend(str(warning.message) for warning in caught)


def score_sample(
    sample: Sample, names: tuple[str, ...], cache: MetricCache | None = None
) -> SampleScores:
    """Scores one image: the result of every method and of every trivial baseline.

    Args:
        sample: Its files.
        names: Metrics to compute.
        cache: Where to look values up and to put them. Default: nowhere.

    Returns:
        Its values, and notes that start with the image's name.

    Raises:
        ImageFileError: A file is unfit; the message names it.
    """
    images = _SampleImages(sample)
    pair = (content_digest(sample.ir), content_digest(sample.vis)) if cache else ()
    values: dict[str, dict[str, float]] = {}
    notes: list[str] = []
    cache_fault = ''
    for row in (*BASELINES, *sample.fused):
        identity: tuple[str, ...] = ()
        if cache:
            # A baseline follows from the pair, so that its name stands for its content.
            result = content_digest(sample.fused[row]) if row in sample.fused else row
            identity = (*pair, result)
        entry = cache.load(identity) if cache else CacheEntry({}, [])
        missing = [name for name in names if name not in entry.values]
        if missing:
            _complete(entry, images, row, missing)
            if cache and not cache_fault:
                try:
                    cache.store(identity, entry)
                except OSError as error:
                    cache_fault = f'{cache.folder}: {error.strerror or error}'
        values[row] = {name: entry.values[name] for name in names}
        for note in entry.notes:
            if not note.startswith(CONSTANT_RESULT):
                notes.append(f'{sample.name}: {note}')
            elif row in sample.fused:  # what is true of a baseline is said of its sources
                notes.append(f'{sample.fused[row]}: {note}')
    return SampleScores(values, tuple(dict.fromkeys(notes)), cache_fault)


def _use_one_thread() -> None:
    # As many processes as cores: threads of OpenCV within each would only get in the way.
    cv2.setNumThreads(1)


def _begin_worker() -> None:
    _use_one_thread()
    # Ctrl-C reaches all processes of a terminal; the first one stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent was killed, which could not tell it to."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def _process_context() -> multiprocessing.context.BaseContext:
    """Forks of this process where that is safe: they start at once and share its memory.

    Another thread may hold a lock that nobody in the fork would release. Then a fork server, which
    has no threads, imports everything once and forks itself; or every worker imports for itself.
    """
    methods = multiprocessing.get_all_start_methods()
    if sys.platform == 'linux' and threading.active_count() == 1:
        return multiprocessing.get_context('fork')
    if 'forkserver' not in methods:
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    return context


@contextmanager
def _process_pool(workers: int) -> Generator[ProcessPoolExecutor, None, None]:
    """A pool whose workers compute in one thread each; leaving it drops what has not begun."""
    threads = cv2.getNumThreads()
    _use_one_thread()  # in this process, too: a fork cannot end the threads that it lacks
    pool = ProcessPoolExecutor(workers, mp_context=_process_context(), initializer=_begin_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)


def _outcomes(
    samples: list[Sample], names: tuple[str, ...], cache: MetricCache | None, workers: int
) -> Generator[tuple[Sample, SampleScores | OSError], None, None]:
    """Scores the samples in any order; an unfit file is an outcome, not an exception."""
    workers = min(workers, len(samples))
    if workers <= 1:
        for sample in samples:
            try:
                yield sample, score_sample(sample, names, cache)
            except OSError as error:
                yield sample, error
        return
    with _process_pool(workers) as pool:
        futures = {pool.submit(score_sample, s, names, cache): s for s in samples}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except OSError as error:
                yield futures[future], error
            except BrokenProcessPool as error:
                raise EvaluationError(
                    'a worker process was killed, as it happens where memory runs out; '
                    'use fewer (--workers 1)'
                ) from error


def add_temporal_differences(samples: list[Sample], scored: dict[str, SampleScores]) -> None:
    """Adds ``'TD'`` to the values of every frame; NaN for the first.

    Args:
        samples: The frames; they are taken in the order of their names.
        scored: Scores by the name of the frame; changed in place.

    Raises:
        EvaluationError: Frames differ in size, or are too small for optical flow.
    """
    before: tuple[np.ndarray, dict[str, np.ndarray]] | None = None
    for sample in sorted(samples, key=lambda sample: sample.name):
        images = _SampleImages(sample)
        _, vis = images.sources()
        frames = {row: images.result(row) for row in (*BASELINES, *sample.fused)}
        try:
            aligned = FlowAlignment(before[0], vis) if before else None
        except ValueError as error:
            raise EvaluationError(f'{sample.vis}: {error}') from error
        for row, frame in frames.items():
            scored[sample.name].values[row]['TD'] = (
                aligned.difference(before[1][row], frame) if aligned and before else math.nan
            )
        before = vis, frames


def _refusal(problems: list[Problem], total: int) -> EvaluationError:
    listed = [problem.message for problem in problems[:_NAMED_PROBLEMS]]
    if len(problems) > len(listed):
        listed.append(f'... and {len(problems) - len(listed)} more')
    remedy = (
        f'{len(problems)} of {total} images cannot be evaluated; mend them, or leave them out for '
        'all methods with --keep-going (keep_going=True)'
    )
    return EvaluationError('\n'.join([*listed, remedy]))


def available_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def score_folders(
    ir: str | os.PathLike,
    vis: str | os.PathLike,
    fused: Mapping[str, str | os.PathLike],
    names: Iterable[str] | None = None,
    workers: int | None = None,
    cache_dir: str | os.PathLike | None = None,
    keep_going: bool = False,
    progress: Callable[[int, int], None] | None = None,
    pairing: str | None = None,
) -> Scores:
    """Scores folders of fused images, and the trivial baselines beside them.

    Files belong together if their names agree up to the suffix.

    Args:
        ir: Folder of infrared images.
        vis: Folder of visible images.
        fused: Folder of results by method; at least one.
        names: Metrics, see :func:`~mmsgdfuse.evaluation.functional.fusion_metrics`. Default all
            but the costly ones. With ``'TD'`` among them the images are the frames of one video, in
            the order of their names; the first has no value.
        workers: Number of processes; 0 or 1 computes in this one. Default: one per core.
        cache_dir: Folder in which values are kept and looked up. Default None: no cache.
        keep_going: Whether to leave out, for all methods, images with missing partners or unfit
            files, and report them as problems, instead of raising. Default False.
        progress: Called with (images done, images in all) after every image.
        pairing: What the sources of a pair have in common, see :func:`match_folders`. Default
            None: the name up to the suffix.

    Returns:
        The values by row, image and metric.

    Raises:
        EvaluationError: A folder is missing or empty; without ``keep_going``, also for a missing
            partner and an unfit file (damaged, 16-bit, alpha, another size); with it, if no
            image is left. The message names the files.
        InputError: A metric is unknown, or ``pairing`` is not valid.

    Warns:
        UserWarning: Values cannot be kept in ``cache_dir``; they are computed all the same.

    Examples:
        >>> scores = score_folders('MSRS/ir', 'MSRS/vi', {'ours': 'out'})  # doctest: +SKIP
        >>> scores.summary('ours', 'VIF')  # doctest: +SKIP
        Summary(mean=1.04, count=361, worst=1.21)
    """
    if not fused:
        raise EvaluationError('no folder of fused images was given')
    wanted = resolve_names(names, sequences=True)
    of_images = tuple(name for name in wanted if not METRIC_INFOS[name].of_sequences)
    folders = {method: Path(folder) for method, folder in fused.items()}
    samples, problems = match_folders(Path(ir), Path(vis), folders, pairing)
    total = len(samples) + len(problems)
    if not samples or (problems and not keep_going):
        raise _refusal(problems, total)

    cache = MetricCache(cache_dir, definitions_fingerprint()) if cache_dir is not None else None
    if cache is not None:
        cache.remove_leftovers()
    count = available_cores() if workers is None else workers
    scored: dict[str, SampleScores] = {}
    warned = False
    # Closing the generator stops the workers, also when an unfit file ends the loop.
    with closing(_outcomes(samples, of_images, cache, count)) as outcomes:
        for done, (sample, outcome) in enumerate(outcomes, start=1):
            if not isinstance(outcome, OSError):
                scored[sample.name] = outcome
                if outcome.cache_fault and not warned:
                    warned = True
                    warnings.warn(
                        f'{outcome.cache_fault}; values are computed, but not kept there',
                        stacklevel=2,
                    )
            else:
                problems.append(Problem(sample.name, str(outcome)))
                if not keep_going:
                    raise _refusal(problems, total) from outcome
            if progress is not None:
                progress(done, len(samples))
    if not scored:
        raise _refusal(problems, total)

    images = tuple(sorted(scored))
    rows = (*BASELINES, *folders)
    if of_images != wanted:
        add_temporal_differences([s for s in samples if s.name in scored], scored)
    values = np.array(
        [[[scored[i].values[row][n] for n in wanted] for i in images] for row in rows]
    )
    notes = [note for image in images for note in scored[image].notes]
    if of_images != wanted and problems:
        notes.append('TD: frames were left out, so that some values are across a gap')
    notes += [
        f'{method}: has results in a lossy format (JPEG, WebP), which lowers MI by about a quarter'
        for method in lossy_methods(samples)
    ]
    return Scores(
        methods=tuple(folders),
        baselines=BASELINES,
        metrics=wanted,
        images=images,
        values=values,
        problems=tuple(sorted(problems, key=lambda problem: problem.image)),
        notes=tuple(notes),
    )

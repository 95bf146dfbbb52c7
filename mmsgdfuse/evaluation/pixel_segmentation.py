"""How well a small segmenter learns from an input: a forest on local features, cross-validated.

It asks how much of the classes is in the grey values of an image, not how good segmentation can
be: a network sees more, and sees shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from mmsgdfuse.evaluation.cross_validation import CrossValidation, assign_folds, neighbourhoods
from mmsgdfuse.evaluation.downstream import MEAN
from mmsgdfuse.utils.errors import InputError, MissingPackageError

_SCALES = (1, 2, 4, 8, 16, 32)
_PER_CLASS = 60

#: Reads the planes of an input for one frame: uint8 arrays (H, W), more than one where stacked.
Reader = Callable[[str], Sequence[np.ndarray]]


def pixel_features(planes: Sequence[np.ndarray], step: int = 4) -> np.ndarray:
    """What the forest sees of every ``step``-th pixel.

    Per plane and scale of 1 to 32 pixels: Gaussian mean, standard deviation in that window, and the
    difference to the next coarser mean; the gradient at the three finest scales. The place in the
    image once.

    Args:
        planes: uint8 arrays (H, W) of one size.
        step: Distance of the pixels, across and down. Default 4.

    Returns:
        float32 array (number of pixels, number of features), row after row of the image.
    """
    rows, columns = slice(step // 2, None, step), slice(step // 2, None, step)
    found = []
    for plane in planes:
        image = plane.astype(np.float32)
        means = [cv2.GaussianBlur(image, (0, 0), scale) for scale in _SCALES]
        for index, (scale, mean) in enumerate(zip(_SCALES, means)):
            power = cv2.GaussianBlur(image * image, (0, 0), scale)
            found += [mean, np.sqrt(np.maximum(power - mean * mean, 0))]
            if index + 1 < len(means):
                found.append(mean - means[index + 1])
            if scale <= 4:
                across, down = cv2.Sobel(mean, -1, 1, 0), cv2.Sobel(mean, -1, 0, 1)
                found.append(cv2.magnitude(across, down))
    height, width = planes[0].shape
    found += [
        np.broadcast_to(np.linspace(0, 1, height, dtype=np.float32)[:, None], (height, width)),
        np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width)),
    ]
    return np.stack([feature[rows, columns].ravel() for feature in found], axis=1)


def cross_validate_pixels(
    inputs: Mapping[str, Reader],
    labels: Mapping[str, np.ndarray],
    classes: Sequence[str],
    folds: int = 5,
    seeds: Sequence[int] = (0,),
    step: int = 4,
    trees: int = 50,
    progress: Callable[[str, int, int], None] | None = None,
) -> CrossValidation:
    """Train and test the same forest on every input, over the same folds.

    Neighbouring frames are never on both sides of a fold. Every class gives at most 60 pixels of a
    frame to the training, weighted so that a class counts by the root of its size.

    Args:
        inputs: What to read for a frame, by the name of the input.
        labels: Map of class ids by frame, uint8 (H, W); the names are numbers with letters for the
            light, as ``'00123N'``.
        classes: Names in the order of the class id.
        folds: Number of folds. Default 5.
        seeds: Seeds of the forest. Default one, 0.
        step: Distance of the pixels that are learnt and scored. Default 4.
        trees: Number of trees. Default 50.
        progress: Called with the input, the fold (from 1) and the number of folds.

    Returns:
        IoU in percent of every class and, under :data:`~mmsgdfuse.evaluation.downstream.MEAN`, the
        mean over those in the truth of the fold; a class without a pixel there is NaN.

    Raises:
        InputError: A label map has an id without a class, or there are too few frames.
        MissingPackageError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import ExtraTreesClassifier
    except ImportError as error:
        raise MissingPackageError(
            'the segmenter needs scikit-learn: pip install scikit-learn'
        ) from error
    names = sorted(labels)
    grid = slice(step // 2, None, step)
    ids = {name: labels[name][grid, grid].ravel() for name in names}
    for name, found in ids.items():
        if found.max() >= len(classes):
            raise InputError(f'{name}: has class id {found.max()}, but there are {len(classes)}')
    present = {name: np.unique(found[found > 0]).tolist() for name, found in ids.items()}
    shares = assign_folds(neighbourhoods(names), present, folds)
    columns = tuple(('IoU', label) for label in (*classes, MEAN))
    values = np.full((len(inputs), folds, len(seeds), len(columns)), math.nan)
    for row, (title, read) in enumerate(inputs.items()):
        features = {name: pixel_features(read(name), step) for name in names}
        for fold, tested in enumerate(shares):
            if progress is not None:
                progress(title, fold + 1, folds)
            learnt = [name for name in names if name not in set(tested)]
            for column, seed in enumerate(seeds):
                chosen = {name: _sample(ids[name], seed) for name in learnt}
                known = np.concatenate([ids[name][chosen[name]] for name in learnt])
                size = np.bincount(
                    np.concatenate([ids[name] for name in learnt]), minlength=len(classes)
                )
                taken = np.bincount(known, minlength=len(classes))
                weight = np.sqrt(size) / np.maximum(taken, 1)
                forest = ExtraTreesClassifier(
                    trees, min_samples_leaf=3, random_state=seed, n_jobs=1
                )
                forest.fit(
                    np.concatenate([features[name][chosen[name]] for name in learnt]),
                    known,
                    sample_weight=weight[known],
                )
                predicted = forest.predict(np.concatenate([features[name] for name in tested]))
                truth = np.concatenate([ids[name] for name in tested])
                values[row, fold, column] = _overlaps(truth, predicted, len(classes))
    return CrossValidation(tuple(inputs), folds, tuple(seeds), columns, values)


def _sample(ids: np.ndarray, seed: int) -> np.ndarray:
    """Indices of at most 60 pixels of every class."""
    generator = np.random.default_rng(seed)
    places = [np.flatnonzero(ids == label) for label in np.unique(ids)]
    return np.concatenate([generator.permutation(found)[:_PER_CLASS] for found in places])


def _overlaps(truth: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """IoU of every class in percent, and their mean."""
    pairs = np.bincount(count * truth.astype(np.int64) + predicted, minlength=count**2)
    confusion = pairs.reshape(count, count)
    hits = np.diagonal(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hits
    shown = confusion.sum(1) > 0
    found = np.divide(100.0 * hits, union, out=np.full(count, math.nan), where=shown)
    return np.append(found, np.nanmean(found))

"""A transform from matches of which a part is wrong."""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
from scipy.optimize import least_squares

from mmsgdfuse.registration.geometry import (
    Size,
    corner_error,
    local_scale,
    transform_points,
)
from mmsgdfuse.registration.matching import Matches

Kind = Literal['similarity', 'affine', 'homography']
KINDS: tuple[Kind, ...] = ('similarity', 'affine', 'homography')
FEWEST_MATCHES = 8

# How many of the parameters of _matrix each kind has
_FREE = dict(similarity=4, affine=6, homography=8)
# Two cameras side by side that look the same way hardly differ in shear and perspective. Matches
# cover a part of the frame. What they leave open is held near 0 by these standard deviations: of
# the shear, of the change of scale from the centre of the frame to a corner, and of the lens's
# radial distortion at a corner, in half diagonals.
_SHEAR, _PERSPECTIVE, _DISTORTION = 0.005, 0.01, 0.012
# Residual beyond which a match loses weight, and up to which it agrees, pixels of the search
_ROBUST, _AGREES = 1.5, 2.0
# The plain homography that stands for the plane and the lens: a point outside the visible image
# counts as much as one of so many inside
_OUTSIDE_STRIDE = 2
_GRID = 41


class TransformFit(NamedTuple):
    """A transform and the matches that agree with it.

    Attributes:
        homography: (3, 3) from infrared to visible pixels; its last entry is 1.
        agree: (N,), whether a match is at most 2 pixels of the search away.
        residual: Median distance of those that agree, infrared pixels.
        distortion: Radial distortion of the infrared lens relative to the visible one: how far a
            corner of the frame is moved, as a share of half the diagonal. It is fitted so that
            it does not bend the rest, and is not part of ``homography``.
    """

    homography: np.ndarray
    agree: np.ndarray
    residual: float
    distortion: float


def find_consensus(matches: Matches, kind: Kind, start: np.ndarray) -> np.ndarray | None:
    """A first transform by random sample consensus, where most matches may be wrong.

    Args:
        matches: Points of both images.
        kind: A similarity if it is that, else an affine transform.
        start: Homography (3, 3) that the matches were searched around.

    Returns:
        The homography (3, 3); None if fewer than 8 matches agree.
    """
    if len(matches.ir) < FEWEST_MATCHES:
        return None
    # in infrared pixels, where residuals mean something
    moved = transform_points(np.linalg.inv(start), matches.vis)
    estimate = cv2.estimateAffinePartial2D if kind == 'similarity' else cv2.estimateAffine2D
    change, inliers = estimate(
        matches.ir.astype(np.float32), moved.astype(np.float32), method=cv2.RANSAC,
        ransacReprojThreshold=_AGREES * matches.pixel, maxIters=3000, confidence=0.999,
    )  # fmt: skip
    if change is None or inliers.sum() < FEWEST_MATCHES:
        return None
    return start @ np.vstack([change, [0, 0, 1]])


def fit_transform(
    matches: Matches, kind: Kind, start: np.ndarray, size: Size, vis_size: Size
) -> TransformFit | None:
    """Fit a transform and a lens distortion by robust least squares, with the priors above.

    Args:
        matches: Points of both images.
        kind: ``'similarity'`` (4 parameters), ``'affine'`` (6) or ``'homography'`` (8).
        start: Homography (3, 3) that is nearly right.
        size: (height, width) of the infrared image.
        vis_size: (height, width) of the visible image.

    Returns:
        The fit; None if fewer than 8 matches agree.
    """
    if len(matches.ir) < FEWEST_MATCHES:
        return None
    frame = _Frame.of(start, size)
    points, targets = frame.points(matches.ir), frame.targets(matches.vis)
    unit = matches.pixel / frame.reach

    def differences(free: np.ndarray) -> np.ndarray:
        return (transform_points(_matrix(free[:-1]), _undistort(points, free[-1])) - targets) / unit

    def residuals(free: np.ndarray) -> np.ndarray:
        difference = differences(free)
        distance = np.linalg.norm(difference, axis=1)
        cauchy = _ROBUST * np.sqrt(np.log1p((distance / _ROBUST) ** 2))
        weight = cauchy / np.maximum(distance, 1e-9)
        return np.concatenate([(difference * weight[:, None]).ravel(), _priors(free)])

    begin = np.append(_parameters(frame.inner(start))[: _FREE[kind]], 0.0)
    free = least_squares(residuals, begin, max_nfev=80).x
    distance = np.linalg.norm(differences(free), axis=1)
    agree = distance <= _AGREES
    if agree.sum() < FEWEST_MATCHES:
        return None
    homography = _plain_homography(free, frame, size, vis_size, kind)
    residual = float(np.median(distance[agree])) * matches.pixel
    return TransformFit(homography, agree, residual, float(free[-1]))


def largest_change(
    matches: Matches, fit: TransformFit, kind: Kind, size: Size, vis_size: Size
) -> float:
    """How far the fit moves when the matches in one quarter of their area are left out.

    Args:
        matches: Those that agree.
        fit: Their fit.
        kind: Of the fit.
        size: (height, width) of the infrared image.
        vis_size: (height, width) of the visible image.

    Returns:
        The largest of the four mean corner distances, infrared pixels.
    """
    right, low = (matches.ir > np.median(matches.ir, axis=0)).T
    changes = [0.0]
    for quarter in ((right == across) & (low == down) for across in (0, 1) for down in (0, 1)):
        rest = matches.chosen(~quarter)
        refit = fit_transform(rest, kind, fit.homography, size, vis_size)
        if refit is None:
            return float('inf')
        changes.append(corner_error(refit.homography, fit.homography, size))
    return max(changes)


class _Frame(NamedTuple):
    """Coordinates in which all parameters are of order one.

    Infrared points count from the frame's centre in half diagonals. Visible points count from
    where the centre goes, in what half a diagonal becomes there.
    """

    to_points: np.ndarray
    to_targets: np.ndarray
    reach: float

    @staticmethod
    def of(start: np.ndarray, size: Size) -> _Frame:
        height, width = size
        reach = float(np.hypot(width, height)) / 2
        centre = np.array([width - 1, height - 1]) / 2
        origin, unit = transform_points(start, centre[None])[0], local_scale(start, size) * reach

        def normalising(middle: np.ndarray, length: float) -> np.ndarray:
            return np.linalg.inv([[length, 0, middle[0]], [0, length, middle[1]], [0, 0, 1]])

        return _Frame(normalising(centre, reach), normalising(origin, unit), reach)

    def points(self, ir: np.ndarray) -> np.ndarray:
        return transform_points(self.to_points, ir)

    def targets(self, vis: np.ndarray) -> np.ndarray:
        return transform_points(self.to_targets, vis)

    def inner(self, homography: np.ndarray) -> np.ndarray:
        return self.to_targets @ homography @ np.linalg.inv(self.to_points)

    def outer(self, inner: np.ndarray) -> np.ndarray:
        return np.linalg.inv(self.to_targets) @ inner @ self.to_points


def _plain_homography(
    free: np.ndarray, frame: _Frame, size: Size, vis_size: Size, kind: Kind
) -> np.ndarray:
    """The homography that is nearest to the fit with its lens distortion, over the frame."""
    rows, columns = (np.linspace(0, side - 1, _GRID) for side in size)
    grid = np.stack(np.meshgrid(columns, rows), axis=-1)
    points = frame.points(grid.reshape(-1, 2))
    targets = transform_points(_matrix(free[:-1]), _undistort(points, free[-1]))
    vis = transform_points(np.linalg.inv(frame.to_targets), targets)
    inside = ((vis >= 0) & (vis <= np.array(vis_size[::-1]) - 1)).all(axis=1)
    index = np.arange(len(points))
    sparse = (index % _GRID % _OUTSIDE_STRIDE == 0) & (index // _GRID % _OUTSIDE_STRIDE == 0)
    used = inside | sparse
    if kind == 'homography':
        inner, _ = cv2.findHomography(points[used], targets[used], 0)
    else:
        unit = least_squares(
            lambda p: (transform_points(_matrix(p), points[used]) - targets[used]).ravel(),
            free[:-1],
        )
        inner = _matrix(unit.x)
    homography = frame.outer(inner)
    return homography / homography[2, 2]


def _undistort(points: np.ndarray, distortion: float) -> np.ndarray:
    return points * (1 + distortion * (points**2).sum(axis=1, keepdims=True))


def _matrix(free: np.ndarray) -> np.ndarray:
    """The homography of up to eight parameters: a, b, shift, two of shear, two of perspective."""
    a, b, x, y, e, f, k, m = np.pad(free, (0, 8 - len(free)))
    linear = np.array([[a + e, f - b], [f + b, a - e]])
    shift, perspective = np.array([x, y]), np.array([k, m])
    return np.block([
        [linear + np.outer(shift, perspective), shift[:, None]],
        [perspective[None], np.ones((1, 1))],
    ])  # fmt: skip


def _parameters(homography: np.ndarray) -> np.ndarray:
    """The parameters of :func:`_matrix`."""
    matrix = homography / homography[2, 2]
    shift, perspective = matrix[:2, 2], matrix[2, :2]
    (p, q), (r, s) = matrix[:2, :2] - np.outer(shift, perspective)
    return np.array([(p + s) / 2, (r - q) / 2, *shift, (p - s) / 2, (q + r) / 2, *perspective])


def _priors(free: np.ndarray) -> np.ndarray:
    a, b, _, _, e, f, k, m = np.pad(free[:-1], (0, 9 - len(free)))
    size = np.hypot(a, b)
    return np.array([
        e / size / _SHEAR, f / size / _SHEAR,
        k / _PERSPECTIVE, m / _PERSPECTIVE, free[-1] / _DISTORTION,
    ])  # fmt: skip

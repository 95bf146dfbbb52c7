"""Estimating the transform from an infrared to a visible image, of one pair or of a rig."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from mmsgdfuse.registration.coarse import coarse_candidates
from mmsgdfuse.registration.fitting import (
    KINDS,
    Kind,
    TransformFit,
    find_consensus,
    fit_transform,
    largest_change,
)
from mmsgdfuse.registration.geometry import (
    Size,
    corner_error,
    is_regular,
    one_grid,
    transform_points,
)
from mmsgdfuse.registration.matching import Matches, match_windows
from mmsgdfuse.utils.errors import InputError

Matcher = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""A matcher of the user's own, such as LoFTR: two grey images, uint8 (H, W), infrared first, to
the points (N, 2) of each, x first."""

# Cells that the coverage is counted in, across the frame
_CELLS = 10
# Two starts that end nearer than this are one, infrared pixels at a width of 640
_SAME = 20
_STARTS = 2


class _Level(NamedTuple):
    width: int
    reach: int
    windows: tuple[int, ...]
    step: int
    min_score: float


_FIRST = _Level(160, 8, (33,), 8, -1.0)
_LEVELS = (
    _Level(320, 8, (49,), 16, 0.3),
    _Level(320, 5, (49,), 16, 0.4),
    _Level(640, 6, (33, 65), 16, 0.4),
    _Level(640, 5, (33, 65), 16, 0.4),
)


class RegistrationError(InputError):
    """A transform could not be estimated, or is not to be trusted; the message has the number."""


@dataclass(frozen=True)
class SearchOptions:
    """What is searched for, and what is asked of the result.

    Attributes:
        kind: ``'similarity'``, ``'affine'`` or ``'homography'``. Default ``'homography'``.
        scales: Smallest and largest ratio of the fields of view that is tried: what the width of
            the visible image would measure on the infrared one, over the width of the latter.
            Default (0.45, 2.2).
        num_scales: How many ratios are tried, in geometric steps. Default 22.
        min_matches: Matches that must agree. Default 60.
        min_coverage: Share of the infrared frame, in cells of a tenth of its width, with matches
            that agree. Default 0.2.
        max_uncertainty: Largest ``Registration.uncertainty``, pixels at an infrared width of 640.
            Default 9.
        max_distortion: Largest absolute ``Registration.distortion``. More is no lens: the matches
            lie on things at different distances, which no single transform fits. Default 0.06.

    Raises:
        InputError: A value is outside its range.
    """

    kind: Kind = 'homography'
    scales: tuple[float, float] = (0.45, 2.2)
    num_scales: int = 22
    min_matches: int = 60
    min_coverage: float = 0.2
    max_uncertainty: float = 9.0
    max_distortion: float = 0.06

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f'kind must be one of {", ".join(KINDS)}, found {self.kind!r}')
        if not 0 < self.scales[0] < self.scales[1] or self.num_scales < 2:
            raise InputError(
                f'scales must be positive and rise, in two steps or more, found {self.scales} in '
                f'{self.num_scales}'
            )
        if not 0 <= self.min_coverage <= 1 or self.max_uncertainty <= 0:
            raise InputError(
                'min_coverage must lie in 0..1 and max_uncertainty above 0, found '
                f'{self.min_coverage} and {self.max_uncertainty}'
            )


@dataclass(frozen=True)
class FrameResidual:
    """How well one pair agrees with the transform of its rig.

    Attributes:
        name: Of the pair.
        residual: Median distance of the matches that agree, infrared pixels; NaN without any.
        matches: How many agree.
        tried: How many were found.
        used: Whether the pair took part in the estimate.
    """

    name: str
    residual: float
    matches: int
    tried: int
    used: bool


@dataclass(frozen=True)
class Registration:
    """A transform that is trusted, and the numbers why.

    Attributes:
        homography: (3, 3), infrared pixel to visible pixel; pixel (0, 0) is the centre of the
            first one, x first.
        kind: Of the transform.
        ir_size: (height, width) of the infrared image.
        vis_size: (height, width) of the visible image.
        residual: Median distance of the matches that agree, infrared pixels.
        matches: How many agree.
        coverage: Share of the infrared frame with matches that agree, 0 to 1.
        uncertainty: What the corners of the infrared frame may be off, infrared pixels: how far
            they move when the matches of a quarter of their area are left out, over the coverage.
            The less of the frame has matches, the further its corners are extrapolated.
        distortion: Estimated radial distortion of the infrared lens relative to the visible one,
            at a corner, as a share of half the diagonal. It is no part of the homography.
        frames: One entry per pair.
    """

    homography: np.ndarray
    kind: Kind
    ir_size: Size
    vis_size: Size
    residual: float
    matches: int
    coverage: float
    uncertainty: float
    distortion: float
    frames: tuple[FrameResidual, ...] = field(default=())


class Misregistration(NamedTuple):
    """How far a pair is from a transform.

    Attributes:
        distance: Median over the frame, infrared pixels; NaN if too few matches agree to tell.
        matches: How many agree.
    """

    distance: float
    matches: int


class _Frame(NamedTuple):
    name: str
    ir: np.ndarray
    vis: np.ndarray


class _Estimate(NamedTuple):
    fit: TransformFit
    matches: Matches
    tried: int

    @property
    def weight(self) -> float:
        """More matches that agree better are a better estimate."""
        return float(len(self.matches.ir) * np.median(self.matches.score))


def register_pair(
    ir: np.ndarray,
    vis: np.ndarray,
    options: SearchOptions | None = None,
    matcher: Matcher | None = None,
) -> Registration:
    """Estimate the transform from an infrared image to a visible one; nothing is known of it.

    Edge features are correlated over all shifts and a range of scales. The best places are
    refined from coarse to fine by matching windows, with a robust fit on each level.

    Args:
        ir: Infrared image, uint8 (H, W), (H, W, 1) or RGB (H, W, 3).
        vis: Visible image, uint8 (H', W'), (H', W', 1) or RGB (H', W', 3).
        options: What is searched for and asked of the result. Default :class:`SearchOptions`.
        matcher: A matcher of your own that takes the place of the search and of the windows.

    Raises:
        RegistrationError: No transform is trusted; the message says which number is too low.
    """
    return register_rig([('pair', ir, vis)], options, matcher)


def register_rig(
    pairs: Iterable[tuple[str, np.ndarray, np.ndarray]],
    options: SearchOptions | None = None,
    matcher: Matcher | None = None,
) -> Registration:
    """Estimate one transform from several pairs of a rig that does not move.

    Each pair is registered alone. The transform that most pairs agree with starts a common fit
    of the matches of all pairs, so that pairs without texture neither help nor harm.

    Args:
        pairs: Name, infrared and visible image of each; images as for :func:`register_pair`,
            those of a camera of one size.
        options: As for :func:`register_pair`.
        matcher: As for :func:`register_pair`.

    Raises:
        InputError: There is no pair, or the sizes differ.
        RegistrationError: As for :func:`register_pair`.
    """
    options = options or SearchOptions()
    frames = [_Frame(name, to_grey(ir), to_grey(vis)) for name, ir, vis in pairs]
    _check_sizes(frames)
    estimates = [_estimate(frame, options, matcher) for frame in frames]
    alone = [estimate for estimate in estimates if estimate is not None]
    if not alone:
        raise RegistrationError(
            f'{_named(frames)}: no part of the infrared image was found in the visible one; give '
            'pairs with more edges that both cameras see, widen scales, or give a rig'
        )
    size, vis_size = frames[0].ir.shape[:2], frames[0].vis.shape[:2]
    start = _most_agreed(alone, size)
    if len(frames) == 1:
        pooled, chosen = start, list(estimates)
    else:
        pooled, chosen = _pool(frames, start.fit, options, matcher)
    coverage = _coverage(pooled.matches, size)
    change = largest_change(pooled.matches, pooled.fit, options.kind, size, vis_size)
    registration = Registration(
        pooled.fit.homography, options.kind, size, vis_size,
        residual=pooled.fit.residual,
        matches=len(pooled.matches.ir),
        coverage=coverage,
        uncertainty=float(change / coverage),
        distortion=pooled.fit.distortion,
        frames=tuple(
            _frame_residual(frame, estimate) for frame, estimate in zip(frames, chosen)
        ),
    )  # fmt: skip
    _refuse_untrusted(registration, options, _named(frames))
    return registration


def measure_misregistration(
    ir: np.ndarray, vis: np.ndarray, homography: np.ndarray | None = None
) -> Misregistration:
    """How far a pair is from a transform that should be right, such as that of a registered set.

    Args:
        ir: Infrared image, as for :func:`register_pair`.
        vis: Visible image, as for :func:`register_pair`.
        homography: (3, 3), infrared to visible pixels. Default: the images have one grid, which
            may be sampled by different sizes.

    Returns:
        The measurement; it sees up to a twentieth of the infrared width.
    """
    frame = _Frame('pair', to_grey(ir), to_grey(vis))
    size, vis_size = frame.ir.shape[:2], frame.vis.shape[:2]
    if homography is None:
        homography = one_grid(size, vis_size)
    options = SearchOptions(kind='similarity')
    start = _first_fit(frame, homography, options)
    found = None if start is None else _refine(frame, start, options)
    if found is None or len(found.matches.ir) < options.min_matches:
        return Misregistration(float('nan'), 0 if found is None else len(found.matches.ir))
    rows, columns = (np.linspace(0, side - 1, 9) for side in size)
    points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    back = np.linalg.inv(homography) @ found.fit.homography
    distance = np.linalg.norm(transform_points(back, points) - points, axis=1)
    return Misregistration(float(np.median(distance)), len(found.matches.ir))


def to_grey(image: np.ndarray) -> np.ndarray:
    """Luma of an image uint8 (H, W), (H, W, 1) or RGB (H, W, 3) as uint8 (H, W).

    Raises:
        InputError: It has another dtype or form.
    """
    if image.dtype != np.uint8:
        raise InputError(f'registration needs uint8 images, found {image.dtype}')
    if image.ndim == 3 and image.shape[2] == 3:
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if image.ndim == 3 and image.shape[2] == 1:
        return image[..., 0]
    if image.ndim != 2:
        raise InputError(f'registration needs (H, W), (H, W, 1) or (H, W, 3), found {image.shape}')
    return image


def _estimate(frame: _Frame, options: SearchOptions, matcher: Matcher | None) -> _Estimate | None:
    """The transform of one pair alone."""
    if matcher is not None:
        return _estimate_from(_own_matches(frame, matcher), None, frame, options)
    ratio = frame.vis.shape[1] / frame.ir.shape[1]
    scales = ratio / np.geomspace(*options.scales, options.num_scales)
    starts = []
    for candidate in coarse_candidates(frame.ir, frame.vis, scales):
        start = _first_fit(frame, candidate.homography, options)
        if start is not None:
            starts.append(start)
    size = frame.ir.shape[:2]
    near = _SAME * size[1] / 640
    distinct: list[_Estimate] = []
    for start in sorted(starts, key=lambda each: -each.weight):
        if all(_apart(start, other, size) > near for other in distinct):
            distinct.append(start)
    refined = [_refine(frame, start, options) for start in distinct[:_STARTS]]
    return max((each for each in refined if each is not None), key=_weight, default=None)


def _weight(estimate: _Estimate) -> float:
    return estimate.weight


def _apart(one: _Estimate, other: _Estimate, size: Size) -> float:
    return corner_error(one.fit.homography, other.fit.homography, size)


def _first_fit(frame: _Frame, homography: np.ndarray, options: SearchOptions) -> _Estimate | None:
    """A candidate of the search, which may be many pixels off, after three rounds of consensus."""
    simple: list[Kind] = ['similarity']
    if options.kind != 'similarity':
        simple += ['affine', 'affine']
    for kind in simple:
        matches = _windows(frame, homography, _FIRST)
        found = find_consensus(matches, kind, homography)
        if found is None or not is_regular(found, frame.ir.shape[:2]):
            return None
        homography = found
    return _estimate_from(matches, homography, frame, options, kind)


def _refine(frame: _Frame, start: _Estimate, options: SearchOptions) -> _Estimate | None:
    estimate: _Estimate | None = start
    for level in _LEVELS:
        if estimate is None:
            return None
        matches = _windows(frame, estimate.fit.homography, level)
        estimate = _estimate_from(matches, estimate.fit.homography, frame, options)
    return estimate


def _estimate_from(
    matches: Matches,
    start: np.ndarray | None,
    frame: _Frame,
    options: SearchOptions,
    kind: Kind | None = None,
) -> _Estimate | None:
    if start is None:
        start = find_consensus(matches, 'affine', np.eye(3))
    size, vis_size = frame.ir.shape[:2], frame.vis.shape[:2]
    if start is None or not is_regular(start, size):
        return None
    fit = fit_transform(matches, kind or options.kind, start, size, vis_size)
    if fit is None or not is_regular(fit.homography, size):
        return None
    return _Estimate(fit, matches.chosen(fit.agree), len(matches.ir))


def _windows(frame: _Frame, homography: np.ndarray, level: _Level) -> Matches:
    matches = match_windows(frame.ir, frame.vis, homography, *level[:4])
    return matches.chosen(matches.score > level.min_score)


def _own_matches(frame: _Frame, matcher: Matcher) -> Matches:
    ir, vis = (np.asarray(points, np.float64) for points in matcher(frame.ir, frame.vis))
    if ir.shape != vis.shape or ir.ndim != 2 or ir.shape[1] != 2:
        raise InputError(
            f'the matcher must give two arrays (N, 2), found {ir.shape} and {vis.shape}'
        )
    return Matches(ir, vis, np.ones(len(ir)), 1.0)


def _most_agreed(estimates: Sequence[_Estimate], size: Size) -> _Estimate:
    """The estimate that most others are near to; of equal ones, that with the most weight."""
    near = _SAME * size[1] / 640

    def support(one: _Estimate) -> tuple[int, float]:
        return sum(_apart(one, other, size) < near for other in estimates), one.weight

    return max(estimates, key=support)


def _pool(
    frames: Sequence[_Frame],
    start: TransformFit,
    options: SearchOptions,
    matcher: Matcher | None,
) -> tuple[_Estimate, list[_Estimate | None]]:
    """One fit of the matches of all pairs, and how each pair agrees with it."""
    size, vis_size = frames[0].ir.shape[:2], frames[0].vis.shape[:2]
    fit = start
    for level in _LEVELS[-2:]:
        each = [
            _windows(frame, fit.homography, level)
            if matcher is None
            else _own_matches(frame, matcher)
            for frame in frames
        ]
        joined = Matches.joined(each)
        pooled = fit_transform(joined, options.kind, fit.homography, size, vis_size)
        if pooled is None:
            break
        fit = pooled
    agree = np.split(fit.agree, np.cumsum([len(matches.ir) for matches in each])[:-1])
    chosen: list[_Estimate | None] = [
        _Estimate(fit, matches.chosen(which), len(matches.ir)) if which.any() else None
        for matches, which in zip(each, agree)
    ]
    return _Estimate(fit, joined.chosen(fit.agree), len(joined.ir)), chosen


def _frame_residual(frame: _Frame, estimate: _Estimate | None) -> FrameResidual:
    if estimate is None:
        return FrameResidual(frame.name, float('nan'), 0, 0, used=False)
    distance = _distances(estimate.matches, estimate.fit.homography)
    return FrameResidual(
        frame.name, float(np.median(distance)), len(distance), estimate.tried, used=True
    )


def _distances(matches: Matches, homography: np.ndarray) -> np.ndarray:
    back = transform_points(np.linalg.inv(homography), matches.vis)
    return np.linalg.norm(back - matches.ir, axis=1)


def _coverage(matches: Matches, size: Size) -> float:
    cell = size[1] / _CELLS
    cells = {tuple(place) for place in (matches.ir // cell).astype(int)}
    return len(cells) / (_CELLS * math.ceil(size[0] / cell))


def _refuse_untrusted(found: Registration, options: SearchOptions, name: str) -> None:
    limit = options.max_uncertainty * found.ir_size[1] / 640
    remedy = 'give more pairs of the rig, pairs with more edges that both cameras see, or a rig'
    if found.matches < options.min_matches:
        reason = f'{found.matches} matches agree, min_matches is {options.min_matches}'
    elif found.coverage < options.min_coverage:
        reason = (
            f'matches that agree cover {found.coverage:.2f} of the infrared frame, min_coverage '
            f'is {options.min_coverage:g}'
        )
    elif found.uncertainty > limit:
        reason = (
            f'its corners may be {found.uncertainty:.1f} pixels off, max_uncertainty allows '
            f'{limit:.1f}'
        )
    elif abs(found.distortion) > options.max_distortion:
        reason = (
            f'the matches bend by {found.distortion:+.3f}, max_distortion is '
            f'{options.max_distortion:g}, so they lie at different distances'
        )
    else:
        return
    raise RegistrationError(f'{name}: the transform is not trusted: {reason}; {remedy}')


def _check_sizes(frames: Sequence[_Frame]) -> None:
    if not frames:
        raise InputError('there is no pair to register')
    for frame in frames:
        for camera in ('ir', 'vis'):
            own, first = (getattr(each, camera).shape[:2] for each in (frame, frames[0]))
            if own != first:
                raise InputError(
                    f'{frame.name}: its {camera} image is {own} (H, W), that of '
                    f'{frames[0].name} {first}; a rig has one size per camera'
                )


def _named(frames: Sequence[_Frame]) -> str:
    return frames[0].name if len(frames) == 1 else f'{len(frames)} pairs from {frames[0].name} on'

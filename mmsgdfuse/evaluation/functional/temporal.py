"""TD: how much a fused video changes between frames beyond the motion of its scene."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from mmsgdfuse.evaluation.functional.image import to_luma

#: A pixel counts if the flow there and back ends at most this many pixels from where it began.
FLOW_TOLERANCE = 1.0


class FlowAlignment:
    """The way from each pixel of a frame to where it was one frame before.

    Dense optical flow (DIS, OpenCV's preset MEDIUM) between the luma of two visible frames, checked
    forwards and backwards. The flow of one camera aligns every fusion of the same frames.

    Args:
        previous: Visible frame, uint8 (H, W), (H, W, 1) or RGB (H, W, 3), no side below 16 pixels.
        current: The next one, of the same size.

    Raises:
        TypeError: A frame is not uint8.
        ValueError: The sizes differ, or a side is below 16 pixels.

    Source: Kroeger, Timofte, Dai and Van Gool, "Fast optical flow using dense inverse search", ECCV
    2016.
    """

    def __init__(self, previous: np.ndarray, current: np.ndarray) -> None:
        first, second = to_luma(previous, 'previous'), to_luma(current, 'current')
        _check_sizes(first, second)
        if min(first.shape) < 16:
            raise ValueError(f'optical flow needs sides of 16 pixels or more, found {first.shape}')
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        # mypy takes None, which begins from no motion, for a mistake
        back = search.calc(second, first, None)  # type: ignore[call-overload]
        forth = search.calc(first, second, None)  # type: ignore[call-overload]
        height, width = first.shape
        self._x = back[..., 0] + np.arange(width, dtype=np.float32)
        self._y = back[..., 1] + np.arange(height, dtype=np.float32)[:, None]
        error = back + cv2.remap(forth, self._x, self._y, cv2.INTER_LINEAR)
        inside = (self._x >= 0) & (self._x <= width - 1) & (self._y >= 0) & (self._y <= height - 1)
        #: bool (H, W): the pixels that count.
        self.valid = inside & (np.hypot(error[..., 0], error[..., 1]) < FLOW_TOLERANCE)

    def difference(self, previous: np.ndarray, current: np.ndarray) -> float:
        """Mean absolute difference of two fused frames, the earlier one moved along the flow.

        Args:
            previous: Fused frame, uint8 (H, W), (H, W, 1) or RGB (H, W, 3), of the frames' size.
            current: The next one.

        Returns:
            Grey levels of luma, 0..255, over the pixels of ``valid``; NaN where there is none.

        Raises:
            TypeError: A frame is not uint8.
            ValueError: The sizes differ.
        """
        first, second = to_luma(previous, 'previous'), to_luma(current, 'current')
        _check_sizes(first, second, self.valid)
        if not self.valid.any():
            return math.nan
        moved = cv2.remap(first.astype(np.float32), self._x, self._y, cv2.INTER_LINEAR)
        return float(np.mean(np.abs(second - moved)[self.valid], dtype=np.float64))


def _check_sizes(*planes: np.ndarray) -> None:
    if len({plane.shape for plane in planes}) > 1:
        sizes = ', '.join(f'{plane.shape[1]}x{plane.shape[0]}' for plane in planes)
        raise ValueError(f'frames of a sequence differ in size ({sizes})')


def temporal_differences(fused: Iterable[np.ndarray], vis: Iterable[np.ndarray]) -> Iterator[float]:
    """The temporal difference of every frame to the one before, as the frames come.

    Two frames of each are held at a time, so that a stream may be as long as it likes.

    Args:
        fused: Frames of a fused video, see :class:`FlowAlignment`.
        vis: The visible frames that they were made from, in the same order.

    Yields:
        Grey levels, 0 and up, lower is steadier; one value less than there are frames.

    Raises:
        TypeError: A frame is not uint8.
        ValueError: Sizes differ, or one of the two has more frames than the other.

    Examples:
        >>> import numpy as np
        >>> frame = (np.indices((32, 32)).prod(axis=0) % 251).astype(np.uint8)
        >>> list(temporal_differences([frame, frame], [frame, frame]))
        [0.0]
    """
    before: tuple[np.ndarray, np.ndarray] | None = None
    for frame, visible in zip(fused, vis, strict=True):
        if before is not None:
            yield FlowAlignment(before[1], visible).difference(before[0], frame)
        before = frame, visible


def temporal_difference(fused: Iterable[np.ndarray], vis: Iterable[np.ndarray]) -> float:
    """TD: the mean of :func:`temporal_differences`, which describes the arguments.

    Mean absolute difference between consecutive fused frames after the earlier one was moved by
    the visible camera's optical flow, over the pixels where the flow there and back agrees.

    Returns:
        Grey levels, 0 and up, lower is steadier; NaN for less than two frames. Read it beside the
        sources' and the rules' values: noise of the sources counts, and a frame without contrast
        is steady.

    Examples:
        >>> import numpy as np
        >>> frame = (np.indices((32, 32)).prod(axis=0) % 241).astype(np.uint8)
        >>> round(temporal_difference([frame, frame + np.uint8(5)], [frame, frame]), 6)
        5.0
    """
    values = [value for value in temporal_differences(fused, vis) if not math.isnan(value)]
    return math.fsum(values) / len(values) if values else math.nan

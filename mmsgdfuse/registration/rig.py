"""How the pixels of an infrared and of a visible camera, mounted side by side, correspond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from mmsgdfuse.registration.geometry import Size, is_regular, one_grid, transform_points
from mmsgdfuse.utils.errors import InputError

Grid = Literal['visible', 'infrared']
GRIDS: tuple[Grid, ...] = ('visible', 'infrared')
_FISHEYE = 4
_DISTORTIONS = (0, 4, 5, 8, 12, 14)
# Of width over height, between the rig's frame and a resized one
_SHAPE_TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class Lens:
    """Intrinsic parameters of a camera, in OpenCV's convention.

    Attributes:
        matrix: Camera matrix (3, 3), pixels.
        distortion: Coefficients k1, k2, p1, p2, k3, ... (0, 4, 5, 8, 12 or 14 of them), or the
            four of a fisheye lens.
        fisheye: Whether they are those of OpenCV's fisheye model (ROS: ``equidistant``).
        size: (height, width) of the images that it was calibrated with; None if not known.

    Raises:
        InputError: The matrix or the number of coefficients is not valid.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    fisheye: bool = False
    size: Size | None = None

    def __post_init__(self) -> None:
        matrix = _finite('camera_matrix', self.matrix, (3, 3))
        if abs(np.linalg.det(matrix)) < 1e-9:
            raise InputError('camera_matrix has no inverse; calibrate the camera again')
        coefficients = np.asarray(self.distortion, np.float64).ravel()
        allowed = (_FISHEYE,) if self.fisheye else _DISTORTIONS
        if len(coefficients) not in allowed or not np.isfinite(coefficients).all():
            raise InputError(
                f'distortion must have {" or ".join(map(str, allowed))} finite coefficients, '
                f'found {len(coefficients)}'
            )
        object.__setattr__(self, 'matrix', matrix)
        object.__setattr__(self, 'distortion', coefficients)

    def to_rays(self, pixels: np.ndarray) -> np.ndarray:
        """Directions (x / z, y / z) of pixels (N, 2)."""
        points = np.asarray(pixels, np.float64).reshape(-1, 1, 2)
        undistort = cv2.fisheye.undistortPoints if self.fisheye else cv2.undistortPoints
        return undistort(points, self.matrix, self.distortion).reshape(-1, 2)

    def to_pixels(self, rays: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) of directions (x / z, y / z)."""
        rays = np.asarray(rays, np.float64).reshape(-1, 1, 2)
        if self.fisheye:
            pixels = cv2.fisheye.distortPoints(rays, self.matrix, self.distortion)
        else:
            points = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)
            nothing = np.zeros(3)
            pixels, _ = cv2.projectPoints(points, nothing, nothing, self.matrix, self.distortion)
        return pixels.reshape(-1, 2)

    def resized(self, size: Size) -> Lens:
        """The lens of the same camera with images resized to ``size``."""
        if self.size is None or self.size == size:
            return self
        if not _same_shape(self.size, size):
            raise InputError(
                f'a camera was calibrated with {self.size} (H, W) and its image is {size}; the '
                'shapes differ, so the image was cropped: calibrate with the images that are fused'
            )
        return Lens(one_grid(self.size, size) @ self.matrix, self.distortion, self.fisheye, size)


@dataclass(frozen=True, eq=False)
class Rig:
    """Two cameras that do not move against each other.

    Either a homography between pixels, or two lenses, the pose of the visible camera and the
    distance of the plane on which both images agree.

    Attributes:
        homography: (3, 3). Without lenses: infrared to visible pixel. With lenses: infrared to
            visible direction (x / z, y / z), as :meth:`from_cameras` makes it.
        ir_lens: Lens of the infrared camera, or None.
        vis_lens: Lens of the visible camera, or None.
        ir_size: (height, width) of infrared images, or None if not known.
        vis_size: (height, width) of visible images, or None if not known.

    Raises:
        InputError: The homography cannot be inverted, or only one lens is given.
    """

    homography: np.ndarray
    ir_lens: Lens | None = None
    vis_lens: Lens | None = None
    ir_size: Size | None = None
    vis_size: Size | None = None

    def __post_init__(self) -> None:
        homography = _finite('homography', self.homography, (3, 3))
        if abs(np.linalg.det(homography)) < 1e-12:
            raise InputError('homography has no inverse; estimate it again')
        object.__setattr__(self, 'homography', homography)
        if (self.ir_lens is None) != (self.vis_lens is None):
            raise InputError('a rig has the lenses of both cameras or of none')

    @classmethod
    def from_cameras(
        cls,
        ir_lens: Lens,
        vis_lens: Lens,
        rotation: np.ndarray,
        translation: np.ndarray,
        distance: float,
    ) -> Rig:
        """The rig of two calibrated cameras, right at one distance.

        Args:
            ir_lens: Lens of the infrared camera.
            vis_lens: Lens of the visible camera.
            rotation: (3, 3), and
            translation: (3,), such that ``x_vis = rotation @ x_ir + translation``: R and T of
                ``cv2.stereoCalibrate`` with the infrared camera first.
            distance: From the infrared camera to the plane, in the unit of ``translation``,
                along the camera's axis. Infinite is allowed.

        Raises:
            InputError: A value has another form, or ``distance`` is not positive.
        """
        rotation = _finite('rotation', rotation, (3, 3))
        translation = _finite('translation', np.ravel(translation), (3,))
        if not distance > 0:
            raise InputError(f'distance must be positive, found {distance}')
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3:
            raise InputError('rotation must be a rotation matrix (orthonormal)')
        # a point on the plane z = distance: x_vis ~ (R + t n^T / distance) ray_ir
        plane = rotation + np.outer(translation, [0, 0, 1]) / distance
        return cls(plane, ir_lens, vis_lens, ir_lens.size, vis_lens.size)

    def resized(self, ir_size: Size, vis_size: Size) -> Rig:
        """The same rig for images of other sizes, which must be resized ones and not crops.

        Raises:
            InputError: The shape of a frame differs from that of the rig's.
        """
        if self.ir_lens is not None and self.vis_lens is not None:
            return Rig(
                self.homography, self.ir_lens.resized(ir_size), self.vis_lens.resized(vis_size),
                ir_size, vis_size,
            )  # fmt: skip
        homography = self.homography
        for own, new, camera in (
            (self.ir_size, ir_size, 'infrared'),
            (self.vis_size, vis_size, 'visible'),
        ):
            if own is None or own == new:
                continue
            if not _same_shape(own, new):
                raise InputError(
                    f'the rig is for {camera} images of {own} (H, W), found {new}; the shapes '
                    'differ, so the image was cropped: estimate the rig with such images'
                )
            stretch = one_grid(own, new)
            homography = (
                homography @ np.linalg.inv(stretch)
                if camera == 'infrared'
                else stretch @ homography
            )
        if not is_regular(homography, ir_size):
            raise InputError(
                'the homography sends a part of the infrared frame to infinity or mirrors it; '
                'estimate the rig again'
            )
        return Rig(homography, ir_size=ir_size, vis_size=vis_size)

    def to_infrared(self, pixels: np.ndarray) -> np.ndarray:
        """Infrared pixels (N, 2) of visible pixels (N, 2)."""
        rays = pixels if self.vis_lens is None else self.vis_lens.to_rays(pixels)
        rays = transform_points(np.linalg.inv(self.homography), rays)
        return rays if self.ir_lens is None else self.ir_lens.to_pixels(rays)

    def to_visible(self, pixels: np.ndarray) -> np.ndarray:
        """Visible pixels (N, 2) of infrared pixels (N, 2)."""
        rays = pixels if self.ir_lens is None else self.ir_lens.to_rays(pixels)
        rays = transform_points(self.homography, rays)
        return rays if self.vis_lens is None else self.vis_lens.to_pixels(rays)


def parallax(baseline: float, focal: float, plane: float, distance: float) -> float:
    """How far an object is from where a rig puts it, if it is not on the rig's plane.

    Args:
        baseline: Distance between the cameras.
        focal: Focal length in pixels of the grid that the result counts in.
        plane: Distance of the rig's plane, in the unit of ``baseline``; infinite is allowed.
        distance: Distance of the object, in the same unit.

    Returns:
        Pixels: ``focal * baseline * abs(1 / distance - 1 / plane)``.

    Raises:
        InputError: A value is not positive.

    Examples:
        >>> round(parallax(baseline=0.05, focal=600, plane=10, distance=5), 2)
        3.0
    """
    if min(baseline, focal, plane, distance) <= 0:
        raise InputError('baseline, focal, plane and distance must be positive')
    return focal * baseline * abs(1 / distance - 1 / plane)


def _same_shape(size: Size, other: Size) -> bool:
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= _SHAPE_TOLERANCE


def _finite(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(f'{name} must be {shape} finite numbers, found {value!r}')
    return array

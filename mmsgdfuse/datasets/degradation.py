"""What cameras and their channels do to images: degradations with physical parameters.

Every degradation is a function ``f(image, rng, **parameters)`` of a float32 array (H, W, C) in grey
levels of 255 that returns a new one. It may leave 0..255; :func:`degrade` clips once, after the
last step, as a camera does when it writes the image. numpy, OpenCV and scipy only.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from scipy import fft

#: Names of the three strengths, and their places on the scale that is interpolated.
STRENGTHS: dict[str, float] = {'light': 1.0, 'medium': 2.0, 'heavy': 3.0}

_BLOCK = 8
_MAX_BLUR = 255


def gaussian_noise(image: np.ndarray, rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Add white Gaussian noise, such as the read noise of a sensor, to every value.

    Args:
        image: float32 (H, W, C), 0..255.
        rng: Where the randomness comes from.
        sigma: Standard deviation, grey levels of 255.
    """
    return image + sigma * rng.standard_normal(image.shape, np.float32)


def poisson_noise(image: np.ndarray, rng: np.random.Generator, electrons: float) -> np.ndarray:
    """Replace each value by a count of electrons that has it as its mean: shot noise.

    Args:
        image: float32 (H, W, C), 0..255; negative values count as 0.
        rng: Where the randomness comes from.
        electrons: Electrons at level 255. At level x the noise is ``sqrt(255 x / electrons)``.
    """
    counts = rng.poisson(np.maximum(image, 0) * (electrons / 255))
    return (counts * (255 / electrons)).astype(np.float32)


def column_stripes(
    image: np.ndarray, rng: np.random.Generator, offset: float, gain: float
) -> np.ndarray:
    """Give each column an offset and a gain of its own: fixed pattern of column amplifiers.

    Args:
        image: float32 (H, W, C), 0..255.
        rng: Where the randomness comes from.
        offset: Standard deviation of the columns' offsets, grey levels of 255.
        gain: Standard deviation of the columns' gains around 1.
    """
    return _fixed_pattern(image, rng, offset, gain, (1, image.shape[1], 1))


def row_stripes(
    image: np.ndarray, rng: np.random.Generator, offset: float, gain: float
) -> np.ndarray:
    """Give each row an offset and a gain of its own.

    Args:
        image: float32 (H, W, C), 0..255.
        rng: Where the randomness comes from.
        offset: Standard deviation of the rows' offsets, grey levels of 255.
        gain: Standard deviation of the rows' gains around 1.
    """
    return _fixed_pattern(image, rng, offset, gain, (image.shape[0], 1, 1))


def _fixed_pattern(
    image: np.ndarray,
    rng: np.random.Generator,
    offset: float,
    gain: float,
    shape: tuple[int, int, int],
) -> np.ndarray:
    gains = 1 + gain * rng.standard_normal(shape, np.float32)
    return image * gains + offset * rng.standard_normal(shape, np.float32)


def dead_pixels(image: np.ndarray, rng: np.random.Generator, fraction: float) -> np.ndarray:
    """Set single pixels to 0 or 255, which is equally likely, in all channels.

    Args:
        image: float32 (H, W, C), 0..255.
        rng: Where the randomness comes from.
        fraction: Share of the pixels, 0..1; the number is rounded.
    """
    height, width = image.shape[:2]
    count = round(fraction * height * width)
    places = rng.choice(height * width, count, replace=False)
    result = image.copy()
    result.reshape(height * width, -1)[places] = _stuck(rng, (count, 1))
    return result


def dead_lines(
    image: np.ndarray, rng: np.random.Generator, columns: float, rows: float
) -> np.ndarray:
    """Set whole columns and rows to 0 or 255, which is equally likely.

    Args:
        image: float32 (H, W, C), 0..255.
        rng: Where the randomness comes from.
        columns: Number of columns, rounded; at most all.
        rows: Number of rows, rounded; at most all.
    """
    result = image.copy()
    for axis, wanted in ((1, columns), (0, rows)):
        count = min(round(wanted), image.shape[axis])
        lines = rng.choice(image.shape[axis], count, replace=False)
        np.moveaxis(result, axis, 0)[lines] = _stuck(rng, (count, 1, 1))
    return result


def _stuck(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 255 * rng.integers(0, 2, shape).astype(np.float32)


def gaussian_blur(image: np.ndarray, rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Blur by a Gaussian; borders are reflected.

    Args:
        image: float32 (H, W, C), 0..255.
        rng: Not used.
        sigma: Standard deviation of the Gaussian, pixels.
    """
    if sigma <= 0:
        return image.copy()
    blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(image.shape)


def defocus(image: np.ndarray, rng: np.random.Generator, radius: float) -> np.ndarray:
    """Blur by a disc, the picture of a point that is out of focus; borders are reflected.

    Args:
        image: float32 (H, W, C), 0..255.
        rng: Not used.
        radius: Radius of the disc, pixels.
    """
    return _convolve(image, disc_kernel(radius))


def disc_kernel(radius: float) -> np.ndarray:
    """A disc as float32 (K, K) that sums to 1.

    The share of a pixel on the disc's edge falls over one pixel, so that the radius can be any
    number.
    """
    half = min(math.ceil(radius), _MAX_BLUR // 2)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def motion_blur(
    image: np.ndarray, rng: np.random.Generator, length: float, angle: float | None = None
) -> np.ndarray:
    """Blur along a straight line, the way of the camera while it exposed; borders are reflected.

    Args:
        image: float32 (H, W, C), 0..255.
        rng: Where the angle comes from if it is None.
        length: Length of the way, pixels.
        angle: Its angle, degrees from the horizontal, counter-clockwise. Default None: drawn
            uniformly from 0..180.
    """
    if angle is None:
        angle = rng.uniform(0, 180)
    return _convolve(image, line_kernel(length, angle))


def line_kernel(length: float, angle: float) -> np.ndarray:
    """A line of one pixel's width as float32 (K, K) that sums to 1.

    Args:
        length: Length of the line, pixels; up to 1 gives the kernel that changes nothing.
        angle: Degrees from the horizontal, counter-clockwise.
    """
    half = min(math.ceil(max(length, 1) / 2), _MAX_BLUR // 2)
    side = 2 * half + 1
    kernel = np.zeros((side, side), np.float32)
    reach = max(length - 1, 0) / 2
    # the points of the line, each shared out to its four neighbours
    along = np.linspace(-reach, reach, 8 * side)
    x = half + along * math.cos(math.radians(angle))
    y = half - along * math.sin(math.radians(angle))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right_share, lower_share = x - left, y - top
    for down, share_y in ((0, 1 - lower_share), (1, lower_share)):
        for right, share_x in ((0, 1 - right_share), (1, right_share)):
            rows, columns = np.minimum(top + down, side - 1), np.minimum(left + right, side - 1)
            np.add.at(kernel, (rows, columns), share_y * share_x)
    return kernel / kernel.sum()


def _convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    # filter2D correlates; both kernels are the same when turned by 180 degrees
    blurred = cv2.filter2D(image, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(image.shape)


def low_light(
    image: np.ndarray,
    rng: np.random.Generator,
    exposure: float,
    read_noise: float,
    electrons: float = 5000,
    gain: float = 1.0,
    gamma: float = 2.2,
) -> np.ndarray:
    """Expose less: fewer electrons, shot noise, read noise, and a gain that lifts all of them.

    The image is decoded by ``(x / 255) ** gamma`` to light, and encoded again at the end.

    Args:
        image: float32 (H, W, C), 0..255; values outside are clipped.
        rng: Where the randomness comes from.
        exposure: Share of the light that is left, above 0.
        read_noise: Standard deviation of the read noise, electrons.
        electrons: Electrons at level 255 in full light. Default 5000.
        gain: Factor of the light after the exposure. Default 1: the image becomes dark.
        gamma: Exponent of the encoding. Default 2.2; 1 is linear.
    """
    light = np.clip(image / np.float32(255), 0, 1) ** np.float32(gamma)
    counts = rng.poisson(light * (electrons * exposure)).astype(np.float32)
    counts += read_noise * rng.standard_normal(image.shape, np.float32)
    light = np.maximum(counts * np.float32(gain / electrons), 0)
    return 255 * light ** np.float32(1 / gamma)


def haze(
    image: np.ndarray, rng: np.random.Generator, transmission: float, airlight: float
) -> np.ndarray:
    """Mix the scene with scattered light: ``transmission * x + (1 - transmission) * airlight``.

    Args:
        image: float32 (H, W, C), 0..255.
        rng: Not used.
        transmission: Share of the scene's light, 0..1, equal over the image.
        airlight: Level of the scattered light, 0..255.

    Source: Koschmieder's law, for a scene whose points are all at one distance.
    """
    return transmission * image + np.float32((1 - transmission) * airlight)


def low_contrast(image: np.ndarray, rng: np.random.Generator, factor: float) -> np.ndarray:
    """Draw each channel's values to their mean: ``mean + factor * (x - mean)``.

    Args:
        image: float32 (H, W, C), 0..255.
        rng: Not used.
        factor: Share of the contrast that is left, 0..1.
    """
    mean = image.mean(axis=(0, 1), keepdims=True)
    return mean + np.float32(factor) * (image - mean)


def tone(
    image: np.ndarray,
    rng: np.random.Generator,
    gain: float = 1.0,
    offset: float = 0.0,
    gamma: float = 1.0,
) -> np.ndarray:
    """Change the grey scale: ``gain * 255 * (x / 255) ** gamma + offset``.

    Args:
        image: float32 (H, W, C), 0..255; negative values count as 0.
        rng: Not used.
        gain: Factor. Default 1.
        offset: Brightness shift, grey levels of 255. Default 0.
        gamma: Exponent, above 0; below 1 brightens. Default 1.
    """
    curve = np.maximum(image / np.float32(255), 0) ** np.float32(gamma)
    return np.float32(gain * 255) * curve + np.float32(offset)


def jpeg(image: np.ndarray, rng: np.random.Generator, quality: float) -> np.ndarray:
    """Write and read a JPEG file in memory: 8 bits, colour at half the resolution.

    Args:
        image: float32 (H, W, C), one channel or RGB, 0..255; rounded and clipped.
        rng: Not used.
        quality: Of OpenCV's encoder, 1..100; rounded.
    """
    values = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    # OpenCV takes and gives BGR
    ok, code = cv2.imencode('.jpg', values[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    if not ok:
        raise ValueError(f'an image of shape {image.shape} cannot be written as JPEG')
    flag = cv2.IMREAD_GRAYSCALE if image.shape[2] == 1 else cv2.IMREAD_COLOR
    decoded = np.asarray(cv2.imdecode(code, flag)).reshape(image.shape)
    return decoded[..., ::-1].astype(np.float32)


def video_blocks(image: np.ndarray, rng: np.random.Generator, qp: float) -> np.ndarray:
    """Quantise the transform of 8x8 blocks with the step of an H.264 parameter.

    The step is ``0.625 * 2 ** (qp / 6)`` grey levels for an orthonormal transform; a
    coefficient's magnitude is rounded down above two thirds of a step, as reference encoders do.
    Colour (YCbCr) is at half the resolution. There is no prediction and no deblocking filter, so
    blocks show more than in a real stream of the same parameter.

    Args:
        image: float32 (H, W, C), one channel or RGB, 0..255; values outside are clipped.
        rng: Not used.
        qp: Quantisation parameter, 0..51.
    """
    step = 0.625 * 2 ** (qp / 6)
    clipped = np.clip(image, 0, 255).astype(np.float32)
    if image.shape[2] == 1:
        return _quantise_blocks(clipped[..., 0], step)[..., None]
    planes = cv2.cvtColor(clipped / np.float32(255), cv2.COLOR_RGB2YCrCb) * np.float32(255)
    height, width = image.shape[:2]
    small = (math.ceil(width / 2), math.ceil(height / 2))
    coded = [_quantise_blocks(np.ascontiguousarray(planes[..., 0]), step)]
    for channel in (1, 2):
        plane = cv2.resize(planes[..., channel], small, interpolation=cv2.INTER_AREA)
        plane = _quantise_blocks(plane, step)
        coded.append(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))
    mixed = np.stack(coded, axis=2) / np.float32(255)
    return cv2.cvtColor(mixed, cv2.COLOR_YCrCb2RGB) * np.float32(255)


def _quantise_blocks(plane: np.ndarray, step: float) -> np.ndarray:
    """Quantise the DCT of the blocks of (H, W); edges are continued to whole blocks."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % _BLOCK), (0, -width % _BLOCK)), mode='edge')
    rows, columns = (side // _BLOCK for side in padded.shape)
    blocks = padded.reshape(rows, _BLOCK, columns, _BLOCK)
    coefficients = fft.dctn(blocks, axes=(1, 3), norm='ortho')
    # a dead zone: the encoder's rounding offset of a third instead of a half
    levels = np.sign(coefficients) * np.floor(np.abs(coefficients) / step + 1 / 3)
    decoded = fft.idctn(levels * step, axes=(1, 3), norm='ortho').reshape(padded.shape)
    return decoded[:height, :width].astype(np.float32)


#: Every single degradation by name.
DEGRADATIONS: dict[str, Callable[..., np.ndarray]] = {
    function.__name__: function
    for function in (
        gaussian_noise,
        poisson_noise,
        column_stripes,
        row_stripes,
        dead_pixels,
        dead_lines,
        gaussian_blur,
        defocus,
        motion_blur,
        low_light,
        haze,
        jpeg,
        video_blocks,
        low_contrast,
        tone,
    )
}

_Steps = tuple[tuple[str, dict[str, tuple[float, float, float]]], ...]

#: The steps of each name, with every parameter at the strengths light, medium and heavy. A name
#: of one step is a single degradation; the others are what a camera does in this order.
STRENGTH_TABLE: dict[str, _Steps] = {
    'gaussian_noise': (('gaussian_noise', dict(sigma=(5, 10, 20))),),
    'poisson_noise': (('poisson_noise', dict(electrons=(1000, 250, 60))),),
    'column_stripes': (('column_stripes', dict(offset=(3.0, 6.0, 12.0), gain=(0.01, 0.03, 0.06))),),
    'row_stripes': (('row_stripes', dict(offset=(3.0, 6.0, 12.0), gain=(0.01, 0.03, 0.06))),),
    'dead_pixels': (('dead_pixels', dict(fraction=(0.0005, 0.002, 0.01))),),
    'dead_lines': (('dead_lines', dict(columns=(1, 3, 8), rows=(0, 1, 3))),),
    'gaussian_blur': (('gaussian_blur', dict(sigma=(0.8, 1.5, 3.0))),),
    'defocus': (('defocus', dict(radius=(1.5, 3.0, 6.0))),),
    'motion_blur': (('motion_blur', dict(length=(5, 10, 20))),),
    'low_light': (('low_light', dict(exposure=(0.3, 0.1, 0.03), read_noise=(3, 6, 12))),),
    'haze': (('haze', dict(transmission=(0.8, 0.6, 0.4), airlight=(200, 210, 220))),),
    'jpeg': (('jpeg', dict(quality=(50, 25, 10))),),
    'video_blocks': (('video_blocks', dict(qp=(28, 34, 40))),),
    'low_contrast': (('low_contrast', dict(factor=(0.7, 0.5, 0.3))),),
    'tone': (('tone', dict(gamma=(0.85, 0.7, 0.6))),),
    'infrared_sensor': (
        ('tone', dict(gamma=(0.85, 0.7, 0.6))),
        ('column_stripes', dict(offset=(4.0, 8.0, 12.0), gain=(0.01, 0.03, 0.06))),
        ('gaussian_noise', dict(sigma=(4.5, 9.0, 12.0))),
    ),
    'visible_sensor': (
        ('gaussian_blur', dict(sigma=(0.8, 1.5, 2.5))),
        ('poisson_noise', dict(electrons=(5000, 2000, 500))),
        ('jpeg', dict(quality=(90, 70, 40))),
    ),
    'night_visible': (
        ('motion_blur', dict(length=(3, 6, 12))),
        (
            'low_light',
            dict(exposure=(0.3, 0.1, 0.03), read_noise=(3, 6, 12), gain=(2.0, 5.0, 12.0)),
        ),
        ('video_blocks', dict(qp=(24, 30, 36))),
    ),
}


def strength_value(strength: str | float) -> float:
    """The place of a strength on the scale 1 (light) to 3 (heavy).

    Raises:
        ValueError: It is neither a name out of ``STRENGTHS`` nor a number in 1..3.
    """
    if isinstance(strength, str):
        if strength not in STRENGTHS:
            raise ValueError(
                f'strength must be one of {list(STRENGTHS)} or a number in 1..3, found {strength!r}'
            )
        return STRENGTHS[strength]
    if not 1 <= strength <= 3:
        raise ValueError(f'strength must be in 1..3 (light to heavy), found {strength}')
    return float(strength)


def degradation_steps(name: str, strength: str | float = 'medium') -> list[dict]:
    """The steps of a named degradation with the parameters of a strength.

    Between two strengths of the table a parameter is interpolated: in its logarithm where both
    values are positive, else linearly.

    Args:
        name: A name out of ``STRENGTH_TABLE``.
        strength: 'light', 'medium' or 'heavy', or a number in 1..3 between them. Default
            'medium'.

    Returns:
        One dict per step: ``type``, a name out of ``DEGRADATIONS``, and its parameters.

    Raises:
        ValueError: The name or the strength is unknown.

    Examples:
        >>> degradation_steps('gaussian_noise', 'heavy')
        [{'type': 'gaussian_noise', 'sigma': 20.0}]
    """
    if name not in STRENGTH_TABLE:
        raise ValueError(f'unknown degradation {name!r}; known: {", ".join(STRENGTH_TABLE)}')
    place = strength_value(strength)
    return [
        dict(type=kind, **{key: _interpolate(row, place) for key, row in parameters.items()})
        for kind, parameters in STRENGTH_TABLE[name]
    ]


def _interpolate(row: Sequence[float], place: float) -> float:
    lower = min(int(place), 2)
    share = place - lower
    low, high = row[lower - 1], row[lower]
    if share in (0.0, 1.0):
        return float(high if share else low)
    if low > 0 and high > 0:
        return float(low * (high / low) ** share)
    return float(low + share * (high - low))


def check_step(step: Mapping) -> None:
    """Refuse a step whose type or parameters no degradation has, or that lacks one.

    Raises:
        ValueError: The message names the step and what is known.
    """
    kind = step.get('type')
    if kind not in DEGRADATIONS:
        raise ValueError(f'unknown degradation {kind!r}; known: {", ".join(DEGRADATIONS)}')
    known = dict(list(inspect.signature(DEGRADATIONS[kind]).parameters.items())[2:])
    unknown = set(step) - {'type'} - set(known)
    missing = {n for n, p in known.items() if p.default is inspect.Parameter.empty} - set(step)
    if unknown or missing:
        fault = f'has no {sorted(unknown)}' if unknown else f'lacks {sorted(missing)}'
        raise ValueError(f'degradation {kind!r} {fault}; its parameters: {", ".join(known)}')


def degrade(
    image: np.ndarray,
    steps: str | Sequence[Mapping],
    rng: np.random.Generator,
    strength: str | float = 'medium',
) -> np.ndarray:
    """Degrade an image by one step after the other, and clip once at the end.

    Args:
        image: (H, W, C), uint8 or floating, grey levels 0..255; RGB where C is 3.
        steps: A name out of ``STRENGTH_TABLE``, or steps as of :func:`degradation_steps`.
        rng: Where the randomness comes from; the same state gives the same image.
        strength: Of a named degradation; see :func:`degradation_steps`. Default 'medium'.

    Returns:
        (H, W, C) in 0..255: uint8, rounded, if the image was; else float32.

    Raises:
        ValueError: The image has no three axes, or a name, a strength or a parameter is unknown.

    Examples:
        >>> import numpy as np
        >>> grey = np.full((4, 4, 1), 100, np.uint8)
        >>> degrade(grey, 'haze', np.random.default_rng(0), 'medium')[0, 0]
        array([144], dtype=uint8)
    """
    if image.ndim != 3:
        raise ValueError(f'image must be (H, W, C), found shape {image.shape}')
    if isinstance(steps, str):
        steps = degradation_steps(steps, strength)
    result = image.astype(np.float32)
    for step in steps:
        check_step(step)
        parameters = {key: value for key, value in step.items() if key != 'type'}
        result = DEGRADATIONS[step['type']](result, rng, **parameters)
    result = np.clip(result, 0, 255)
    if image.dtype == np.uint8:
        return np.rint(result).astype(np.uint8)
    return result.astype(np.float32, copy=False)

"""Normal noise as a function of seed and position, the same in every runtime and every tile."""

from __future__ import annotations

from functools import cache, lru_cache
from statistics import NormalDist

import numpy as np

_BITS = 16  # quantiles of the normal distribution that a value is one of
_CACHED_VALUES = 2**24  # float32; larger fields are made anew
_START = np.uint32(0x9E3779B9)  # the hash of 0 is 0


def position_noise(
    seed: int, index: int, shape: tuple[int, int, int], origin: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """Standard normal noise whose value at a pixel depends on nothing but what is given here.

    A 32-bit integer hash of seed, draw, channel, row and column chooses one of 65536 equally
    likely quantiles of the normal distribution. So a tile has the values that the whole image has
    there, and no library's random generator takes part.

    Args:
        seed: Any integer; two that differ by a multiple of 2**64 give the same noise.
        index: Number of the draw, at least 0; draws are independent.
        shape: (C, H, W).
        origin: Row and column, at least 0, of the first pixel in the whole image. Default: (0, 0).

    Returns:
        float32 (C, H, W), read-only, within -4.33..4.33.

    Examples:
        >>> whole = position_noise(0, 0, (2, 6, 8))
        >>> bool((position_noise(0, 0, (2, 3, 4), (1, 2)) == whole[:, 1:4, 2:6]).all())
        True
    """
    make = _cached if shape[0] * shape[1] * shape[2] <= _CACHED_VALUES else _make
    return make(seed % 2**64, index, shape, origin)


def _make(
    seed: int, index: int, shape: tuple[int, int, int], origin: tuple[int, int]
) -> np.ndarray:
    channels, height, width = shape
    key = _START
    for word in (seed & 0xFFFFFFFF, seed >> 32, index):
        key = _hash(np.array([key ^ np.uint32(word)], np.uint32))[0]
    planes = _hash(np.arange(channels, dtype=np.uint32) + key)
    rows = np.arange(origin[0], origin[0] + height, dtype=np.uint32)
    columns = np.arange(origin[1], origin[1] + width, dtype=np.uint32)
    columns = _hash(_hash(columns + _START) + key)
    noise = np.empty(shape, np.float32)
    table = _quantiles()
    for plane, values in zip(planes, noise):
        lines = _hash(rows + plane)
        # in strips, since the intermediate integers would be larger than the noise
        for top in range(0, height, 256):
            mixed = _hash(lines[top : top + 256, None] ^ columns)
            np.take(table, mixed >> np.uint32(32 - _BITS), out=values[top : top + 256])
    noise.flags.writeable = False
    return noise


_cached = lru_cache(maxsize=4)(_make)


def _hash(x: np.ndarray) -> np.ndarray:
    """A bijection of uint32, each bit of which depends on all bits of ``x``."""
    # the multipliers of the 32-bit finalizer of MurmurHash3
    x = x ^ (x >> np.uint32(16))
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return x


@cache
def _quantiles() -> np.ndarray:
    """Quantiles of the standard normal distribution at the middles of 2**16 equal shares."""
    normal, half = NormalDist(), 2 ** (_BITS - 1)
    upper = [normal.inv_cdf((half + i + 0.5) / (2 * half)) for i in range(half)]
    table = np.array(upper, np.float64)
    table = np.concatenate([-table[::-1], table])
    return (table / table.std()).astype(np.float32)

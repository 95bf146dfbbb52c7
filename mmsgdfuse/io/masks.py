"""Grey levels of a mask's file or array as shares of 1."""

from __future__ import annotations

import warnings

import numpy as np


def mask_levels(mask: np.ndarray, name: str) -> np.ndarray:
    """A mask of grey levels as float32 in [0, 1].

    Levels 0..255 are shares of 255. A mask of the levels 0 and 1 alone is what many tools write
    for no and yes; it is taken so, with a warning, for as shares of 255 it would be empty.

    Args:
        mask: uint8 of any shape.
        name: What to call the mask in the warning.
    """
    if mask.size and mask.max() == 1:
        warnings.warn(
            f'{name}: a mask of the levels 0 and 1, taken for no and yes; write 0 and 255, '
            'which say so',
            stacklevel=3,
        )
        return mask.astype(np.float32)
    return mask.astype(np.float32) / np.float32(255)

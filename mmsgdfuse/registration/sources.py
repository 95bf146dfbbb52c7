"""A rig in one of the forms that a user gives it in."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from mmsgdfuse.registration.estimation import SearchOptions, register_pair
from mmsgdfuse.registration.rig import GRIDS, Grid, Rig
from mmsgdfuse.registration.rig_files import load_rig
from mmsgdfuse.registration.warping import AlignedPair, align_pair
from mmsgdfuse.utils.errors import InputError

AUTO = 'auto'
RigSource = str | os.PathLike | Rig | np.ndarray | Literal['auto']


class PairAligner:
    """Brings pairs onto one grid, by one rig or each pair by a transform of its own.

    Args:
        rig: Path of a rig's file, a :class:`Rig`, a homography (3, 3) from infrared to visible
            pixels, or ``'auto'``: each pair is registered alone.
        grid: ``'visible'`` (default) or ``'infrared'``: the grid of the result.
        distance: Distance of the plane on which the images agree, for rigs with lenses. Default:
            that of the file.
        options: Of ``'auto'``. Default :class:`SearchOptions`.

    Raises:
        InputError: An argument is not valid.
        OSError: The file cannot be read.
    """

    def __init__(
        self,
        rig: RigSource,
        grid: Grid = 'visible',
        distance: float | None = None,
        options: SearchOptions | None = None,
    ) -> None:
        if grid not in GRIDS:
            raise InputError(f'grid must be one of {", ".join(GRIDS)}, found {grid!r}')
        self.grid = grid
        self.options = options
        self.rig: Rig | None = None
        if isinstance(rig, Rig):
            self.rig = rig
        elif isinstance(rig, (str, os.PathLike)):
            if os.fspath(rig) != AUTO:
                self.rig = load_rig(rig, distance)
        else:
            self.rig = Rig(rig)

    def __call__(self, ir: np.ndarray, vis: np.ndarray) -> AlignedPair:
        """The pair on one grid.

        Args:
            ir: Infrared image (H, W, 1), uint8 or float32 in 0..255.
            vis: Visible image (H', W', 3), the same.

        Raises:
            RegistrationError: ``'auto'`` finds no transform that it trusts.
            InputError: The rig does not fit the images.
        """
        rig = self.rig
        if rig is None:
            grey = [np.rint(image).astype(np.uint8) for image in (ir, vis)]
            found = register_pair(grey[0], grey[1], self.options)
            rig = Rig(found.homography, ir_size=found.ir_size, vis_size=found.vis_size)
        return align_pair(ir, vis, rig, self.grid)

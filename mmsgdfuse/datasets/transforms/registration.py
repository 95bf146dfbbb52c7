"""Registration of a pair that was read."""

from __future__ import annotations

import os

import numpy as np
from mmcv.transforms import BaseTransform

from mmsgdfuse.io.images import ImageFileError
from mmsgdfuse.registration import (
    Grid,
    PairAligner,
    RegistrationError,
    RigSource,
    SearchOptions,
    valid_box,
)
from mmsgdfuse.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RegisterPair(BaseTransform):
    """Bring the two images of an unregistered pair onto one grid.

    It follows ``LoadPair(same_size=False)``.

    Required keys: ``ir`` and ``vis``; optional: ``labels``, of the size of the grid's image.
    Changed keys: the same, ``ori_shape`` and ``img_shape``. Added key: ``valid``, bool (H, W).

    Args:
        rig (str | Rig | array): Path of a rig's file, homography (3, 3) from infrared to visible
            pixels as nested lists, or 'auto': each pair is registered alone, which takes seconds.
        grid (str): 'visible' or 'infrared': whose pixels the result has. Default: 'visible'.
        crop (bool): Keep the largest rectangle that both cameras see, as training needs it.
            Else the moved image repeats its border outside of that region. Default: True.
        distance (float | None): Distance of the plane on which the images agree, for rigs with
            lenses. Default: None, that of the file.
        search (dict | None): Arguments of :class:`mmsgdfuse.registration.SearchOptions` for
            'auto'. Default: None, its defaults.

    Raises:
        ImageFileError: A pair is not registered, or its labels have another size.
        InputError: ``rig`` or another argument is not valid.
    """

    def __init__(
        self,
        rig: RigSource | list,
        grid: Grid = 'visible',
        crop: bool = True,
        distance: float | None = None,
        search: dict | None = None,
    ) -> None:
        source = np.asarray(rig) if isinstance(rig, (list, tuple)) else rig
        self._align = PairAligner(source, grid, distance, SearchOptions(**(search or {})))
        self.rig = os.fspath(rig) if isinstance(rig, (str, os.PathLike)) else rig
        self.grid = grid
        self.crop = crop

    def transform(self, results: dict) -> dict:
        try:
            aligned = self._align(results['ir'], results['vis'])
        except RegistrationError as error:
            raise ImageFileError(f'{results.get("ir_path", "the pair")}: {error}') from error
        keys = dict(aligned._asdict())
        if 'labels' in results:
            if results['labels'].shape[:2] != aligned.valid.shape:
                raise ImageFileError(
                    f'{results.get("labels_path", "labels")}: is '
                    f'{results["labels"].shape[:2]} (H, W), but the {self.grid} image is '
                    f'{aligned.valid.shape}; labels belong to the grid of the result'
                )
            keys['labels'] = results['labels']
        if self.crop:
            box = valid_box(aligned.valid)
            keys = {key: np.ascontiguousarray(image[box]) for key, image in keys.items()}
        results.update(keys)
        results['ori_shape'] = results['img_shape'] = keys['ir'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(rig={self.rig!r}, grid={self.grid!r}, crop={self.crop})'

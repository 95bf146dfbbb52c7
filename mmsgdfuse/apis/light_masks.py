"""Masks of an exported model, made without torch where they need none."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmsgdfuse.masks import BaseMaskGenerator, CachedMaskGenerator, ThermalVisualSaliency
from mmsgdfuse.utils.errors import InputError

Step = Callable[[dict[str, Any]], dict[str, Any]]
_IMAGES = dict(mask_ir='ir', mask_vis='vis')


class MaskStep:
    """Adds ``mask_ir`` and ``mask_vis``, as the transform ``GenerateMasks`` does.

    Args:
        ir: Generator of the infrared mask.
        vis: Generator of the visible mask.
        cache_dir: Folder in which masks are kept. Default: they are not.
    """

    def __init__(
        self,
        ir: BaseMaskGenerator,
        vis: BaseMaskGenerator,
        cache_dir: str | os.PathLike | None = None,
    ) -> None:
        folder = None if cache_dir is None else Path(cache_dir)
        self.generators = {
            name: CachedMaskGenerator(generator, folder)
            for name, generator in dict(mask_ir=ir, mask_vis=vis).items()
        }

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        for name, generator in self.generators.items():
            image = results[_IMAGES[name]]
            if image.dtype != np.uint8:
                image = np.rint(image).astype(np.uint8)
            results[name] = generator(image)[..., None]
        return results

    @classmethod
    def build_all(
        cls,
        masks: Mapping[str, Any] | BaseMaskGenerator | Sequence[Mapping[str, Any]],
        cache_dir: str | os.PathLike | None,
        source: object,
        from_file: bool,
    ) -> list[Step]:
        """The steps that configs ask for.

        Args:
            masks: A generator, its config, or the configs of transforms.
            cache_dir: Folder in which masks are kept.
            source: What an error message names.
            from_file: Whether the configs stand in a file that may come from anyone. Then
                nothing but the embedded generator is built.

        Raises:
            InputError: A config of a file asks for something else.
            MissingPackageError: A config of the caller's needs torch or mmengine.
        """
        if isinstance(masks, BaseMaskGenerator):
            return [cls(masks, masks, cache_dir)]
        steps: list[Step] = []
        for entry in [masks] if isinstance(masks, Mapping) else masks:
            generators = _embedded(entry)
            if generators is not None:
                steps.append(cls(*generators, cache_dir))
            elif from_file:
                raise InputError(
                    f'{source}: asks for masks by {entry!r}, which an exported model may not; give '
                    'masks= or both masks of each pair'
                )
            else:
                from mmsgdfuse.apis.torch_model import build_masks

                steps += build_masks([entry], cache_dir)
        return steps


def _embedded(entry: Mapping[str, Any]) -> tuple[BaseMaskGenerator, BaseMaskGenerator] | None:
    """Generators of both images; ``None`` where a config asks for more than the embedded one."""
    if not isinstance(entry, Mapping):
        return None
    cfg = dict(entry)
    name = str(cfg.pop('type', '')).rsplit('.', 1)[-1]
    if name == 'ThermalVisualSaliency':
        sides = [cfg, cfg]
    elif name == 'GenerateMasks':
        default = dict(type='ThermalVisualSaliency')
        sides = []
        for side in (cfg.pop('ir', default), cfg.pop('vis', default)):
            own = dict(side) if isinstance(side, Mapping) else {}
            if str(own.pop('type', '')).rsplit('.', 1)[-1] != 'ThermalVisualSaliency':
                return None
            sides.append(own)
        if cfg:
            return None
    else:
        return None
    try:
        ir, vis = (ThermalVisualSaliency(**side) for side in sides)
    except (TypeError, AttributeError, KeyError) as error:
        raise InputError(f'masks: {entry!r} cannot be built ({error})') from error
    return ir, vis

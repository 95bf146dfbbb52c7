"""Degraded pairs: what stripes, noise, blur and compression make of the two images."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmsgdfuse.datasets.degradation import (
    check_step,
    degradation_steps,
    degrade,
    strength_value,
)
from mmsgdfuse.registry import TRANSFORMS

_PICKS = ('all', 'one')


@TRANSFORMS.register_module()
class DegradePair(BaseTransform):
    """Degrade the two images of a pair, each by degradations of its own camera.

    A degradation is a name out of
    :data:`~mmsgdfuse.datasets.degradation.STRENGTH_TABLE`, such as 'column_stripes' or
    'infrared_sensor', or a dict with ``type``, a name out of
    :data:`~mmsgdfuse.datasets.degradation.DEGRADATIONS`, and its parameters. A parameter given
    as a pair is drawn uniformly between the two numbers.

    Masks and labels stay as they are; masks that are generated after this transform are made of
    the degraded images.

    Required keys: ``ir`` (H, W, 1), ``vis`` (H, W, 3), 0..255; optional: ``sample_idx`` or
    ``name``, from which a seeded transform draws. Changed keys: ``ir`` and ``vis``, uint8 stay
    uint8. Added keys: ``clean_ir`` and ``clean_vis``, if ``keep_clean``.

    Args:
        ir (Sequence[str | dict]): Degradations of the infrared image, in their order. Default:
            ('infrared_sensor',).
        vis (Sequence[str | dict]): The same for the visible image. Default:
            ('visible_sensor',).
        strength (str | float | tuple[float, float]): Of the named degradations: 'light',
            'medium', 'heavy', a number in 1..3 between them, or a pair of such numbers between
            which one is drawn for each image. Default: 'medium'.
        probability (float): Probability of degrading an image, drawn for each. Default: 1.0.
        pick (str): 'all' applies the whole list, 'one' one entry drawn from it. Default: 'all'.
        seed (int | None): With a number a sample is degraded the same way whenever it is loaded,
            as validation needs it. None draws from NumPy's global generator, which mmengine
            seeds. Default: None.
        keep_clean (bool): Keep the images as they were. Default: True.

    Raises:
        ValueError: A degradation, parameter, strength, probability or ``pick`` is not valid; or,
            when a seeded transform runs, the sample has neither ``sample_idx`` nor ``name``.

    Examples:
        >>> DegradePair(ir=['column_stripes', dict(type='gaussian_noise', sigma=(0, 15))], vis=[])
        ... # doctest: +SKIP
    """

    def __init__(
        self,
        ir: Sequence[str | Mapping] = ('infrared_sensor',),
        vis: Sequence[str | Mapping] = ('visible_sensor',),
        strength: str | float | tuple[float, float] = 'medium',
        probability: float = 1.0,
        pick: str = 'all',
        seed: int | None = None,
        keep_clean: bool = True,
    ) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f'probability must be in 0..1, found {probability}')
        if pick not in _PICKS:
            raise ValueError(f'pick must be one of {_PICKS}, found {pick!r}')
        self.strength = _strength_range(strength)
        self.lists = {'ir': tuple(ir), 'vis': tuple(vis)}
        for key, entries in (('ir', ir), ('vis', vis)):
            if isinstance(entries, str):
                raise ValueError(f'{key} must be a list, found {entries!r}; write [{entries!r}]')
            for entry in entries:
                _check_entry(entry)
        self.probability = probability
        self.pick = pick
        self.seed = seed
        self.keep_clean = keep_clean

    def transform(self, results: dict) -> dict:
        rng = self._generator(results)
        for key, entries in self.lists.items():
            clean = results[key]
            if self.keep_clean:
                results[f'clean_{key}'] = clean
            if not entries or rng.uniform() >= self.probability:
                continue
            chosen = entries if self.pick == 'all' else [entries[rng.integers(len(entries))]]
            strength = rng.uniform(*self.strength)
            steps = [step for entry in chosen for step in _draw_steps(entry, strength, rng)]
            results[key] = degrade(clean, steps, rng)
        return results

    def _generator(self, results: dict) -> np.random.Generator:
        if self.seed is None:
            return np.random.default_rng(np.random.randint(2**31))
        if 'sample_idx' in results:
            return np.random.default_rng([self.seed, results['sample_idx']])
        if 'name' in results:
            return np.random.default_rng([self.seed, zlib.crc32(results['name'].encode())])
        raise ValueError(
            'a seeded DegradePair needs the key sample_idx or name; '
            'IVIFDataset gives both, or set seed=None'
        )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(ir={list(self.lists["ir"])}, vis={list(self.lists["vis"])}, '
            f'strength={self.strength}, probability={self.probability}, pick={self.pick!r}, '
            f'seed={self.seed}, keep_clean={self.keep_clean})'
        )


def _strength_range(strength: str | float | Sequence[float]) -> tuple[float, float]:
    if isinstance(strength, str | int | float):
        value = strength_value(strength)
        return value, value
    if len(strength) != 2:
        raise ValueError(f'strength must be one value or a pair, found {strength}')
    low, high = (strength_value(value) for value in strength)
    if low > high:
        raise ValueError(f'strength must be an increasing pair, found {strength}')
    return low, high


def _check_entry(entry: str | Mapping) -> None:
    if isinstance(entry, str):
        degradation_steps(entry)
    else:
        check_step(entry)


def _draw_steps(entry: str | Mapping, strength: float, rng: np.random.Generator) -> list[dict]:
    """The steps of an entry, with a number for every parameter that is a pair."""
    if isinstance(entry, str):
        return degradation_steps(entry, strength)
    return [
        {
            key: rng.uniform(*value) if isinstance(value, tuple | list) else value
            for key, value in entry.items()
        }
    ]

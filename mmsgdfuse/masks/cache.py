"""Masks on disk: one compressed file per image, found by what was computed from what."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from mmsgdfuse.masks.base import BaseMaskGenerator
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.files import atomic_path, write_text

_SETTINGS_FILE = 'settings.json'


def image_digest(image: np.ndarray) -> str:
    """What identifies an image by its pixels.

    Args:
        image (np.ndarray): uint8, (H, W), (H, W, 1) or (H, W, 3); the first two give the same.

    Returns:
        str: 32 hexadecimal digits.
    """
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    digest = hashlib.blake2b(f'{image.dtype.str}{image.shape}'.encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def settings_digest(settings: dict[str, Any]) -> str:
    """What identifies a generator by its settings: 16 hexadecimal digits, whatever their order."""
    text = json.dumps(settings, sort_keys=True, separators=(',', ':'))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class MaskCache:
    """The masks of one generator in a folder of their own.

    ``root/<generator>-<digest of its settings>/`` holds ``settings.json`` and one 8-bit grey PNG
    per image, named by the digest of the image's pixels. So a changed image, generator or setting
    never finds a mask that is no longer its own, and renaming or moving images loses nothing. Each
    PNG also carries both digests inside. A file that is damaged, or says it belongs elsewhere,
    counts as absent.

    Files appear under their name only when complete, so that several processes, on one machine or
    on a shared disk, may fill the same cache; the last to finish an image wins, with the same
    bytes.

    Args:
        root (str | Path): Folder of all caches; made when the first mask is written.
        settings (dict): The generator's :attr:`~mmsgdfuse.masks.BaseMaskGenerator.settings`.

    Raises:
        ValueError: ``settings`` has no 'type'.
    """

    def __init__(self, root: str | Path, settings: dict[str, Any]) -> None:
        if not settings.get('type'):
            raise ValueError("settings need the generator's name as 'type'")
        self.settings = settings
        self._digest = settings_digest(settings)
        self.folder = Path(root) / f'{settings["type"]}-{self._digest}'

    @classmethod
    def open(cls, folder: str | Path) -> MaskCache:
        """The cache in an existing folder, without its generator.

        Args:
            folder (str | Path): ``root/<generator>-<digest>``.

        Raises:
            FileNotFoundError: There is no ``settings.json`` in it.
            ValueError: That file is not this folder's.
        """
        folder = Path(folder)
        path = folder / _SETTINGS_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f'{path} does not exist: {folder} is no folder of cached masks. Give the folder '
                "'<generator>-<digest>' that tools/generate_masks.py reports, or run it first"
            )
        try:
            cache = cls(folder.parent, json.loads(path.read_text(encoding='utf-8')))
        except (ValueError, AttributeError, RecursionError) as error:
            raise InputError(
                f'{path} is damaged ({error}): delete it and generate again'
            ) from error
        if cache.folder.name != folder.name:
            raise InputError(
                f'{path} describes {cache.folder.name}: the folder was renamed or its settings '
                'edited. Undo that, or generate the masks again'
            )
        return cache

    def path(self, image: np.ndarray) -> Path:
        """Where the mask of an image lies or would lie."""
        return self.folder / f'{image_digest(image)}.png'

    def load(self, image: np.ndarray) -> np.ndarray | None:
        """The mask of an image.

        Args:
            image (np.ndarray): uint8, (H, W), (H, W, 1) or RGB (H, W, 3).

        Returns:
            np.ndarray | None: float32, (H, W), in [0, 1]; None where there is no valid file.
        """
        path = self.path(image)
        try:
            with Image.open(path) as file:
                file.load()
                levels = np.asarray(file)
                text = file.info
        except (OSError, SyntaxError, ValueError):  # absent, or damaged in one of Pillow's ways
            return None
        ours = text.get('image') == path.stem and text.get('settings') == self._digest
        if not ours or levels.dtype != np.uint8 or levels.shape != image.shape[:2]:
            return None
        return levels.astype(np.float32) / np.float32(255)

    def save(self, image: np.ndarray, mask: np.ndarray) -> Path:
        """Keep the mask of an image.

        Args:
            image (np.ndarray): As for :meth:`load`.
            mask (np.ndarray): float, (H, W), in [0, 1]; rounded to multiples of 1/255, which is
                what generators give.

        Returns:
            Path: The file.

        Raises:
            ValueError: The mask's size is not the image's, or its values leave [0, 1].
        """
        if mask.shape != image.shape[:2]:
            raise ValueError(f'a mask of {mask.shape} is not one of an image of {image.shape[:2]}')
        if not (mask.min() >= 0 and mask.max() <= 1):
            raise ValueError('the mask leaves the range [0, 1]')
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / _SETTINGS_FILE
        if not settings.is_file():
            text = json.dumps(self.settings, sort_keys=True, indent=2) + '\n'
            write_text(settings, text)
        path = self.path(image)
        info = PngImagePlugin.PngInfo()
        info.add_text('image', path.stem)
        info.add_text('settings', self._digest)
        picture = Image.fromarray(np.rint(mask * 255).astype(np.uint8))
        with atomic_path(path) as partial:
            picture.save(partial, 'PNG', pnginfo=info)
        return path


class CachedMaskGenerator:
    """A mask generator that computes every image's mask once.

    Where the cache cannot be written it warns once, computes, and still reads what is there.

    Args:
        generator (BaseMaskGenerator): Computes what is missing.
        cache_dir (str | Path | None): Root of the cache; None computes every time. Default: None.
    """

    def __init__(self, generator: BaseMaskGenerator, cache_dir: str | Path | None = None) -> None:
        self.generator = generator
        self.cache = None if cache_dir is None else MaskCache(cache_dir, generator.settings)
        self._keep = True  # until the folder turns out to be read-only or full

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The mask, float32 (H, W), of a uint8 image (H, W), (H, W, 1) or RGB (H, W, 3)."""
        if self.cache is None:
            return self.generator(image)
        mask = self.cache.load(image)
        if mask is None:
            mask = self.generator(image)
            if not self._keep:
                return mask
            try:
                self.cache.save(image, mask)
            except OSError as error:  # a cache is optional: go on without it
                warnings.warn(
                    f'{self.cache.folder}: {error.strerror or error}; masks are computed, but not '
                    'kept there',
                    stacklevel=2,
                )
                self._keep = False
        return mask

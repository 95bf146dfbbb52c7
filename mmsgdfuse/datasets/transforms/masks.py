"""Transforms for the semantic masks ``mask_ir`` and ``mask_vis``: make, load, replace, perturb."""

from __future__ import annotations

import glob
from collections.abc import Collection, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from PIL import Image

from mmsgdfuse.io.images import ImageFileError, probe_image, read_labels
from mmsgdfuse.io.masks import mask_levels
from mmsgdfuse.masks import (
    BaseMaskGenerator,
    CachedMaskGenerator,
    MaskCache,
    add_contrast,
    as_luma,
    build_composer,
    image_digest,
    label_segments,
)
from mmsgdfuse.registry import MASK_GENERATORS, TRANSFORMS
from mmsgdfuse.utils.errors import InputError

MASK_KEYS = ('mask_ir', 'mask_vis')
DEFAULT_GENERATOR = {'type': 'ThermalVisualSaliency'}
_LOSSY = ('.jpg', '.jpeg', '.webp')
# what Pillow calls the kinds of PNG files
_MODES = {
    'P': 'colours of a palette', 'RGB': 'three channels (RGB)', 'RGBA': 'RGB and alpha',
    'LA': 'grey and alpha', '1': 'one bit', 'I;16': '16 bits', 'I': '16 bits',
}  # fmt: skip
_IMAGE_OF = {'mask_ir': 'ir', 'mask_vis': 'vis'}


def _as_uint8(image: np.ndarray) -> np.ndarray:
    """Images of 16-bit files are float32 in 0..255; generators take uint8."""
    if image.dtype == np.uint8:
        return image
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _check_keys(keys: Sequence[str]) -> tuple[str, ...]:
    if isinstance(keys, str) or not keys or set(keys) - set(MASK_KEYS):
        raise ValueError(f'keys must be a sequence from {MASK_KEYS}, found {keys!r}')
    return tuple(keys)


def _check_probability(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f'{name} must be a probability in 0..1, found {value}')


@TRANSFORMS.register_module()
class GenerateMasks(BaseTransform):
    """Compute the masks of both images, once per image where a cache is given.

    Required keys: ``ir``, ``vis``. Added keys: ``mask_ir``, ``mask_vis``, float32 (H, W, 1),
    in [0, 1].

    Put it before crops and flips: a mask depends on the whole image, and the cache on its pixels.

    Args:
        ir (dict | BaseMaskGenerator | None): Generator of the infrared mask, or its config; None
            leaves the key unset. Default: dict(type='ThermalVisualSaliency').
        vis (dict | BaseMaskGenerator | None): The same for the visible mask.
        cache_dir (str | Path | None): Root folder of the on-disk cache
            (:class:`mmsgdfuse.masks.MaskCache`); None computes every time. Default: None.
    """

    def __init__(
        self,
        ir: dict[str, Any] | BaseMaskGenerator | None = DEFAULT_GENERATOR,
        vis: dict[str, Any] | BaseMaskGenerator | None = DEFAULT_GENERATOR,
        cache_dir: str | Path | None = None,
    ) -> None:
        self.generators: dict[str, CachedMaskGenerator] = {}
        shared: list[tuple[Any, CachedMaskGenerator]] = []
        for key, cfg in zip(MASK_KEYS, (ir, vis)):
            if cfg is None:
                continue
            # Equal configs share one generator, and with it the weights that it may hold.
            generator = next((built for known, built in shared if known == cfg), None)
            if generator is None:
                built = MASK_GENERATORS.build(cfg) if isinstance(cfg, dict) else cfg
                generator = CachedMaskGenerator(built, cache_dir)
                shared.append((cfg, generator))
            self.generators[key] = generator

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        for key, generator in self.generators.items():
            results[key] = generator(_as_uint8(results[_IMAGE_OF[key]]))[..., None]
        return results

    def __repr__(self) -> str:
        parts = [f'{key}={g.generator.settings}' for key, g in self.generators.items()]
        return f'{type(self).__name__}({", ".join(parts)})'


@TRANSFORMS.register_module()
class LoadMasks(BaseTransform):
    """Load masks that lie on disk, without the generator that made them.

    Required keys: ``ir``, ``vis``, ``ir_path``, ``vis_path``. Added keys: ``mask_ir``,
    ``mask_vis``, float32 (H, W, 1) in [0, 1].

    A folder with a ``settings.json`` is a cache (:class:`mmsgdfuse.masks.MaskCache`) and is
    searched by the image's pixels. Any other holds masks of your own: 8-bit grey files named like
    the image, '.png', 0..255 for 0..1; one of the levels 0 and 1 alone is taken for no and yes,
    with a warning.

    Args:
        ir (str | Path | None): Folder of the infrared masks; None leaves the key unset. Default:
            None.
        vis (str | Path | None): Folder of the visible masks; None leaves the key unset. Default:
            None.

    Raises:
        FileNotFoundError: A folder or a mask is missing.
        ImageFileError: A mask is a JPEG file, has colours or a palette, or is damaged.
        ValueError: Neither folder is given, or a mask's size is not the image's.
    """

    def __init__(self, ir: str | Path | None = None, vis: str | Path | None = None) -> None:
        if ir is None and vis is None:
            raise ValueError('LoadMasks needs the folder of the masks as ir, vis or both')
        self.folders = {
            key: Path(folder) for key, folder in zip(MASK_KEYS, (ir, vis)) if folder is not None
        }
        self._caches: dict[str, MaskCache | None] = {}
        for key, folder in self.folders.items():
            if not folder.is_dir():
                raise FileNotFoundError(
                    f'{folder}: no such folder of masks; make one with tools/generate_masks.py'
                )
            is_cache = (folder / 'settings.json').is_file()
            self._caches[key] = MaskCache.open(folder) if is_cache else None

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        for key, cache in self._caches.items():
            image = _IMAGE_OF[key]
            path = Path(results[f'{image}_path'])
            if cache is None:
                mask = self._read(self.folders[key] / f'{path.stem}.png')
            else:
                mask = cache.load(_as_uint8(results[image]))
            if mask is None:
                raise FileNotFoundError(
                    f'{path}: {self.folders[key]} holds no valid mask of this image; run '
                    'tools/generate_masks.py again, it makes what is missing'
                )
            if mask.shape != results[image].shape[:2]:
                raise InputError(
                    f'{path}: its mask is {mask.shape}, the image {results[image].shape[:2]}; '
                    'load masks before resizing or cropping'
                )
            results[key] = mask[..., None]
        return results

    @staticmethod
    def _read(path: Path) -> np.ndarray | None:
        if not path.is_file():
            others = [
                each
                for each in sorted(path.parent.glob(f'{glob.escape(path.stem)}.*'))
                if each.suffix.lower() in _LOSSY
            ]
            if others:
                raise ImageFileError(
                    f'{others[0]}: a mask must be a PNG file, since JPEG and WebP change its '
                    f'levels; save it as {path.name}, 8-bit grey'
                )
            return None
        probe_image(path)
        with Image.open(BytesIO(path.read_bytes())) as header:
            kind = header.mode
            if header.format != 'PNG':
                raise ImageFileError(
                    f'{path}: a mask must be a PNG file, found {header.format}; convert it, '
                    'renaming is not enough'
                )
        if kind != 'L':
            raise ImageFileError(
                f'{path}: a mask must be 8-bit grey with its level in 0..255, found '
                f'{_MODES.get(kind, kind)}; convert it to one grey channel'
            )
        return mask_levels(read_labels(path)[..., 0], str(path))

    def __repr__(self) -> str:
        parts = [f"{key}='{folder}'" for key, folder in self.folders.items()]
        return f'{type(self).__name__}({", ".join(parts)})'


@TRANSFORMS.register_module()
class LoadSemanticMasks(BaseTransform):
    """Make both masks from a map of class ids, such as a segmentation network's prediction.

    Required keys: ``ir``, ``vis``, ``vis_path``. Added keys: ``mask_ir``, ``mask_vis``, float32 (H,
    W, 1) in [0, 1].

    Every connected region of a wanted class is a segment; a composer turns the segments into the
    map. The same label map serves both images, each with its own classes and contrasts.

    Args:
        folder (str | Path): Folder of the label maps, 8-bit grey PNG files named like the visible
            image. A relative one is looked for beside the folder of the visible images. Default:
            'masks_mfnet'.
        ir_classes (Collection[int]): Ids that make the infrared mask.
            Default: (1, 2, 3), MFNet's car, person and bike: the warm ones.
        vis_classes (Collection[int]): Ids that make the visible mask.
            Default: (1, 2, 3, 4, 5, 6, 7, 8), all of MFNet's.
        min_area (int): Smaller regions, in pixels, are dropped. Default: 16.
        composer (str | dict): A composer, see :class:`mmsgdfuse.masks.BaseMaskGenerator`.
            Default: 'salience'.

    Raises:
        ImageFileError: The label map is missing, damaged, or not 8-bit grey.
        ValueError: Its size is not the images'.
    """

    def __init__(
        self,
        folder: str | Path = 'masks_mfnet',
        ir_classes: Collection[int] = (1, 2, 3),
        vis_classes: Collection[int] = (1, 2, 3, 4, 5, 6, 7, 8),
        min_area: int = 16,
        composer: str | dict[str, Any] = 'salience',
    ) -> None:
        self.folder = Path(folder)
        self.classes = dict(zip(MASK_KEYS, (tuple(ir_classes), tuple(vis_classes))))
        self.min_area = min_area
        self.composer = build_composer(composer)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        vis_path = Path(results['vis_path'])
        # An absolute folder replaces what stands before it.
        path = vis_path.parent.parent / self.folder / f'{vis_path.stem}.png'
        label_map = read_labels(path)
        for key in MASK_KEYS:
            image = results[_IMAGE_OF[key]]
            if label_map.shape[:2] != image.shape[:2]:
                raise InputError(
                    f'{path}: is {label_map.shape[:2]}, the image {image.shape[:2]}; load '
                    'label maps before resizing or cropping'
                )
            segments = label_segments(label_map, self.classes[key], self.min_area)
            add_contrast(segments, image)
            results[key] = self.composer(segments, image.shape[:2])[..., None]
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(folder='{self.folder}', classes={self.classes})"


@TRANSFORMS.register_module()
class RandomCropMasks(BaseTransform):
    """Put random crops of the images in place of the masks: the paper's variant without SAM.

    The paper (Table 3, I) replaces the masks by randomly cropped patches of the original images and
    says no more. Here a patch of random size and place is cut from each image's luma and enlarged
    to the frame.

    Required keys: ``ir``, ``vis``. Added or replaced keys: ``mask_ir``, ``mask_vis``, float32 (H,
    W, 1) in [0, 1].

    Args:
        scale (tuple[float, float]): Range of the patch's sides, in units of the frame's sides.
            Default: (0.25, 0.75).
        keys (Sequence[str]): Which masks. Default: ('mask_ir', 'mask_vis').
        seed (int | None): With a number, an image always gets the same patch, as measuring needs;
            None draws anew each time. Default: None.

    Raises:
        ValueError: ``scale`` or ``keys`` is out of range.
    """

    def __init__(
        self,
        scale: tuple[float, float] = (0.25, 0.75),
        keys: Sequence[str] = MASK_KEYS,
        seed: int | None = None,
    ) -> None:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f'scale must be 0 < low <= high <= 1, found {scale}')
        self.scale = tuple(scale)
        self.keys = _check_keys(keys)
        self.seed = seed

    def _draw(self, image: np.ndarray) -> np.ndarray:
        """Two shares for the size and two for the place, in 0..1."""
        if self.seed is None:
            return np.random.uniform(size=4)
        entropy = int(image_digest(_as_uint8(image)), 16)
        return np.random.default_rng([self.seed, entropy]).uniform(size=4)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        for key in self.keys:
            image = results[_IMAGE_OF[key]]
            shape = np.array(image.shape[:2])
            draw = self._draw(image)
            low, high = self.scale
            size = np.maximum(np.rint(shape * (low + (high - low) * draw[:2])), 1).astype(int)
            top, left = np.floor((shape - size + 1) * draw[2:]).astype(int)
            patch = as_luma(image)[top : top + size[0], left : left + size[1]]
            patch = cv2.resize(patch, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            results[key] = patch[..., None] / np.float32(255)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(scale={self.scale}, keys={self.keys}, seed={self.seed})'


@TRANSFORMS.register_module()
class DropMask(BaseTransform):
    """Turn masks off: a map of zeros, which says nothing stands out.

    With the default probability this is the paper's variant without infrared mask
    (``keys=['mask_ir']``) or without visible mask (``keys=['mask_vis']``).

    Required keys: ``ir``, ``vis``. Added or replaced keys: those in ``keys``, float32 (H, W, 1).

    Args:
        keys (Sequence[str]): Which masks. Default: ('mask_ir', 'mask_vis').
        prob (float): Probability of dropping, drawn for each mask. Default: 1.0.

    Raises:
        ValueError: ``keys`` or ``prob`` is out of range.
    """

    def __init__(self, keys: Sequence[str] = MASK_KEYS, prob: float = 1.0) -> None:
        _check_probability(prob=prob)
        self.keys = _check_keys(keys)
        self.prob = prob

    @cache_randomness
    def _dropped(self) -> list[str]:
        return [key for key in self.keys if np.random.uniform() < self.prob]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        for key in self._dropped():
            shape = results[_IMAGE_OF[key]].shape[:2]
            results[key] = np.zeros((*shape, 1), np.float32)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(keys={self.keys}, prob={self.prob})'


@TRANSFORMS.register_module()
class AugmentMasks(BaseTransform):
    """Perturb masks in training, so that a model works with other sources of masks.

    Generators differ in what they find, how tightly, and in the levels they give. So each mask is,
    independently,

    - dropped (all zeros) with ``drop_prob``, else
    - flattened to its union (1 wherever it is above 0) with ``flatten_prob``, else its levels are
      raised to a power between ``1 / max_gamma`` and ``max_gamma``;
    - dilated or eroded by 1 to ``max_radius`` pixels with ``morph_prob``;
    - moved by up to ``max_shift`` pixels in each direction.

    Required keys: those in ``keys``. Changed keys: the same.

    Args:
        drop_prob (float): Default: 0.1.
        flatten_prob (float): Default: 0.2.
        max_gamma (float): At least 1; 1 keeps the levels. Default: 2.0.
        morph_prob (float): Default: 0.5.
        max_radius (int): In pixels. Default: 3.
        max_shift (int): In pixels; 0 keeps the place. Default: 2.
        keys (Sequence[str]): Which masks. Default: ('mask_ir', 'mask_vis').

    Raises:
        ValueError: An argument is outside its range.
    """

    def __init__(
        self,
        drop_prob: float = 0.1,
        flatten_prob: float = 0.2,
        max_gamma: float = 2.0,
        morph_prob: float = 0.5,
        max_radius: int = 3,
        max_shift: int = 2,
        keys: Sequence[str] = MASK_KEYS,
    ) -> None:
        _check_probability(drop_prob=drop_prob, flatten_prob=flatten_prob, morph_prob=morph_prob)
        if max_gamma < 1:
            raise ValueError(f'max_gamma must be at least 1, found {max_gamma}')
        if max_radius < 1 or max_shift < 0:
            raise ValueError(
                'max_radius must be at least 1 and max_shift at least 0, '
                f'found {max_radius} and {max_shift}'
            )
        self.drop_prob = drop_prob
        self.flatten_prob = flatten_prob
        self.max_gamma = max_gamma
        self.morph_prob = morph_prob
        self.max_radius = max_radius
        self.max_shift = max_shift
        self.keys = _check_keys(keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        for key in self.keys:
            results[key] = self._augment(results[key][..., 0])[..., None]
        return results

    def _augment(self, mask: np.ndarray) -> np.ndarray:
        if np.random.uniform() < self.drop_prob:
            return np.zeros_like(mask)
        if np.random.uniform() < self.flatten_prob:
            mask = (mask > 0).astype(np.float32)
        else:
            mask = mask ** np.float32(self.max_gamma ** np.random.uniform(-1, 1))
        if np.random.uniform() < self.morph_prob:
            side = 2 * np.random.randint(1, self.max_radius + 1) + 1
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
            mask = (cv2.dilate if np.random.uniform() < 0.5 else cv2.erode)(mask, disc)
        down, right = np.random.randint(-self.max_shift, self.max_shift + 1, 2)
        return cv2.warpAffine(
            mask,
            np.array([[1, 0, right], [0, 1, down]], np.float32),
            mask.shape[::-1],
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(drop_prob={self.drop_prob}, '
            f'flatten_prob={self.flatten_prob}, max_gamma={self.max_gamma}, '
            f'morph_prob={self.morph_prob}, max_radius={self.max_radius}, '
            f'max_shift={self.max_shift}, keys={self.keys})'
        )

"""Fusing images with a trained model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mmsgdfuse.apis.arrays import as_image, as_mask
from mmsgdfuse.apis.recipe import Recipe
from mmsgdfuse.datasets.transforms import GenerateMasks, PackFusionInputs
from mmsgdfuse.masks import BaseMaskGenerator
from mmsgdfuse.models.fusers import BaseFuser, StudentFuser, load_fuser
from mmsgdfuse.models.fusers.sgdfuse import INFERENCE_MODES
from mmsgdfuse.registry import MASK_GENERATORS, SCOPE, TRANSFORMS
from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.utils.assets import DEFAULT_WEIGHTS, STUDENT_WEIGHTS
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.header_config import registered_name
from mmsgdfuse.utils.image_io import check_scaling, read_infrared, read_labels, read_visible
from mmsgdfuse.utils.weights import load_weights
from mmsgdfuse.visualization import fusion_panel

MIN_SIDE = 32
STUDENT = 'student'
MODES = (*INFERENCE_MODES, STUDENT)

Source = str | os.PathLike | np.ndarray
MaskSource = Source | None
Masks = Mapping[str, Any] | BaseMaskGenerator | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class FusionResult:
    """What fusing one pair gives; every array has the pair's size.

    Attributes:
        fused: Fused image, uint8 (H, W, 3), RGB.
        preliminary: Stage I image F1, uint8 (H, W, 3); ``None`` if the model makes none.
        mask_ir: Infrared mask, float32 (H, W) in [0, 1]; ``None`` if there was none.
        mask_vis: Visible mask in the same form.
        ir: Infrared image as it was fused, uint8 (H, W, 1).
        vis: Visible image as it was fused, uint8 (H, W, 3).
    """

    fused: np.ndarray
    preliminary: np.ndarray | None
    mask_ir: np.ndarray | None
    mask_vis: np.ndarray | None
    ir: np.ndarray
    vis: np.ndarray

    def panel(self, columns: int | None = None, tile_width: int | None = None) -> np.ndarray:
        """All images side by side, see :func:`~mmsgdfuse.visualization.fusion_panel`."""
        images = {name: image for name, image in vars(self).items() if image is not None}
        return fusion_panel(images, columns, tile_width)


class FusionInferencer:
    """Fuses infrared and visible images with a trained model.

    Without arguments this is the compact SGDFuse that ships with the package, with masks that
    need no weights of their own. The same pair, seed and weights give the same bytes on the
    same machine.

    Args:
        config: Where the model comes from: file of a training config, mmengine Config, or a
            model that is built and loaded already. Default: the config in the header of
            ``weights``, which every ``*.safetensors`` of this package has.
        weights: ``*.safetensors``, or checkpoint of tools/train.py (``*.pth``). Default: the
            shipped ones.
        device: 'cpu', 'cuda', 'cuda:1', ... Default: the GPU if there is one.
        mode: How SGDFuse infers, ``'features'``, ``'refine'`` or ``'sample'``, or ``'student'``:
            its student, a small network of its own weights, without masks and diffusion
            (docs/fuse.md compares them). Default: as the model is configured; 'features' for the
            shipped one.
        masks: Where the masks come from: a mask generator or its config, such as
            ``dict(type='SAMMaskGenerator', checkpoint='sam_vit_b.pth')``, for both images; or
            the config of a transform that adds them (``GenerateMasks``, ``LoadMasks``,
            ``DropMask``, ...), or a list of these. Default: as the model was tested in training;
            none for a student.
        mask_cache: Folder in which computed masks are kept. Default: they are not.
        seed: Seed of the diffusion noise. Default: as the model is configured, 0 for the shipped.
        num_steps: Sampling steps of 'refine' and 'sample'. Default: as the model is configured.
        start_timestep: Diffusion time (0-based) that 'refine' starts from. Default: as the model
            is configured.
        infrared_scaling: How 16-bit infrared files become 0..255: 'full', 'minmax' or
            'percentile', see :func:`~mmsgdfuse.utils.image_io.read_infrared`. Default 'full'.
        infrared_percentiles: Percentiles (0..100) of 'percentile'. Default (0.5, 99.5).

    Attributes:
        model (BaseFuser): The model, in evaluation mode.
        device (torch.device): Where it is.

    Raises:
        FileNotFoundError: The config or the weights are not there.
        ValueError: Model, weights and arguments do not fit each other; the message says how.

    Examples:
        >>> from mmsgdfuse.apis import FusionInferencer
        >>> from mmsgdfuse.datasets.synthetic import synthetic_scene
        >>> fuse_pair = FusionInferencer(device='cpu')
        >>> scene = synthetic_scene(size=(48, 64))
        >>> result = fuse_pair(scene.ir, scene.vis)
        >>> result.fused.shape, result.fused.dtype, result.mask_ir.shape
        ((48, 64, 3), dtype('uint8'), (48, 64))
        >>> bool((result.fused == fuse_pair(scene.ir, scene.vis).fused).all())
        True
    """

    def __init__(
        self,
        config: str | os.PathLike | Config | BaseFuser | None = None,
        weights: str | os.PathLike | None = None,
        device: str | torch.device | None = None,
        mode: str | None = None,
        masks: Masks | None = None,
        mask_cache: str | os.PathLike | None = None,
        seed: int | None = None,
        num_steps: int | None = None,
        start_timestep: int | None = None,
        infrared_scaling: str = 'full',
        infrared_percentiles: tuple[float, float] = (0.5, 99.5),
    ) -> None:
        check_scaling(infrared_scaling, infrared_percentiles)
        self.infrared_scaling = infrared_scaling
        self.infrared_percentiles = infrared_percentiles
        if device is None:
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.device = torch.device(device)
        self.model, configured = _load(config, weights, mode)
        _configure(
            self.model,
            inference_mode=mode,
            seed=seed,
            num_steps=num_steps,
            start_timestep=start_timestep,
        )
        self.model.eval().to(self.device)
        if masks is None and config is None:
            self._mask_transforms = _build_masks_of_header(configured, mask_cache, weights)
        else:
            self._mask_transforms = _build_masks(configured if masks is None else masks, mask_cache)
        self._pack = PackFusionInputs()

    def __call__(
        self, ir: Source, vis: Source, mask_ir: MaskSource = None, mask_vis: MaskSource = None
    ) -> FusionResult:
        """Fuse one pair.

        Args:
            ir: Infrared image: path, or array (H, W), (H, W, 1) or RGB (H, W, 3), uint8 or
                floating point in 0..255. Each side has 32 pixels or more.
            vis: Visible image of the same size in one of these forms.
            mask_ir: Infrared mask that replaces the generated one: path of an 8-bit grey file,
                or array (H, W) or (H, W, 1): bool, floating point in [0, 1], or uint8 in 0..255.
            mask_vis: Visible mask in the same form.

        Raises:
            ImageFileError: A file cannot be read.
            TypeError: An array has another dtype.
            ValueError: Sizes, channels or values are not as above.
        """
        return self._fuse([self._prepare(ir, vis, mask_ir, mask_vis)])[0]

    def batch(
        self, pairs: Iterable[Sequence[MaskSource]], batch_size: int = 1
    ) -> Iterator[FusionResult]:
        """Fuse many pairs, one result at a time, so that they need not fit into memory.

        Args:
            pairs: ``(ir, vis)`` or ``(ir, vis, mask_ir, mask_vis)`` per pair, as for a call.
            batch_size: Most pairs per pass through the network, which pays on a GPU only.
                Neighbours of equal size share a pass; arithmetic in another order may then
                move a grey level by one against a pair fused alone. Default 1.

        Raises:
            ValueError: ``batch_size`` is below 1. Otherwise as for a call.
        """
        if batch_size < 1:
            raise InputError(f'batch_size must be at least 1, found {batch_size}')
        waiting: list[dict[str, Any]] = []
        for pair in pairs:
            prepared = self._prepare(*pair)
            if waiting and (
                len(waiting) == batch_size or waiting[0]['img_shape'] != prepared['img_shape']
            ):
                yield from self._fuse(waiting)
                waiting = []
            waiting.append(prepared)
        if waiting:
            yield from self._fuse(waiting)

    def _prepare(
        self, ir: Any, vis: Any, mask_ir: MaskSource = None, mask_vis: MaskSource = None
    ) -> dict[str, Any]:
        """What a pipeline's ``results`` hold before packing."""
        images = dict(ir=self._infrared(ir), vis=_visible(vis))
        names = {key: _path_of(source) or key for key, source in dict(ir=ir, vis=vis).items()}
        shape = images['ir'].shape[:2]
        if images['vis'].shape[:2] != shape:
            raise InputError(
                f'{names["vis"]}: is {images["vis"].shape[:2]} (H, W), but {names["ir"]} is '
                f'{shape}; register the images to the same pixels'
            )
        if min(shape) < MIN_SIDE:
            raise InputError(
                f'{names["ir"]}: is {shape} (H, W); each side must have {MIN_SIDE} pixels or more'
            )
        results: dict[str, Any] = dict(
            images,
            ir_path=_path_of(ir),
            vis_path=_path_of(vis),
            name=Path(_path_of(vis)).name,
            ori_shape=shape,
            img_shape=shape,
        )
        if mask_ir is None or mask_vis is None:
            for transform in self._mask_transforms:
                results = transform(results)
        for key, mask in dict(mask_ir=mask_ir, mask_vis=mask_vis).items():
            if mask is not None:
                array = mask if isinstance(mask, np.ndarray) else read_labels(mask)
                results[key] = as_mask(_path_of(mask) or key, array, shape)
        return results

    def _infrared(self, ir: Source) -> np.ndarray:
        if isinstance(ir, np.ndarray):
            return as_image('ir', ir, 1)
        return read_infrared(ir, self.infrared_scaling, self.infrared_percentiles)

    def _fuse(self, prepared: list[dict[str, Any]]) -> list[FusionResult]:
        batch = pseudo_collate([self._pack(results) for results in prepared])
        with torch.inference_mode(), _repeatable(self.device):
            data = self.model.data_preprocessor(batch, False)
            inputs = {
                name: image.to(memory_format=torch.channels_last)
                for name, image in data['inputs'].items()
            }
            samples = self.model(inputs, data['data_samples'], mode='predict')
        return [_to_result(results, sample) for results, sample in zip(prepared, samples)]


def fuse(ir: Source, vis: Source, **kwargs: Any) -> np.ndarray:
    """Fuse one pair; for more than one, keep a :class:`FusionInferencer`.

    Args:
        ir: Infrared image: path or array, see :meth:`FusionInferencer.__call__`.
        vis: Visible image of the same size.
        **kwargs: Arguments of :class:`FusionInferencer`.

    Returns:
        The fused image, uint8 (H, W, 3), RGB.
    """
    return FusionInferencer(**kwargs)(ir, vis).fused


def _load(
    config: str | os.PathLike | Config | BaseFuser | None,
    weights: str | os.PathLike | None,
    mode: str | None,
) -> tuple[BaseFuser, list[dict[str, Any]]]:
    """The model, and the configs of the masks that belong to it."""
    if isinstance(config, BaseFuser):
        if weights is not None:
            load_weights(config, weights)
        return config, [dict(type='GenerateMasks')] if config.needs_masks else []
    if config is not None:
        if weights is None:
            raise InputError(
                'a config alone has no weights; give weights=, a *.safetensors or *.pth file '
                'trained with this config'
            )
        recipe = Recipe.from_config(config)
    else:
        weights = _shipped_weights(mode) if weights is None else weights
        recipe = Recipe.from_file(weights)
        return load_fuser(weights=weights).eval(), recipe.masks
    return recipe.build_model(weights), recipe.masks


def _shipped_weights(mode: str | None) -> Path:
    path, config = DEFAULT_WEIGHTS, 'sgdfuse-compact_ivif'
    if mode == STUDENT:
        path, config = STUDENT_WEIGHTS, 'sgdfuse-student_ivif'
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: the weights that ship with the package are missing; install it again, or '
            f'train some (python tools/train.py configs/{config}.py), export them '
            '(tools/model_converters/export_weights.py) and give the file as weights'
        )
    return path


def _configure(model: BaseFuser, **options: Any) -> None:
    """Set those options that are not None."""
    mode = options['inference_mode']
    if mode is not None and mode not in MODES:
        raise InputError(f'mode must be one of {MODES}, found {mode!r}')
    if mode == STUDENT:
        if not isinstance(model, StudentFuser):
            raise InputError(
                f"mode 'student' is a network of its own, found {type(model).__name__}; give a "
                "student's weights, or none for the student that ships with the package"
            )
        options['inference_mode'] = None
    for name, value in options.items():
        if value is None:
            continue
        if not hasattr(model, name):
            raise InputError(f'{type(model).__name__} has no {name}; leave that argument out')
        setattr(model, name, value)


def _build_masks(
    masks: Masks, cache_dir: str | os.PathLike | None
) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
    if isinstance(masks, BaseMaskGenerator):
        return [GenerateMasks(masks, masks, None if cache_dir is None else Path(cache_dir))]
    transforms = []
    for entry in [masks] if isinstance(masks, Mapping) else masks:
        cfg = dict(entry)
        if registered_name(cfg['type'], MASK_GENERATORS) is not None:
            cfg = dict(type='GenerateMasks', ir=cfg, vis=cfg)
        if cfg['type'].rsplit('.', 1)[-1] == 'GenerateMasks':
            cfg['cache_dir'] = cache_dir
        transforms.append(TRANSFORMS.build(dict(cfg, _scope_=SCOPE)))
    return transforms


def _build_masks_of_header(
    masks: Masks, cache_dir: str | os.PathLike | None, weights: object
) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
    try:
        return _build_masks(masks, cache_dir)
    except (AttributeError, KeyError, TypeError) as error:  # any arguments may stand there
        raise ValueError(
            f"{weights}: the header's masks cannot be built ({type(error).__name__}: {error}); "
            'give masks of your own, or export the weights again'
        ) from error


def _visible(vis: Source) -> np.ndarray:
    return as_image('vis', vis, 3) if isinstance(vis, np.ndarray) else read_visible(vis)


def _path_of(source: Source) -> str:
    """Path of a file, '' for an array."""
    return '' if isinstance(source, np.ndarray) else os.fspath(source)


def _repeatable(device: torch.device) -> AbstractContextManager:
    """Context in which a GPU gives the same bytes twice; a CPU does so anyway."""
    if device.type != 'cuda':
        return nullcontext()
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32
    )


def _to_result(results: dict[str, Any], sample: FusionDataSample) -> FusionResult:
    images: dict[str, np.ndarray | None] = {}
    for name in ('fused', 'preliminary'):
        image = sample.get(name)
        images[name] = None if image is None else image.permute(1, 2, 0).contiguous().cpu().numpy()
    for name in ('mask_ir', 'mask_vis'):
        mask = results.get(name)
        images[name] = None if mask is None else mask[..., 0]
    for name in ('ir', 'vis'):
        image = results[name]
        # rint makes 8-bit integers half-precision numbers, which is slow
        images[name] = image.copy() if image.dtype == np.uint8 else np.rint(image).astype(np.uint8)
    return FusionResult(**images)  # type: ignore[arg-type]

"""Fusing images with a trained model."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image

from mmsgdfuse.apis.arrays import (
    is_path,
    load_infrared,
    load_mask,
    load_visible,
)
from mmsgdfuse.apis.recipe import Recipe
from mmsgdfuse.datasets.transforms import GenerateMasks, PackFusionInputs
from mmsgdfuse.io import (
    AS_STORED,
    FalseColourError,
    InfraredReader,
    LoadedImage,
    RangeMapping,
    VisibleReader,
    explain_swap,
)
from mmsgdfuse.io.images import write_image
from mmsgdfuse.masks import BaseMaskGenerator
from mmsgdfuse.models.fusers import BaseFuser, StudentFuser, load_fuser
from mmsgdfuse.models.fusers.sgdfuse import INFERENCE_MODES
from mmsgdfuse.models.restoration import PairRestorer, load_restorer
from mmsgdfuse.registration import Grid, PairAligner, RigSource, fill_outside
from mmsgdfuse.registry import MASK_GENERATORS, SCOPE, TRANSFORMS
from mmsgdfuse.structures import FusionDataSample
from mmsgdfuse.utils.assets import DEFAULT_WEIGHTS, STUDENT_WEIGHTS
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.header_config import registered_name
from mmsgdfuse.utils.weights import load_weights
from mmsgdfuse.visualization import fusion_panel

MIN_SIDE = 32
STUDENT = 'student'
MODES = (*INFERENCE_MODES, STUDENT)

Source = str | os.PathLike | np.ndarray | torch.Tensor | Image.Image
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
        ir_mapping: How the infrared values became grey levels; its ``low`` and ``high`` given as
            ``reading=dict(range=(low, high))`` reproduce the picture.
        notices: What was noticed about the sources, a sentence each.
        valid: bool (H, W), where both cameras see something; ``None`` without a rig. Elsewhere
            ``fused`` is the image of the camera whose grid it is.
    """

    fused: np.ndarray
    preliminary: np.ndarray | None
    mask_ir: np.ndarray | None
    mask_vis: np.ndarray | None
    ir: np.ndarray
    vis: np.ndarray
    ir_mapping: RangeMapping = AS_STORED
    notices: tuple[str, ...] = ()
    valid: np.ndarray | None = None

    def save(self, path: str | os.PathLike) -> None:
        """Write the fused image; the suffix gives the format, PNG loses nothing.

        Raises:
            ValueError: The suffix is that of no image format.
        """
        write_image(path, self.fused)

    def panel(self, columns: int | None = None, tile_width: int | None = None) -> np.ndarray:
        """All images side by side, see :func:`~mmsgdfuse.visualization.fusion_panel`."""
        arrays = {n: image for n, image in vars(self).items() if isinstance(image, np.ndarray)}
        images = {n: image for n, image in arrays.items() if n != 'valid'}
        return fusion_panel(images, columns, tile_width)


class FusionInferencer:
    """Fuses infrared and visible images with a trained model.

    Without arguments this is the compact SGDFuse that ships with the package, with masks that
    need no weights of their own. The same pair, seed and weights give the same bytes on the
    same machine with the same number of threads.

    Args:
        config: Where the model comes from: file of a training config, mmengine Config, or a
            model that is built and loaded already, which is used and never changed: the other
            arguments hold for this inferencer's calls alone. Default: the config in the header of
            ``weights``, which every ``*.safetensors`` of this package has.
        weights: ``*.safetensors``, or checkpoint of tools/train.py (``*.pth``). Default: the
            shipped ones.
        device: 'cpu', 'cuda', 'cuda:1', ... Default: where a given model is, else the GPU if there
            is one. A given model is copied to another device.
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
        emphasis: How strongly masked things are lifted: the masks are multiplied by it and cut at
            1. 1 is as trained, 0 fuses as if nothing stood out. Default 1.
        seed: Seed of the diffusion noise. Default: as the model is configured, 0 for the shipped.
        num_steps: Sampling steps of 'refine' and 'sample'. Default: as the model is configured.
        start_timestep: Diffusion time (0-based) that 'refine' starts from. Default: as the model
            is configured.
        infrared_scaling: How infrared of more than 8 bits becomes 0..255: 'auto', 'full', 'minmax'
            or 'percentile', see :func:`~mmsgdfuse.io.thermal_range.find_range`. Default 'auto'.
        infrared_percentiles: Percentiles (0..100) of 'percentile'. Default (0.5, 99.5).
        reading: How infrared is read beyond that: ``range``, ``scope``, ``polarity``, ``palette``
            and ``raw`` of :class:`~mmsgdfuse.io.InfraredReader`. Default: its defaults.
        visible_bits: Bits per sample that visible images of 16 bits use, 8 to 16. Default: told
            from each image.
        value_range: Values that mean black and white in floating-point arrays, such as (0, 1).
            Default (0, 255); arrays within 0..1 are then refused.
        restore: Whether noise, stripes and blur are removed from both images before the masks are
            made and the pair is fused; or ``*.safetensors`` of another ``PairRestorer``. Default
            False.
        rig: How the pixels of the two cameras correspond, for pairs that are not registered: path
            of a rig's file, :class:`~mmsgdfuse.registration.Rig`, homography (3, 3) from infrared
            to visible pixels, or ``'auto'``: each pair is registered alone. Default: pairs are
            registered and have one size.
        grid: With a rig, whose pixels the result has: ``'visible'`` or ``'infrared'``. Default
            ``'visible'``.
        seam: With a rig, pixels over which the fused image passes into that of one camera alone,
            at the border of what both see. Default 24.

    Attributes:
        model (BaseFuser): The model with this inferencer's options; of a given one it shares the
            weights.
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
        infrared_scaling: str = 'auto',
        infrared_percentiles: tuple[float, float] = (0.5, 99.5),
        reading: Mapping[str, Any] | InfraredReader | None = None,
        visible_bits: int | None = None,
        value_range: tuple[float, float] | None = None,
        restore: bool | str | os.PathLike = False,
        rig: RigSource | None = None,
        grid: Grid = 'visible',
        seam: float = 24,
        emphasis: float = 1,
    ) -> None:
        if not 0 <= emphasis < float('inf'):
            raise InputError(f'emphasis must be a number of at least 0, found {emphasis}')
        self.emphasis = emphasis
        self.reader = InfraredReader.from_options(
            reading, scaling=infrared_scaling, percentiles=infrared_percentiles
        )
        if value_range is not None and not value_range[0] < value_range[1]:
            raise InputError(
                f'value_range must be (low, high), low below high, found {value_range}'
            )
        self.value_range = value_range
        self._visible = VisibleReader(visible_bits)
        self._align = None if rig is None else PairAligner(rig, grid)
        if seam < 0:
            raise InputError(f'seam must be at least 0 pixels, found {seam}')
        self.seam = seam
        self._grid_key = 'vis' if grid == 'visible' else 'ir'
        self.device = _choose_device(device, config)
        self.model, configured = _load(config, weights, mode, self.device)
        _configure(
            self.model,
            inference_mode=mode,
            seed=seed,
            num_steps=num_steps,
            start_timestep=start_timestep,
        )
        if masks is None and config is None:
            self._mask_transforms = _build_masks_of_header(configured, mask_cache, weights)
        else:
            self._mask_transforms = _build_masks(configured if masks is None else masks, mask_cache)
        self._pack = PackFusionInputs()
        self.restorer: PairRestorer | None = None
        if restore:
            self.restorer = load_restorer(None if restore is True else restore).to(self.device)

    def __call__(
        self, ir: Source, vis: Source, mask_ir: MaskSource = None, mask_vis: MaskSource = None
    ) -> FusionResult:
        """Fuse one pair.

        Args:
            ir: Infrared image: path; array (H, W), (H, W, 1) or RGB (H, W, 3), uint8, uint16,
                int16, or floating point in 0..255 or ``value_range``; torch tensor of these,
                (H, W), (C, H, W) or (H, W, C); or PIL image. Each side has 32 pixels or more.
            vis: Visible image in one of these forms; of the same size, unless there is a rig.
            mask_ir: Infrared mask that replaces the generated one: path of an 8-bit grey file,
                or array, tensor or PIL image of one channel: bool, floating point in [0, 1], or
                uint8 in 0..255; where its only levels are 0 and 1, 1 is all of it.
            mask_vis: Visible mask in the same form.

        Raises:
            ImageFileError: A file cannot be read.
            TypeError: An image is of another type or dtype.
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
        loaded = self._read_pair(ir, vis)
        images = {key: image.pixels for key, image in loaded.items()}
        names = {key: _path_of(source) or key for key, source in dict(ir=ir, vis=vis).items()}
        valid = None
        if self._align is not None:
            try:
                images['ir'], images['vis'], valid = self._align(images['ir'], images['vis'])
            except InputError as error:
                raise type(error)(f'{names["ir"]}: {error}') from error
        shape = images['ir'].shape[:2]
        if images['vis'].shape[:2] != shape:
            raise InputError(
                f'{names["vis"]}: is {images["vis"].shape[:2]} (H, W), but {names["ir"]} is '
                f'{shape}; give rig= (--rig FILE, --register) if they are not registered'
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
            valid=valid,
            ir_mapping=loaded['ir'].mapping,
            notices=tuple(
                f'{name}: {notice}'
                for key, name in dict(ir='infrared', vis='visible').items()
                for notice in loaded[key].notices
            ),
        )
        if self.restorer is not None:
            results.update(self._restore(images))
        if mask_ir is None or mask_vis is None:
            for transform in self._mask_transforms:
                results = transform(results)
        for key, mask in dict(mask_ir=mask_ir, mask_vis=mask_vis).items():
            if mask is not None:
                results[key] = load_mask(key, mask, shape)
        if self.emphasis != 1:
            for key in results.keys() & {'mask_ir', 'mask_vis'}:
                results[key] = np.minimum(results[key] * np.float32(self.emphasis), 1)
        return results

    def _restore(self, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The pair without noise, stripes and blur, uint8 (H, W, 1) and (H, W, 3)."""
        assert self.restorer is not None
        batch = pseudo_collate([self._pack(dict(images))])
        with torch.inference_mode(), _repeatable(self.device):
            data = self.restorer.data_preprocessor(batch, False)
            (sample,) = self.restorer(data['inputs'], data['data_samples'], mode='predict')
        return {
            key: getattr(sample, f'restored_{key}').permute(1, 2, 0).cpu().numpy()
            for key in ('ir', 'vis')
        }

    def _read_pair(self, ir: Source, vis: Source) -> dict[str, LoadedImage]:
        visible = load_visible(vis, self._visible, self.value_range)
        try:
            infrared = load_infrared(ir, self.reader, self.value_range)
        except FalseColourError as error:
            raise explain_swap(error, visible.pixels, _path_of(vis) or 'vis') from None
        return dict(ir=infrared, vis=visible)

    def _fuse(self, prepared: list[dict[str, Any]]) -> list[FusionResult]:
        batch = pseudo_collate([self._pack(results) for results in prepared])
        with torch.inference_mode(), _repeatable(self.device), _evaluating(self.model):
            data = self.model.data_preprocessor(batch, False)
            inputs = {
                name: image.to(memory_format=torch.channels_last)
                for name, image in data['inputs'].items()
            }
            samples = self.model(inputs, data['data_samples'], mode='predict')
        return [_to_result(*each, self.seam, self._grid_key) for each in zip(prepared, samples)]


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
    device: torch.device,
) -> tuple[BaseFuser, list[dict[str, Any]]]:
    """The model, and the configs of the masks that belong to it."""
    if isinstance(config, BaseFuser):
        if weights is not None or _device_of(config) != device:
            model = copy.deepcopy(config).to(device)
            if weights is not None:
                load_weights(model, weights)
        else:
            # a copy of the root alone: attributes of its own, and the caller's weights
            model = copy.copy(config)
        return model, [dict(type='GenerateMasks')] if config.needs_masks else []
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
        return load_fuser(weights=weights).eval().to(device), recipe.masks
    return recipe.build_model(weights).eval().to(device), recipe.masks


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
        raise InputError(
            f"{weights}: the header's masks cannot be built ({type(error).__name__}: {error}); "
            'give masks of your own, or export the weights again'
        ) from error


def _path_of(source: Any) -> str:
    """Path of a file, '' for anything else."""
    return os.fspath(source) if is_path(source) else ''


def _choose_device(device: str | torch.device | None, config: Any) -> torch.device:
    if device is None and isinstance(config, BaseFuser):
        return _device_of(config)
    device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    if device.type == 'cuda' and device.index is None:  # as a model's own device reads
        device = torch.device('cuda', torch.cuda.current_device())
    return device


def _device_of(model: BaseFuser) -> torch.device:
    """Where a model is; a rule without weights is on the CPU."""
    return next((weight.device for weight in model.parameters()), torch.device('cpu'))


@contextmanager
def _evaluating(model: BaseFuser) -> Iterator[None]:
    """Evaluation mode for one call; a model that is being trained goes on as it was."""
    modes = [(module, module.training) for module in model.modules()]
    if not any(training for _, training in modes):
        yield
        return
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _repeatable(device: torch.device) -> AbstractContextManager:
    """Context in which a GPU gives the same bytes twice; a CPU does so anyway."""
    if device.type != 'cuda':
        return nullcontext()
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32
    )


def _to_result(
    results: dict[str, Any], sample: FusionDataSample, seam: float, grid_key: str
) -> FusionResult:
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
    valid = results['valid']
    if valid is not None:
        for name in ('fused', 'preliminary'):
            image, other = images[name], images[grid_key]
            if image is not None and other is not None:
                images[name] = fill_outside(image, other, valid, seam)
    kept = {name: results[name] for name in ('ir_mapping', 'notices', 'valid')}
    return FusionResult(**images, **kept)  # type: ignore[arg-type]

"""Fusing images with a trained model."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmsgdfuse.apis.arrays import (
    is_path,
    load_infrared,
    load_mask,
    load_visible,
)
from mmsgdfuse.apis.light_masks import MaskStep
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
from mmsgdfuse.runtime.onnx_runner import OnnxRunner, Provider
from mmsgdfuse.runtime.runner import Runner
from mmsgdfuse.runtime.tiling import WHOLE, choose_tile, fuse_tiled
from mmsgdfuse.utils.assets import (
    DEFAULT_ONNX,
    DEFAULT_WEIGHTS,
    STUDENT_ONNX,
    STUDENT_WEIGHTS,
)
from mmsgdfuse.utils.compat import require
from mmsgdfuse.utils.errors import InputError, MMSGDFuseError
from mmsgdfuse.utils.threads import map_ahead

if TYPE_CHECKING:
    import torch
    from mmengine.config import Config

    from mmsgdfuse.apis.torch_model import Restoring
    from mmsgdfuse.models.fusers import BaseFuser
    from mmsgdfuse.registration import Grid, PairAligner, RigSource

MIN_SIDE = 32
STUDENT = 'student'
MODES = ('features', 'refine', 'sample', STUDENT)
TORCH, ONNX = 'torch', 'onnxruntime'
BACKENDS = (TORCH, ONNX)

Source = Any  # a path, a numpy array, a torch tensor or a PIL image
MaskSource = Any  # the same, or None
Masks = Mapping[str, Any] | BaseMaskGenerator | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class FusionResult:
    """What fusing one pair gives; every array has the pair's size.

    Attributes:
        fused: Fused image, uint8 (H, W, 3), RGB.
        preliminary: Stage I image F1, uint8 (H, W, 3); ``None`` if the model makes none.
        mask_ir: Infrared mask, float32 (H, W) in [0, 1]; ``None`` if there was none.
        mask_vis: Visible mask in the same form.
        ir: Infrared image as it was fused, uint8 (H, W, 1). Of more than 2.5 million pixels, it
            and ``vis`` may be the caller's own arrays.
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
        from mmsgdfuse.visualization import fusion_panel

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
        backend: ``'torch'`` or ``'onnxruntime'``, which needs no torch and runs exported models
            (docs/runtimes.md). Default: 'onnxruntime' for ``weights`` that end in ``.onnx`` and
            where torch is not installed, else 'torch'.
        providers: Execution providers of ONNX Runtime, the preferred one first. Default: the
            CPU's.
        tile: Side, in pixels, of the tiles in which an image is fused, a multiple of 32; 0 fuses
            whole images. Default: 768 for images of more than 2.5 million pixels.
        seam: With a rig, pixels over which the fused image passes into that of one camera alone,
            at the border of what both see. Default 24.

    Attributes:
        backend (str): What runs the model.
        runner (Runner): The model in that backend.
        model (BaseFuser | None): The model with this inferencer's options; of a given one it
            shares the weights. ``None`` with 'onnxruntime'.
        device (torch.device | str): Where it is.

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
        backend: str | None = None,
        providers: Sequence[Provider] | None = None,
        tile: int | None = None,
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
        self._align: PairAligner | None = None
        if rig is not None:
            from mmsgdfuse.registration import PairAligner  # scipy.optimize takes half a second

            self._align = PairAligner(rig, grid)
        if seam < 0:
            raise InputError(f'seam must be at least 0 pixels, found {seam}')
        self.seam = seam
        self._grid_key = 'vis' if grid == 'visible' else 'ir'
        choose_tile((1, 1), tile)
        self.tile = tile
        self.backend = _choose_backend(backend, weights, providers)
        if mode is not None and mode not in MODES:
            raise InputError(f'mode must be one of {MODES}, found {mode!r}')
        self.model: BaseFuser | None = None
        self.restorer: Restoring | None = None
        self.runner: Runner
        if self.backend == ONNX:
            self.device: Any = 'cpu' if providers is None else 'providers'
            refused = dict(
                config=config, device=device, num_steps=num_steps, start_timestep=start_timestep
            )
            refused['restore'] = restore or None
            self._load_onnx(weights, mode, masks, mask_cache, providers, seed, refused)
            return
        options = dict(
            inference_mode=mode, seed=seed, num_steps=num_steps, start_timestep=start_timestep
        )
        self._load_torch(config, weights, device, masks, mask_cache, restore, options)

    def _load_onnx(
        self,
        weights: str | os.PathLike | None,
        mode: str | None,
        masks: Masks | None,
        mask_cache: str | os.PathLike | None,
        providers: Sequence[Provider] | None,
        seed: int | None,
        refused: dict[str, Any],
    ) -> None:
        for name, value in refused.items():
            if value is not None:
                raise InputError(f"backend='onnxruntime' takes no {name}; use backend='torch'")
        path = _shipped(mode, STUDENT_ONNX, DEFAULT_ONNX) if weights is None else Path(weights)
        if path.suffix != '.onnx':
            raise InputError(
                f'{path}: onnxruntime runs *.onnx; export the weights with mmsgdfuse export'
            )
        runner = OnnxRunner(path, providers, seed=seed)
        if mode not in (None, runner.contract.mode):
            raise InputError(
                f'{path}: was exported in the mode {runner.contract.mode!r}, not {mode!r}'
            )
        self.runner = runner
        steps = runner.contract.masks if masks is None else masks
        self._mask_transforms = MaskStep.build_all(steps, mask_cache, path, masks is None)

    def _load_torch(
        self,
        config: Any,
        weights: str | os.PathLike | None,
        device: Any,
        masks: Masks | None,
        mask_cache: str | os.PathLike | None,
        restore: bool | str | os.PathLike,
        options: dict[str, Any],
    ) -> None:
        require("backend='torch'", 'torch', 'mmengine', 'mmcv')
        from mmsgdfuse.apis import torch_model
        from mmsgdfuse.runtime.torch_runner import TorchRunner

        self.device = torch_model.choose_device(device, config)
        if config is None and weights is None:
            weights = _shipped_weights(options['inference_mode'])
        self.model, configured = torch_model.load_model(config, weights, self.device)
        torch_model.configure(self.model, **options)
        self.runner = TorchRunner(self.model, self.device)
        if masks is None and config is None:
            self._mask_transforms = torch_model.build_masks_of_header(
                configured, mask_cache, weights
            )
        else:
            self._mask_transforms = torch_model.build_masks(
                configured if masks is None else masks, mask_cache
            )
        if restore:
            source = None if restore is True else restore
            self.restorer = torch_model.Restoring(source, self.device)

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
        self,
        pairs: Iterable[Sequence[MaskSource]],
        batch_size: int = 1,
        on_error: Literal['raise', 'yield'] = 'raise',
        prefetch: int = 0,
    ) -> Generator[Any, None, None]:
        """Fuse many pairs, one result at a time, so that they need not fit into memory.

        Args:
            pairs: ``(ir, vis)`` or ``(ir, vis, mask_ir, mask_vis)`` per pair, as for a call.
            batch_size: Most pairs per pass through the network, which pays on a GPU only.
                Neighbours of equal size share a pass; arithmetic in another order may then
                move a grey level by one against a pair fused alone. Default 1.
            on_error: ``'raise'`` (default), or ``'yield'``: a pair that cannot be used gives its
                error in place of a result, and the rest goes on.
            prefetch: How many pairs a thread reads and makes masks of ahead. Default 0.

        Yields:
            :class:`FusionResult` per pair, in order; with ``on_error='yield'`` or the error.

        Raises:
            ValueError: An argument is not valid. Otherwise as for a call.
        """
        if batch_size < 1:
            raise InputError(f'batch_size must be at least 1, found {batch_size}')
        if on_error not in ('raise', 'yield'):
            raise InputError(f"on_error must be 'raise' or 'yield', found {on_error!r}")

        def prepare(pair: Sequence[MaskSource]) -> dict[str, Any] | Exception:
            try:
                return self._prepare(*pair)
            except (MMSGDFuseError, OSError) as error:
                if on_error == 'raise':
                    raise
                return error

        waiting: list[dict[str, Any]] = []
        for prepared in map_ahead(prepare, pairs, prefetch):
            if waiting and (
                len(waiting) == batch_size
                or isinstance(prepared, Exception)
                or waiting[0]['img_shape'] != prepared['img_shape']
            ):
                yield from self._fuse_or_error(waiting, on_error)
                waiting = []
            if isinstance(prepared, Exception):
                yield prepared
            else:
                waiting.append(prepared)
        if waiting:
            yield from self._fuse_or_error(waiting, on_error)

    def _fuse_or_error(self, prepared: list[dict[str, Any]], on_error: str) -> list[Any]:
        try:
            return list(self._fuse(prepared))
        except (MMSGDFuseError, RuntimeError) as error:
            # torch's class, which has a name without importing torch
            expected = isinstance(error, MMSGDFuseError) or 'OutOfMemory' in type(error).__name__
            if on_error == 'raise' or not expected:
                raise
            return [error] * len(prepared)

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
            results.update(self.restorer(images))
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

    def _read_pair(self, ir: Source, vis: Source) -> dict[str, LoadedImage]:
        visible = load_visible(vis, self._visible, self.value_range)
        try:
            infrared = load_infrared(ir, self.reader, self.value_range)
        except FalseColourError as error:
            raise explain_swap(error, visible.pixels, _path_of(vis) or 'vis') from None
        return dict(ir=infrared, vis=visible)

    def _fuse(self, prepared: list[dict[str, Any]]) -> list[FusionResult]:
        names: list[str] = [n for n in ('ir', 'vis', 'mask_ir', 'mask_vis') if n in prepared[0]]
        tile = choose_tile(prepared[0]['img_shape'], self.tile)
        if tile:
            found = [
                fuse_tiled(self.runner, {name: each[name] for name in names}, tile)
                for each in prepared
            ]
        else:
            batch = {name: np.stack([each[name] for each in prepared]) for name in names}
            images = self.runner.run(batch).images
            found = [{n: image[i] for n, image in images.items()} for i in range(len(prepared))]
        return [_to_result(*each, self.seam, self._grid_key) for each in zip(prepared, found)]


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


def _choose_backend(backend: str | None, weights: Any, providers: Sequence[Provider] | None) -> str:
    if backend is None:
        exported = is_path(weights) and os.fspath(weights).endswith('.onnx')
        wanted = exported or providers is not None or not _has_torch()
        return ONNX if wanted else TORCH
    if backend not in BACKENDS:
        raise InputError(f'backend must be one of {BACKENDS}, found {backend!r}')
    if backend == TORCH and providers is not None:
        raise InputError("providers are onnxruntime's; give backend='onnxruntime' with them")
    return backend


def _has_torch() -> bool:
    try:
        return 'torch' in sys.modules or find_spec('torch') is not None
    except ImportError:  # a finder refuses it
        return False


def _shipped_weights(mode: str | None) -> Path:
    return _shipped(mode, STUDENT_WEIGHTS, DEFAULT_WEIGHTS)


def _shipped(mode: str | None, student: Path, default: Path) -> Path:
    path, config = default, 'sgdfuse-compact_ivif'
    if mode == STUDENT:
        path, config = student, 'sgdfuse-student_ivif'
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: the weights that ship with the package are missing; install it again, or '
            f'train some (python tools/train.py configs/{config}.py), export them '
            '(tools/model_converters/export_weights.py) and give the file as weights'
        )
    return path


def _path_of(source: Any) -> str:
    """Path of a file, '' for anything else."""
    return os.fspath(source) if is_path(source) else ''


def _to_result(
    results: dict[str, Any], found: dict[str, np.ndarray], seam: float, grid_key: str
) -> FusionResult:
    images: dict[str, np.ndarray | None] = dict(fused=None, preliminary=None) | found
    for name in ('mask_ir', 'mask_vis'):
        mask = results.get(name)
        images[name] = None if mask is None else mask[..., 0]
    for name in ('ir', 'vis'):
        image = results[name]
        # rint makes 8-bit integers half-precision numbers, which is slow
        if image.dtype != np.uint8:
            image = np.rint(image).astype(np.uint8)
        elif image.shape[0] * image.shape[1] <= WHOLE:
            image = image.copy()
        images[name] = image
    valid = results['valid']
    if valid is not None:
        from mmsgdfuse.registration import fill_outside

        for name in ('fused', 'preliminary'):
            image, other = images[name], images[grid_key]
            if image is not None and other is not None:
                images[name] = fill_outside(image, other, valid, seam)
    kept = {name: results[name] for name in ('ir_mapping', 'notices', 'valid')}
    return FusionResult(**images, **kept)  # type: ignore[arg-type]

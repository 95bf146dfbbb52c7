"""Writing a trained fuser as one ONNX graph."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmsgdfuse.apis.recipe import Recipe
from mmsgdfuse.models.fusers import BaseFuser, SGDFuse, StudentFuser, load_fuser
from mmsgdfuse.models.fusers.base import to_uint8
from mmsgdfuse.models.statistics import Statistics, whole_image_statistics
from mmsgdfuse.runtime.contract import FORMAT, Contract
from mmsgdfuse.utils.assets import DEFAULT_WEIGHTS
from mmsgdfuse.utils.compat import require
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.files import atomic_path
from mmsgdfuse.version import __version__

OPSET = 20
_EXAMPLE = (2, 64, 96)  # N, H, W
_SMALL = 64  # values of an initializer that is not worth storing in fewer bytes


class FusionGraph(nn.Module):
    """A fuser with all that lies between arrays and the fused image.

    Padding, scaling to [-1, 1], luma, networks, colour, rounding and cropping; the masks and the
    diffusion noise are inputs.

    Args:
        model: In evaluation mode.
        masks: Whether the masks are inputs; otherwise they are zero, as for a scene without
            salient objects.

    Shape:
        ir (N, H, W, 1), vis (N, H, W, 3) in 0..255, mask_ir and mask_vis (N, H, W, 1) in [0, 1],
        noise (T, 5, H', W') and statistics (1, S), all float32, use_statistics () bool ->
        fused and preliminary (N, H, W, 3) uint8, recorded statistics (N, S).
    """

    def __init__(self, model: BaseFuser, masks: bool = True) -> None:
        super().__init__()
        self.model = model
        self.masks = masks

    def forward(self, ir: Tensor, vis: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        size = ir.shape[1:3]
        inputs = dict(ir=self._prepare(ir) / 127.5 - 1, vis=self._prepare(vis) / 127.5 - 1)
        if not isinstance(self.model, SGDFuse):
            return (self._image(self.model.fuse(inputs)['fused'], size),)
        if self.masks:
            mask_ir, mask_vis, *rest = rest  # type: ignore[assignment]
        else:
            mask_ir = mask_vis = torch.zeros_like(ir)
        noise, given, use = rest
        inputs.update(mask_ir=self._prepare(mask_ir), mask_vis=self._prepare(mask_vis))
        with whole_image_statistics(Statistics(ir.shape[0], given, use)) as statistics:
            condition = self.model.condition(inputs)
            # the noise may reach further than this image's padding does
            rows = torch.arange(condition.shape[2], device=noise.device)
            columns = torch.arange(condition.shape[3], device=noise.device)
            noise = noise.index_select(2, rows).index_select(3, columns)
            noise = noise.repeat_interleave(ir.shape[0], 0)
            features = self.model.features(condition, noise=noise)
        fused = self.model.head(features, inputs['ir'], inputs['vis'], condition[:, 3:])
        images = (self._image(each, size) for each in (fused, condition[:, :3]))
        return (*images, statistics.recorded())

    def _prepare(self, image: Tensor) -> Tensor:
        """(N, H, W, C) to (N, C, H', W'), continued by reflection to the model's multiple."""
        divisor = self.model.size_divisor
        height, width = image.shape[1:3]
        missing = (0, -width % divisor, 0, -height % divisor)
        return F.pad(image.permute(0, 3, 1, 2), missing, mode='reflect')

    def _image(self, image: Tensor, size: torch.Size) -> Tensor:
        return to_uint8(image[:, :, : size[0], : size[1]].permute(0, 2, 3, 1))


def export_onnx(
    weights: str | os.PathLike | None,
    path: str | os.PathLike,
    *,
    config: str | os.PathLike | None = None,
    masks: bool = True,
) -> Contract:
    """Write a trained fuser as ONNX, whole or not at all.

    The graph takes pairs of any size from 32 pixels on and any number of them. Weights are stored
    as float16 where that loses nothing, and computed with as float32.

    Args:
        weights: ``*.safetensors`` with its config in the header, or checkpoint of tools/train.py
            with ``config``. Default: the compact SGDFuse that ships with the package.
        path: File to write, ``*.onnx``; missing folders are made.
        config: Training config of a checkpoint. Default: the header's.
        masks: Whether the masks are inputs of the graph. Without them the model works as on a
            scene without salient objects. A student never has them. Default True.

    Returns:
        What the file says about itself.

    Raises:
        FileNotFoundError: There are no such weights.
        InputError: The suffix is another one, or the model is one whose inference is no single
            pass: only students and SGDFuse in the ``features`` mode are exported.
        MissingPackageError: onnx is missing.
    """
    require('mmsgdfuse.runtime.export', 'onnx')
    path = Path(path)
    if path.suffix != '.onnx':
        raise InputError(f'{path}: an exported model is written as *.onnx')
    weights = DEFAULT_WEIGHTS if weights is None else Path(weights)
    recipe = Recipe.from_file(weights) if config is None else Recipe.from_config(config)
    model = load_fuser(recipe.model, weights).eval()
    graph = FusionGraph(model, masks)
    contract = _describe(model, recipe, weights, masks)
    program = _trace(graph, contract)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(_serialise(program, contract))
    return contract


def _describe(model: BaseFuser, recipe: Recipe, weights: Path, masks: bool) -> Contract:
    diffusion = isinstance(model, SGDFuse)
    if not isinstance(model, SGDFuse | StudentFuser) or (
        isinstance(model, SGDFuse) and model.inference_mode != 'features'
    ):
        raise InputError(
            f'{weights}: a {type(model).__name__} is not exported, only a StudentFuser or an '
            "SGDFuse of inference_mode='features', which fuse in one pass"
        )
    statistics = 0
    if isinstance(model, SGDFuse):
        side = max(model.size_divisor, 32)
        inputs = {
            name: torch.zeros(1, channels, side, side)
            for name, channels in dict(ir=1, vis=3, mask_ir=1, mask_vis=1).items()
        }
        with torch.inference_mode(), whole_image_statistics(Statistics(1)) as recorded:
            model.fuse(inputs)
        statistics = recorded.recorded().shape[1]
    return Contract(
        format=FORMAT,
        mode='features' if diffusion else 'student',
        weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        version=__version__,
        torch=torch.__version__,
        opset=OPSET,
        size_divisor=model.size_divisor,
        masks=tuple(recipe.masks) if diffusion and masks else (),
        mask_inputs=diffusion and masks,
        seed=getattr(model, 'seed', 0),
        noise_draws=len(model.feature_timesteps) if isinstance(model, SGDFuse) else 0,
        noise='position_noise',
        statistics=statistics,
    )


def _trace(graph: FusionGraph, contract: Contract) -> Any:
    count, height, width = _EXAMPLE
    example = {
        'ir': torch.rand(count, height, width, 1) * 255,
        'vis': torch.rand(count, height, width, 3) * 255,
        'mask_ir': torch.rand(count, height, width, 1),
        'mask_vis': torch.rand(count, height, width, 1),
        'noise': torch.rand(contract.noise_draws, 5, 2 * height, 2 * width),
        'statistics': torch.zeros(1, contract.statistics),
        'use_statistics': torch.tensor(False),
    }
    image = {0: 'images', 1: 'height', 2: 'width'}
    axes: dict[str, dict[int, str]] = dict.fromkeys(
        ('ir', 'vis', 'mask_ir', 'mask_vis', 'fused', 'preliminary'), image
    )
    axes.update(noise={2: 'noise_height', 3: 'noise_width'}, statistics_out={0: 'images'})
    names = contract.inputs
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            graph,
            tuple(example[name] for name in names),
            file,  # type: ignore[arg-type]
            input_names=names,
            output_names=contract.outputs,
            dynamic_axes={n: a for n, a in axes.items() if n in (*names, *contract.outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    import onnx

    return onnx.load_from_string(file.getvalue())


def _serialise(model: Any, contract: Contract) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALL:
            continue
        with np.errstate(over='ignore'):
            half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f'{name}_half'))
        # a runtime folds these into constants when it loads the file
        casts.append(helper.make_node('Cast', [f'{name}_half'], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for key, value in contract.to_metadata().items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString(deterministic=True)

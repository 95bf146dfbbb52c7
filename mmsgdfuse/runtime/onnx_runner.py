"""Running an exported model by ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmsgdfuse.runtime.contract import Contract
from mmsgdfuse.runtime.runner import Pass, padded
from mmsgdfuse.utils.compat import require
from mmsgdfuse.utils.errors import InputError
from mmsgdfuse.utils.noise import position_noise

_KEPT = 640 * 512  # pixels of an image whose buffers are kept for the next one

Provider = str | tuple[str, dict[str, Any]]


class OnnxRunner:
    """A model that :func:`~mmsgdfuse.runtime.export.export_onnx` wrote.

    Args:
        path: The file, ``*.onnx``.
        providers: ONNX Runtime's execution providers, the preferred one first, such as
            ``'OpenVINOExecutionProvider'`` or ``'TensorrtExecutionProvider'``. Default: the CPU's.
        threads: Threads of the CPU's provider. Default: as many as this process may use.
        seed: Seed of the noise. Default: the file's.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: It is damaged, was not exported by this package or by a version of another
            format, or a provider is not installed.
        MissingPackageError: onnxruntime is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        seed: int | None = None,
    ) -> None:
        require("backend='onnxruntime'", 'onnxruntime')
        import onnxruntime

        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such exported model; check the path')
        providers = ['CPUExecutionProvider'] if providers is None else list(providers)
        installed = onnxruntime.get_available_providers()
        for provider in providers:
            name = provider if isinstance(provider, str) else provider[0]
            if name not in installed:
                raise InputError(
                    f'{name} is not installed, only {", ".join(installed)}; install the build of '
                    'onnxruntime that has it (onnxruntime-gpu, onnxruntime-openvino)'
                )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _usable_threads() if threads is None else threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=providers
            )
        except Exception as error:  # of classes that onnxruntime does not export
            raise InputError(f'{path}: cannot be loaded by onnxruntime ({error})') from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.contract = Contract.from_metadata(path, metadata)
        found = [each.name for each in self._session.get_inputs()]
        if found != self.contract.inputs:
            raise InputError(
                f'{path}: its inputs are {found}, not {self.contract.inputs} as its metadata says; '
                'export it again'
            )
        self.providers = self._session.get_providers()
        # large images of several sizes would each leave their buffers behind
        self._tile_options = onnxruntime.RunOptions()
        if self.providers == ['CPUExecutionProvider']:
            self._tile_options.add_run_config_entry('memory.enable_memory_arena_shrinkage', 'cpu:0')
        self.seed = self.contract.seed if seed is None else seed

    @property
    def needs_masks(self) -> bool:
        return self.contract.mask_inputs

    @property
    def size_divisor(self) -> int:
        return self.contract.size_divisor

    def noise(self, shape: tuple[int, int], origin: tuple[int, int] = (0, 0)) -> np.ndarray | None:
        """See :class:`~mmsgdfuse.runtime.runner.Runner`."""
        draws = range(self.contract.noise_draws)
        if not draws:
            return None
        noise = [position_noise(self.seed, index, (5, *shape), origin)[None] for index in draws]
        return noise[0] if len(noise) == 1 else np.concatenate(noise)

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        noise: np.ndarray | None = None,
        statistics: np.ndarray | None = None,
    ) -> Pass:
        """See :class:`~mmsgdfuse.runtime.runner.Runner`."""
        shape = inputs['ir'].shape[1:3]
        feed: dict[str, np.ndarray] = {}
        for name in self.contract.inputs:
            if name in inputs:
                feed[name] = np.ascontiguousarray(inputs[name], np.float32)
            elif name in ('mask_ir', 'mask_vis'):
                raise InputError(f'{name} is missing; this model needs masks of both images')
        if self.contract.noise_draws:
            if noise is None:
                noise = self.noise(padded(shape, self.size_divisor))
            assert noise is not None
            own = np.zeros((1, self.contract.statistics), np.float32)
            feed['noise'] = noise
            feed['statistics'] = own if statistics is None else statistics
            feed['use_statistics'] = np.array(statistics is not None)
        options = self._tile_options if shape[0] * shape[1] > _KEPT else None
        found_now = self._session.run(None, feed, options)
        outputs = dict(zip(self.contract.outputs, found_now))
        found = outputs.pop('statistics_out', np.zeros((len(inputs['ir']), 0), np.float32))
        return Pass(outputs, found)


def _usable_threads() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

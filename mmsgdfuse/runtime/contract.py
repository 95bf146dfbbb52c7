"""What an exported model says about itself, and what the runtime asks of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mmsgdfuse.utils.errors import InputError

METADATA_KEY = 'mmsgdfuse'
FORMAT = 1
_MAX_METADATA = 2**20  # characters


@dataclass(frozen=True)
class Contract:
    """The metadata block of an exported model, JSON under the key ``mmsgdfuse``.

    Attributes:
        format: Version of this block and of the graph's inputs and outputs.
        mode: ``'student'`` or ``'features'``.
        weights_sha256: SHA-256 of the file of weights that was exported.
        version: Version of mmsgdfuse that exported it.
        torch: Version of torch that exported it.
        opset: Version of the ONNX operators.
        size_divisor: What the network pads both sides to a multiple of.
        masks: Configs of the transforms that make the masks; empty where the graph takes none.
        mask_inputs: Whether ``mask_ir`` and ``mask_vis``, in [0, 1], are inputs.
        seed: Default seed of the noise.
        noise_draws: Draws T of noise (T, 5, H', W') that the graph takes; 0 for none.
        noise: Name of the function that makes the noise.
        statistics: Numbers S that the graph computes over a whole image; 0 for none.
    """

    format: int
    mode: str
    weights_sha256: str
    version: str
    torch: str
    opset: int
    size_divisor: int
    masks: tuple[dict[str, Any], ...]
    mask_inputs: bool
    seed: int
    noise_draws: int
    noise: str
    statistics: int

    def to_metadata(self) -> dict[str, str]:
        """The entry of the file's metadata."""
        return {METADATA_KEY: json.dumps(asdict(self), sort_keys=True)}

    @property
    def inputs(self) -> list[str]:
        """Names of the graph's inputs, in order."""
        names = ['ir', 'vis']
        if self.mask_inputs:
            names += ['mask_ir', 'mask_vis']
        return names + (['noise', 'statistics', 'use_statistics'] if self.noise_draws else [])

    @property
    def outputs(self) -> list[str]:
        """Names of the graph's outputs, in order."""
        return ['fused', 'preliminary', 'statistics_out'] if self.noise_draws else ['fused']

    @classmethod
    def from_metadata(cls, name: object, metadata: Mapping[str, str]) -> Contract:
        """Read the block of the file ``name``, which may come from anyone.

        Raises:
            InputError: There is none, it is damaged, or it is of another format.
        """
        again = 'export it again with mmsgdfuse export'
        text = metadata.get(METADATA_KEY)
        if text is None or len(text) > _MAX_METADATA:
            raise InputError(f'{name}: is no model that mmsgdfuse exported; {again}')
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f'{name}: its metadata cannot be read ({error}); {again}') from error
        if not isinstance(values, dict) or values.get('format') != FORMAT:
            found = values.get('format') if isinstance(values, dict) else None
            raise InputError(f'{name}: is of format {found}, this version reads {FORMAT}; {again}')
        kinds = dict(int=int, str=str, bool=bool)
        for field in fields(cls):
            kind = kinds.get(str(field.type), list)
            if type(values.get(field.name)) is not kind:
                raise InputError(f'{name}: its metadata has no valid {field.name}; {again}')
        values['masks'] = tuple(values['masks'])
        return cls(**{field.name: values[field.name] for field in fields(cls)})

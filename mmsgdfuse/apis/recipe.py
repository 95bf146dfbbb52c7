"""What a trained fuser needs beside its weights: the model's config and its masks'."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from mmsgdfuse.models.fusers import BaseFuser, load_fuser
from mmsgdfuse.utils.config import walk
from mmsgdfuse.utils.errors import InputError, InputTypeError
from mmsgdfuse.utils.weights import TRAINING_ONLY, read_model_metadata

# the inferencer reads and packs by itself; what is between the two in a test pipeline makes masks
_READING_AND_PACKING = ('LoadPair', 'PackFusionInputs')


@dataclass(frozen=True)
class Recipe:
    """A fuser as plain data, which travels in the header of its weights.

    Attributes:
        model: Config of the model, without what only training needs.
        masks: Configs of the transforms that add ``mask_ir`` and ``mask_vis``; may be empty.
    """

    model: dict[str, Any]
    masks: list[dict[str, Any]]

    @classmethod
    def from_config(cls, config: str | os.PathLike | Config) -> Recipe:
        """Read a recipe out of a training config.

        Args:
            config: Config, or its file. The masks are those of its test pipeline; their cache
                is left out, since a folder that training writes to is no part of a model.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The config has no ``model``.
            TypeError: A value is neither number, text, list nor dict.
        """
        cfg = config if isinstance(config, Config) else Config.fromfile(os.fspath(config))
        name = cfg.filename or 'the config'
        if 'model' not in cfg:
            raise InputError(f'{name}: has no model; give a config that tools/train.py takes')
        plain = cfg.to_dict()
        model = {key: value for key, value in plain['model'].items() if key not in TRAINING_ONLY}
        nodes = (node for _, node in walk(plain.get('test_dataloader')))
        transforms: list[dict[str, Any]] = next(
            (n['pipeline'] for n in nodes if isinstance(n, dict) and 'pipeline' in n), []
        )
        masks = [
            {key: value for key, value in transform.items() if key != 'cache_dir'}
            for transform in transforms
            if transform['type'].rsplit('.', 1)[-1] not in _READING_AND_PACKING
        ]
        try:
            return cls(**json.loads(json.dumps(dict(model=model, masks=masks))))
        except TypeError as error:
            raise InputTypeError(
                f'{name}: {error}; write the model and the test pipeline with numbers, text, '
                'lists and dicts only'
            ) from error

    @classmethod
    def from_file(cls, weights: str | os.PathLike) -> Recipe:
        """Read a recipe out of the header of weights, which may come from anyone.

        Args:
            weights: ``*.safetensors`` that tools/model_converters/export_weights.py wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is damaged, has no recipe, or the recipe names what a file may not
                name, see :func:`~mmsgdfuse.utils.header_config.check_header_config`.
        """
        metadata = read_model_metadata(weights)
        if 'masks' not in metadata:
            raise ValueError(
                f'{weights}: the header does not say where the masks come from; export the weights '
                'again with tools/model_converters/export_weights.py, or give the config, too'
            )
        return cls.from_metadata(metadata)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Recipe:
        """Read a recipe back from where :meth:`to_metadata` put it.

        Nothing is checked: use :meth:`from_file` for a file that may come from others.

        Raises:
            KeyError: It is not there.
        """
        return cls(model=metadata['model'], masks=metadata['masks'])

    def to_metadata(self) -> dict[str, Any]:
        """Entries for :func:`~mmsgdfuse.utils.weights.save_weights`."""
        return dict(model=self.model, masks=self.masks)

    def build_model(self, weights: str | os.PathLike | None = None) -> BaseFuser:
        """The model in evaluation mode, whatever mmengine's scope is.

        Args:
            weights: See :func:`~mmsgdfuse.models.fusers.load_fuser`. Default: random ones.

        Raises:
            FileNotFoundError: There is no such file of weights.
            TypeError: The config is not one of a fuser.
            ValueError: The weights are those of another model.
        """
        return load_fuser(self.model, weights).eval()

"""A restorer from its weights."""

from __future__ import annotations

import os

from mmsgdfuse.models.fusers.loading import build_from_header
from mmsgdfuse.models.restoration.restorer import PairRestorer
from mmsgdfuse.utils.assets import RESTORER_WEIGHTS
from mmsgdfuse.utils.weights import load_weights


def load_restorer(weights: str | os.PathLike | None = None) -> PairRestorer:
    """Build a restorer in evaluation mode and load its weights.

    Args:
        weights: ``*.safetensors`` with the config of the restorer in its header. Default: the
            weights that ship with the package.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not that of a restorer.
    """
    weights = RESTORER_WEIGHTS if weights is None else weights
    restorer = build_from_header(weights, PairRestorer, 'a PairRestorer')
    load_weights(restorer, weights)
    return restorer.eval()

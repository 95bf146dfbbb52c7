"""All errors for bad input have one base, and the bases that callers caught before."""

from __future__ import annotations

import pytest

from mmsgdfuse.datasets import DatasetError
from mmsgdfuse.datasets.downstream import LabelError
from mmsgdfuse.evaluation.folders import EvaluationError
from mmsgdfuse.masks import CheckpointError
from mmsgdfuse.utils.errors import (
    InputError,
    InputTypeError,
    MissingPackageError,
    MMSGDFuseError,
)
from mmsgdfuse.visualization.report.errors import ReportError


@pytest.mark.parametrize(
    ('error', 'base'),
    [
        (DatasetError, ValueError),
        (LabelError, ValueError),
        (EvaluationError, ValueError),
        (ReportError, ValueError),
        (InputError, ValueError),
        (InputTypeError, TypeError),
        (CheckpointError, RuntimeError),
        (MissingPackageError, ImportError),
    ],
)
def test_each_is_caught_by_both_bases(error, base):
    for caught in (MMSGDFuseError, base):
        with pytest.raises(caught, match='said'):
            raise error('said')

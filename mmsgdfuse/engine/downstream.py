"""What a Runner of mmdet or mmseg is checked for before it works."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsgdfuse.datasets.downstream import check_config
from mmsgdfuse.registry import HOOKS


@HOOKS.register_module()
class DownstreamCheckHook(Hook):
    """Refuses a config whose classes, labels and images do not belong together.

    Looks once at the data that the run is about to use, see
    :func:`mmsgdfuse.datasets.downstream.check_config`.

    Raises:
        LabelError: They do not; the message says what was expected and what was found.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._checked: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Check the labels and images for training and validation."""
        self._check(runner, 'train', 'val')

    def before_val(self, runner: Runner) -> None:
        """Check those for validation, if that has not been done."""
        self._check(runner, 'val')

    def before_test(self, runner: Runner) -> None:
        """Check those for the test."""
        self._check(runner, 'test')

    def _check(self, runner: Runner, *loaders: str) -> None:
        check_config(runner.cfg, [loader for loader in loaders if loader not in self._checked])
        self._checked.update(loaders)

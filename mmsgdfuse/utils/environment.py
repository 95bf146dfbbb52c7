"""What is installed, and what of it this package uses."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import sys
from typing import Any

from mmsgdfuse.utils.assets import ASSETS
from mmsgdfuse.version import __version__

# package -> what it is for
_PACKAGES = {
    'numpy': 'arrays', 'scipy': 'metrics, registration', 'opencv-python-headless': 'images',
    'opencv-python': 'images', 'pillow': 'images', 'torch': 'networks', 'torchvision': 'networks',
    'diffusers': 'noise schedules', 'safetensors': 'weights',
    'mmengine': 'training (openmmlab)', 'onedl-mmengine': 'training (onedl)',
    'mmcv': 'training (openmmlab)', 'mmcv-lite': 'training (openmmlab)',
    'onedl-mmcv': 'training (onedl)', 'mmdet': 'detection', 'onedl-mmdetection': 'detection',
    'mmsegmentation': 'segmentation', 'onedl-mmsegmentation': 'segmentation',
    'segment-anything': 'SAM masks', 'tensorboard': 'training curves',
    'onnxruntime': 'inference without torch',
}  # fmt: skip


def describe_environment() -> dict[str, Any]:
    """Versions, devices, weights and the stack, as plain values.

    Returns:
        ``mmsgdfuse``, ``python``, ``platform``: text. ``packages``: for each package that is
        used, ``version`` (None if it is missing) and ``use``. ``stack``: 'openmmlab', 'onedl',
        'both' (which does not work) or None. ``devices``: names of those that torch sees, or None
        without torch. ``weights``: size in bytes and SHA-256 of each file that ships.
    """
    packages = {name: dict(version=_version(name), use=use) for name, use in _PACKAGES.items()}
    stacks = [
        stack
        for stack, package in (('openmmlab', 'mmengine'), ('onedl', 'onedl-mmengine'))
        if packages[package]['version']
    ]
    weights = {
        path.name: dict(
            bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in sorted(ASSETS.glob('*.safetensors'))
    }
    return dict(
        mmsgdfuse=__version__,
        python=sys.version.split()[0],
        platform=platform.platform(),
        stack='both' if len(stacks) == 2 else next(iter(stacks), None),
        devices=_devices(),
        packages=packages,
        weights=weights,
    )


def to_text(found: dict[str, Any]) -> str:
    """The result of :func:`describe_environment` for a reader."""
    devices = found['devices']
    shown = 'torch is not installed' if devices is None else ', '.join(['cpu', *devices])
    lines = [
        f'mmsgdfuse {found["mmsgdfuse"]}, Python {found["python"]}, {found["platform"]}',
        f'stack: {found["stack"] or "none; install mmsgdfuse[openmmlab] or mmsgdfuse[onedl]"}',
        f'devices: {shown}',
        'installed:',
    ]
    packages = found['packages']
    lines += [f'  {n} {p["version"]} ({p["use"]})' for n, p in packages.items() if p['version']]
    missing = [f'{n} ({p["use"]})' for n, p in packages.items() if not p['version']]
    lines.append('not installed: ' + (', '.join(missing) or 'nothing'))
    lines.append('weights:')
    lines += [
        f'  {name}: {file["bytes"] / 1e6:.1f} MB, sha256 {file["sha256"][:12]}'
        for name, file in found['weights'].items()
    ]
    return '\n'.join(lines)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> list[str] | None:
    try:
        import torch
    except ImportError:
        return None
    return [f'cuda:{i} {torch.cuda.get_device_name(i)}' for i in range(torch.cuda.device_count())]

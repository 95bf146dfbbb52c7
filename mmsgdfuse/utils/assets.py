"""The files that ship with the package."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).resolve().parents[1] / 'assets'
DEFAULT_WEIGHTS = ASSETS / 'sgdfuse-compact.safetensors'
STUDENT_WEIGHTS = ASSETS / 'sgdfuse-student.safetensors'
DEFAULT_ONNX = ASSETS / 'sgdfuse-compact.onnx'
STUDENT_ONNX = ASSETS / 'sgdfuse-student.onnx'
RESTORER_WEIGHTS = ASSETS / 'sgdfuse-restorer.safetensors'
SAMPLE_IR = ASSETS / 'sample_ir.png'
SAMPLE_VIS = ASSETS / 'sample_vis.png'

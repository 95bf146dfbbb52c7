"""Running a trained fuser: torch or ONNX, whole or in tiles."""

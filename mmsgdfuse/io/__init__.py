"""Files in and out: image formats, thermal ranges, palettes. Imports neither torch nor mmengine."""

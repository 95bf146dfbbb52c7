"""The suffixes of the image files that are read and written."""

IMAGE_SUFFIXES = (
    '.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.pnm', '.ppm', '.tif', '.tiff', '.webp'
)  # fmt: skip

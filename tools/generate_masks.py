"""Compute the masks of folders of images and keep them on disk; the same as `mmsgdfuse masks`."""

import sys

from mmsgdfuse.cli.masks import main

if __name__ == '__main__':
    sys.exit(main())

"""Fuse infrared and visible images; the same as `mmsgdfuse fuse`."""

import sys

from mmsgdfuse.cli.fuse import main

if __name__ == '__main__':
    sys.exit(main())

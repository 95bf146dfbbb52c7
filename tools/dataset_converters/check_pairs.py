"""Check the image pairs of two folders or of a data set; the same as `mmsgdfuse check`."""

import sys

from mmsgdfuse.cli.check import main

if __name__ == '__main__':
    sys.exit(main())

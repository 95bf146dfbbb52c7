"""Score folders of fused images; the same as `mmsgdfuse evaluate`."""

import sys

from mmsgdfuse.cli.evaluate import main

if __name__ == '__main__':
    sys.exit(main())

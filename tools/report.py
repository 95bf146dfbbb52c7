"""Write one page about a run; the same as `mmsgdfuse report`."""

import sys

from mmsgdfuse.cli.report import main

if __name__ == '__main__':
    sys.exit(main())

"""Test a checkpoint; the same as `mmsgdfuse test`."""

import sys

from mmsgdfuse.cli.test import main

if __name__ == '__main__':
    sys.exit(main())

"""Train a config, phase by phase; the same as `mmsgdfuse train`."""

import sys

from mmsgdfuse.cli.train import main

if __name__ == '__main__':
    sys.exit(main())

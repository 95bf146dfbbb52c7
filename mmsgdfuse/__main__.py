"""``python -m mmsgdfuse``, for launchers such as torchrun."""

from mmsgdfuse.cli import main

if __name__ == '__main__':
    main()

"""Show versions, devices, the weights that ship, and what is optional and missing.

mmsgdfuse info
mmsgdfuse info --json
"""

from __future__ import annotations

import argparse
import json

from mmsgdfuse.utils.environment import describe_environment, to_text


def build_parser() -> argparse.ArgumentParser:
    """The options, and what they mean."""
    parser = argparse.ArgumentParser(
        prog='mmsgdfuse info',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--json', action='store_true', help='print it for a program')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print, and return the exit code."""
    args = build_parser().parse_args(argv)
    found = describe_environment()
    print(json.dumps(found, indent=2) if args.json else to_text(found))
    return 0

"""Deprecated: import from :mod:`mmsgdfuse.io.files` instead; the names are the same."""

from __future__ import annotations

from mmsgdfuse.io.files import atomic_path, remove_leftovers, write_text

__all__ = ['atomic_path', 'remove_leftovers', 'write_text']

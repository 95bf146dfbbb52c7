"""Metric values on disk, found again by the content of the images that they are of."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmsgdfuse.evaluation import functional
from mmsgdfuse.utils.files import remove_leftovers, write_text
from mmsgdfuse.utils.image_io import ImageFileError


def default_cache_dir() -> Path:
    """``mmsgdfuse/metrics`` in the user's cache folder (``XDG_CACHE_HOME`` or ``~/.cache``)."""
    root = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(root) / 'mmsgdfuse' / 'metrics'


def definitions_fingerprint() -> str:
    """A digest of the code that defines the metrics: when it changes, old values are void."""
    here = Path(__file__).parent
    sources = [*Path(functional.__file__).parent.glob('*.py'), here / 'baselines.py']
    digest = hashlib.blake2b(digest_size=16)
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def content_digest(path: str | os.PathLike) -> str:
    """A digest of a file's bytes.

    Raises:
        ImageFileError: The file cannot be read.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ImageFileError(f'{path}: cannot be read ({error.strerror})') from error
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@dataclass
class CacheEntry:
    """What is known about one fused image with its two sources.

    Args:
        values: Value by metric name.
        notes: What to tell the user each time, as that an image is too small for a metric.
    """

    values: dict[str, float]
    notes: list[str]


class MetricCache:
    """One small JSON file per fused image, named after the content of the images.

    Renaming or touching an image keeps its values, changing a single pixel or the definition of
    a metric does not. Several processes may share a folder: files are replaced as a whole.

    Args:
        folder: Where the files lie; made when the first one is written.
        fingerprint: Digest of the definitions, see :func:`definitions_fingerprint`.
    """

    def __init__(self, folder: str | os.PathLike, fingerprint: str) -> None:
        self.folder = Path(folder)
        self.fingerprint = fingerprint

    def _path(self, identity: Iterable[str]) -> Path:
        text = '\n'.join([self.fingerprint, *identity])
        name = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return self.folder / name[:2] / f'{name}.json'

    def load(self, identity: Iterable[str]) -> CacheEntry:
        """What is known about an image.

        Args:
            identity: Digests of the infrared, the visible and the fused image.

        Returns:
            The entry, an empty one if there is none or if its file is damaged.
        """
        try:
            stored = json.loads(self._path(identity).read_text())
            values = {str(k): float(v) for k, v in stored['values'].items()}
            return CacheEntry(values, [str(note) for note in stored['notes']])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return CacheEntry({}, [])

    def remove_leftovers(self) -> None:
        """Deletes what killed processes were just writing an hour ago or earlier."""
        with suppress(OSError):  # a folder that cannot be changed serves all the same
            for folder in self.folder.glob('[0-9a-f][0-9a-f]'):
                remove_leftovers(folder)

    def store(self, identity: Iterable[str], entry: CacheEntry) -> None:
        """Writes what is known about an image.

        Args:
            identity: Digests of the infrared, the visible and the fused image.
            entry: Its values and notes.

        Raises:
            OSError: The folder cannot be written.
        """
        values = {k: str(v) if not math.isfinite(v) else v for k, v in entry.values.items()}
        write_text(self._path(identity), json.dumps(dict(values=values, notes=entry.notes)))

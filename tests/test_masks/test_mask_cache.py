import errno
import json
import multiprocessing
import os
import time
import warnings

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mmsgdfuse.masks import (
    CachedMaskGenerator,
    MaskCache,
    ThermalVisualSaliency,
    image_digest,
    settings_digest,
)

# a new interpreter would take seconds to import torch; the children only write files
FORK = multiprocessing.get_context('fork')
SETTINGS = dict(type='Some', size=3, composer=dict(type='union'))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)


@pytest.fixture
def mask():
    return np.arange(1200).reshape(30, 40).astype(np.uint8).astype(np.float32) / np.float32(255)


@pytest.fixture
def cache(tmp_path):
    return MaskCache(tmp_path / 'root', SETTINGS)


class Counting:
    """A generator that counts its calls."""

    settings = SETTINGS

    def __init__(self, mask):
        self.mask, self.calls = mask, 0

    def __call__(self, image):
        self.calls += 1
        return self.mask


def test_what_is_saved_is_loaded_bit_by_bit(cache, image, mask):
    assert cache.load(image) is None
    path = cache.save(image, mask)
    assert path.parent == cache.folder
    loaded = cache.load(image)
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, mask)


def test_one_compressed_file_per_image_and_the_settings(cache, image, mask):
    cache.save(image, np.zeros_like(mask))
    cache.save(255 - image, mask)
    assert len(list(cache.folder.iterdir())) == 3
    assert json.loads((cache.folder / 'settings.json').read_text()) == SETTINGS
    assert cache.path(image).stat().st_size < mask.size / 2


def test_a_changed_image_has_no_mask(cache, image, mask):
    cache.save(image, mask)
    other = image.copy()
    other[3, 4] ^= 1
    assert cache.load(other) is None
    assert cache.load(image.reshape(40, 30)) is None
    assert cache.load(np.repeat(image[..., None], 3, axis=2)) is None
    np.testing.assert_array_equal(cache.load(image[..., None]), mask)


def test_changed_settings_have_no_mask(cache, image, mask):
    cache.save(image, mask)
    for changed in (dict(size=4), dict(type='Other'), dict(composer=dict(type='score'))):
        assert MaskCache(cache.folder.parent, {**SETTINGS, **changed}).load(image) is None
    again = MaskCache(cache.folder.parent, dict(reversed(SETTINGS.items())))
    assert again.load(image) is not None


def test_digests():
    image = np.zeros((4, 5), np.uint8)
    assert image_digest(image) == image_digest(image[..., None])
    assert image_digest(image) == image_digest(np.zeros((4, 10), np.uint8)[:, ::2])
    assert image_digest(image) != image_digest(np.zeros((5, 4), np.uint8))
    assert settings_digest(dict(a=1, b=2)) == settings_digest(dict(b=2, a=1))
    assert settings_digest(dict(a=1)) != settings_digest(dict(a=1.5))


@pytest.mark.parametrize(
    'damage', [b'', b'\x89PNG\r\n\x1a\n', b'nonsense' * 99, 'truncated', 'flipped']
)
def test_a_damaged_file_counts_as_absent_and_is_replaced(cache, image, mask, damage):
    path = cache.save(image, mask)
    content = bytearray(path.read_bytes())
    if damage == 'truncated':
        damage = bytes(content[: len(content) // 2])
    elif damage == 'flipped':
        content[len(content) // 2] ^= 255
        damage = bytes(content)
    path.write_bytes(damage)
    assert cache.load(image) is None
    cache.save(image, mask)
    np.testing.assert_array_equal(cache.load(image), mask)


def test_a_file_from_elsewhere_counts_as_absent(cache, image, mask):
    path = cache.save(image, mask)
    other = cache.save(255 - image, 1 - mask)
    os.replace(other, path)  # right settings, wrong image
    assert cache.load(image) is None
    Image.fromarray(image).save(path)  # a picture without our words in it
    assert cache.load(image) is None
    info = PngImagePlugin.PngInfo()
    info.add_text('image', path.stem)
    info.add_text('settings', settings_digest(SETTINGS))
    Image.fromarray(image[:9]).save(path, pnginfo=info)  # all words right, wrong size
    assert cache.load(image) is None


def test_open_finds_the_masks_without_the_generator(cache, image, mask):
    cache.save(image, mask)
    opened = MaskCache.open(cache.folder)
    assert opened.settings == SETTINGS
    np.testing.assert_array_equal(opened.load(image), mask)


def test_open_says_what_is_wrong(cache, image, mask, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'generate_masks\.py'):
        MaskCache.open(tmp_path)
    cache.save(image, mask)
    moved = cache.folder.rename(tmp_path / 'renamed')
    with pytest.raises(ValueError, match='renamed'):
        MaskCache.open(moved)
    for text in ('{', '[]', '{}'):
        (moved / 'settings.json').write_text(text)
        with pytest.raises(ValueError, match='damaged'):
            MaskCache.open(moved)


def test_bad_arguments(cache, image, mask, tmp_path):
    with pytest.raises(ValueError, match='type'):
        MaskCache(tmp_path, {})
    with pytest.raises(ValueError, match=r'\(9, 9\)'):
        cache.save(image, np.zeros((9, 9)))
    for bad in (mask * 2, mask - 1, np.full_like(mask, np.nan)):
        with pytest.raises(ValueError, match='range'):
            cache.save(image, bad)
    assert not cache.folder.exists()


def test_a_failed_write_leaves_nothing(cache, image, mask, monkeypatch):
    def full_disk(self, path, *args, **kwargs):
        path.write_bytes(b'half a file')
        raise OSError('no space left on device')

    monkeypatch.setattr(Image.Image, 'save', full_disk)
    with pytest.raises(OSError, match='no space'):
        cache.save(image, mask)
    assert [path.name for path in cache.folder.iterdir()] == ['settings.json']


def test_the_generator_runs_once_per_image(image, mask, tmp_path):
    generator = Counting(mask)
    cached = CachedMaskGenerator(generator, tmp_path)
    for _ in range(3):
        np.testing.assert_array_equal(cached(image), mask)
    assert generator.calls == 1
    CachedMaskGenerator(generator, tmp_path)(255 - image)
    assert generator.calls == 2
    uncached = CachedMaskGenerator(generator)
    uncached(image), uncached(image)
    assert generator.calls == 4


def test_cached_and_computed_masks_are_the_same(scene, tmp_path):
    generator = ThermalVisualSaliency()
    cached = CachedMaskGenerator(generator, tmp_path)
    for image in (scene.ir, scene.vis):
        np.testing.assert_array_equal(cached(image), cached(image))
        np.testing.assert_array_equal(cached(image), generator(image))


def fill(root, seconds):
    cache = MaskCache(root, SETTINGS)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for level in range(4):
            image = np.full((64, 64), level, np.uint8)
            cache.save(image, np.full((64, 64), level / 255, np.float32))


def test_several_processes_write_at_once(tmp_path):
    writers = [FORK.Process(target=fill, args=(tmp_path, 0.5)) for _ in range(3)]
    for writer in writers:
        writer.start()
    cache = MaskCache(tmp_path, SETTINGS)
    seen = 0
    while any(writer.is_alive() for writer in writers):
        for level in range(4):
            found = cache.load(np.full((64, 64), level, np.uint8))
            if found is not None:  # whatever is seen while they write is whole
                assert np.all(found == np.float32(level) / np.float32(255))
                seen += 1
        time.sleep(0.005)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen
    assert len(list(cache.folder.iterdir())) == 5


def test_a_killed_writer_leaves_no_broken_mask(tmp_path):
    writer = FORK.Process(target=fill, args=(tmp_path, 60))
    writer.start()
    cache = MaskCache(tmp_path, SETTINGS)
    images = [np.full((64, 64), level, np.uint8) for level in range(4)]
    while not all(cache.path(image).exists() for image in images):
        time.sleep(0.01)
    writer.kill()
    writer.join()
    for level, image in enumerate(images):
        assert np.all(cache.load(image) == np.float32(level) / np.float32(255))


def test_a_cache_that_cannot_be_written_is_still_read(tmp_path, scene, monkeypatch):
    generator = ThermalVisualSaliency()
    kept = CachedMaskGenerator(generator, tmp_path)(scene.ir)
    cached = CachedMaskGenerator(generator, tmp_path)
    calls = []

    def full(*args):
        calls.append(args)
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(MaskCache, 'save', full)
    with pytest.warns(UserWarning, match='No space left on device; masks are computed'):
        computed = cached(scene.vis)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        np.testing.assert_array_equal(cached(scene.vis), computed)
        monkeypatch.setattr(ThermalVisualSaliency, '__call__', full)
        np.testing.assert_array_equal(cached(scene.ir), kept)
    assert len(calls) == 1

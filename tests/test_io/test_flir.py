from __future__ import annotations

import contextlib

import numpy as np
import pytest
from thermal_files import PLANCK, dji_jpeg, flir_counts, flir_jpeg

from mmsgdfuse.io.flir import Calibration, RadiometricError, read_radiometric


@pytest.fixture
def celsius(scene):
    return 5 + scene.ir / 8


@pytest.mark.parametrize('kind', ['png', 'tiff', 'raw'])
@pytest.mark.parametrize('order', ['>', '<'])
def test_the_frame_and_its_temperatures(celsius, scene, kind, order):
    counts = flir_counts(celsius)
    frame = read_radiometric(flir_jpeg(counts, scene.ir, kind, order=order, chunk=9000))
    np.testing.assert_array_equal(frame.counts, counts)
    np.testing.assert_allclose(frame.values(), celsius, atol=0.05)


def test_emissivity_and_reflection():
    # what a body of emissivity 0.8 at 50 degrees sends, with a room of 20 degrees mirrored in it
    body, room = (int(flir_counts(np.array([t]))[0]) for t in (50.0, 20.0))
    mixed = np.array([0.8 * body + 0.2 * room])
    calibration = Calibration(**PLANCK, emissivity=0.8, reflected=293.15)
    assert calibration.celsius(mixed)[0] == pytest.approx(50, abs=0.1)


def test_without_calibration_the_counts(celsius, scene):
    counts = flir_counts(celsius)
    frame = read_radiometric(flir_jpeg(counts, scene.ir, calibrated=False))
    assert frame.calibration is None
    np.testing.assert_array_equal(frame.values(), counts)


def test_other_jpegs_are_none_of_these(scene):
    plain = flir_jpeg(flir_counts(scene.ir / 8), scene.ir)
    start = plain.index(b'\xff\xdb')
    assert read_radiometric(plain[:2] + plain[start:]) is None
    assert read_radiometric(b'\x89PNG') is None


def test_damage_is_refused(celsius, scene):
    whole = flir_jpeg(flir_counts(celsius), scene.ir, 'raw', chunk=9000)
    first = whole.index(b'FLIR\0')
    second = whole.index(b'FLIR\0', first + 1)
    with pytest.raises(RadiometricError, match='of its thermal frame'):
        read_radiometric(whole[: second - 4] + whole[whole.index(b'FLIR\0', second + 1) - 4 :])
    with pytest.raises(RadiometricError, match='no FFF file'):
        read_radiometric(whole.replace(b'FFF\0', b'XXX\0'))
    one = flir_jpeg(flir_counts(celsius)[:2, :2], scene.ir, 'raw')
    start = one.index(b'FFF\0')
    for at in range(start + 0x14, start + 0x80):  # any byte of the directory
        spoilt = bytearray(one)
        spoilt[at] ^= 0xFF
        with contextlib.suppress(RadiometricError):
            read_radiometric(bytes(spoilt))


def test_dji_is_refused_with_the_remedy(scene):
    with pytest.raises(RadiometricError, match=r'Thermal SDK.*640x512,int16le'):
        read_radiometric(dji_jpeg(scene.ir))

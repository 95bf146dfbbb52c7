from __future__ import annotations

import numpy as np
import pytest

from mmsgdfuse.io.raw_planes import RawPlane


@pytest.mark.parametrize(
    ('text', 'dtype', 'header'),
    [
        ('5x3,uint16le', '<u2', 0),
        ('5x3,uint16be,7', '>u2', 7),
        ('5x3,uint16', '<u2', 0),
        ('5x3,int16le', '<i2', 0),
        ('5x3,float32be', '>f4', 0),
        ('5x3, uint8', 'u1', 0),
    ],
)
def test_layouts(tmp_path, text, dtype, header):
    values = np.arange(15).reshape(3, 5)
    (tmp_path / 'a.raw').write_bytes(bytes(header) + values.astype(dtype).tobytes())
    found = RawPlane.parse(text).read(tmp_path / 'a.raw')
    assert found.dtype == np.dtype(dtype).newbyteorder('=')
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    'text', ['', '5x3', '5,uint16', '0x3,uint16le', '5x3,complex64', '5x3,uint16xe']
)
def test_other_layouts_are_refused(text):
    with pytest.raises(ValueError, match='640x512,uint16le'):
        RawPlane.parse(text)


def test_the_length_must_fit(tmp_path):
    (tmp_path / 'a.raw').write_bytes(bytes(29))
    with pytest.raises(ValueError, match=r'29 bytes.*need 30'):
        RawPlane.parse('5x3,uint16le').read(tmp_path / 'a.raw')

"""Raw planes: sensor values without any header that says what they are."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmsgdfuse.utils.errors import InputError

_KINDS = {'uint8', 'uint16', 'int16', 'uint32', 'int32', 'float32', 'float64'}
_FORM = re.compile(r'(\d+)x(\d+),([a-z]+\d+?)(le|be)?(?:,(\d+))?')


class RawPlane(NamedTuple):
    """Layout of a file of raw values.

    Attributes:
        width: Columns.
        height: Rows.
        dtype: Type of a value, with its byte order.
        header: Bytes before the first value.
    """

    width: int
    height: int
    dtype: np.dtype
    header: int = 0

    @classmethod
    def parse(cls, text: str) -> RawPlane:
        """Read '640x512,uint16le' or, with a header of 64 bytes, '640x512,uint16le,64'.

        Raises:
            ValueError: ``text`` is not of that form.
        """
        match = _FORM.fullmatch(text.replace(' ', '').lower())
        if match is None or match[3] not in _KINDS or not int(match[1]) or not int(match[2]):
            raise InputError(
                f'{text!r} is no layout of raw values; write WIDTHxHEIGHT,TYPE or '
                f'WIDTHxHEIGHT,TYPE,HEADER, such as 640x512,uint16le (types: {sorted(_KINDS)}, '
                'then le or be)'
            )
        dtype = np.dtype(match[3]).newbyteorder('>' if match[4] == 'be' else '<')
        return cls(int(match[1]), int(match[2]), dtype, int(match[5] or 0))

    def read(self, path: str | os.PathLike) -> np.ndarray:
        """The values of a file, (height, width), in the machine's byte order.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: Its length is not that of the layout.
        """
        content = Path(path).read_bytes()
        expected = self.header + self.width * self.height * self.dtype.itemsize
        if len(content) != expected:
            raise InputError(
                f'{path}: has {len(content)} bytes, but {self.width}x{self.height} values of '
                f'{self.dtype.name} after {self.header} bytes need {expected}; correct the layout'
            )
        values = np.frombuffer(content, self.dtype, offset=self.header)
        return values.reshape(self.height, self.width).astype(self.dtype.newbyteorder('='))

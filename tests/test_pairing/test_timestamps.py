from __future__ import annotations

from datetime import datetime, timezone

import pytest

from mmsgdfuse.pairing import parse_timestamp

MOMENT = int(datetime(2023, 5, 12, 14, 30, 15, tzinfo=timezone.utc).timestamp()) * 10**9


@pytest.mark.parametrize(
    ('name', 'nanoseconds'),
    [
        ('DJI_20230512143015_0001_T', 0),
        ('20230512_143015', 0),
        ('2023-05-12T14-30-15.250', 250_000_000),
        ('2023-05-12 14:30:15', 0),
        ('20230512143015123', 123_000_000),
        ('frame_1683901815', 0),
        ('1683901815.25', 250_000_000),
        ('1683901815_000000007', 7),
        ('1683901815007', 7_000_000),
        ('1683901815000007', 7_000),
        ('left1683901815000000007', 7),
    ],
)
def test_times_in_names(name, nanoseconds):
    assert parse_timestamp(name) == MOMENT + nanoseconds


@pytest.mark.parametrize('name', ['FLIR_00002', 'DJI_0001_T', '20231399', 'IMG_1234', ''])
def test_names_without_a_time(name):
    assert parse_timestamp(name) is None


def test_a_running_number_is_no_fraction():
    assert parse_timestamp('20230512_143015_123') == MOMENT

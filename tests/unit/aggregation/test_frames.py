import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.aggregation import frames
from listbridge.aggregation.frames import from_lines, from_text
from listbridge.streams.events import Event, encode
from listbridge.streams.schemas import CM_USER

LINE = encode(Event(CM_USER, "ann@x.se", 5, (), {"name": "Ann\n},{"}), 7)


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=20), piece=st.integers(1, 400))
def test_lines_are_read_in_pieces_as_they_are_in_one(lengths, piece):
    names = ["\n" * length for length in lengths]
    lines = [encode(Event(CM_USER, f"p{n}@x.se", n, (), {"name": name}), 7) for n, name in enumerate(names)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "PIECE_BYTES", piece)
        frame = from_lines(CM_USER, lines)

    assert frame["name"].to_list() == names
    assert frame["_time"].to_list() == list(range(len(names)))
    assert frame.equals(from_lines(CM_USER, lines))


@pytest.mark.parametrize(
    "lines",
    [
        [b""],
        [LINE, b""],
        [b"", LINE],
        [b"null"],
        [LINE, b"garbage"],
        [LINE, b"[]"],
        [LINE, b"5"],
        [LINE, LINE[:-1]],
        [LINE + b"," + LINE],
        [LINE + LINE],
        [LINE + b"]"],
        [b'{"_key":"a","_time":1,"_received":1,"name":"b', b'"}'],
        [b'{"_key":"a","_time":1', b'"_received":1}'],
        [b'{"_key":"a","_time":1}'],
        [b'{"_time":1,"_received":1}'],
        [b'{"_key":"a","_time":"noon","_received":1}'],
        [b'{"_key":"a","_time":1,"_received":1,"name":{"first":"Ann"}}'],
    ],
)
def test_lines_that_are_no_events_are_refused(lines):
    with pytest.raises((ValueError, pl.exceptions.PolarsError)):
        from_lines(CM_USER, lines)


def test_so_many_events_are_in_the_text():
    assert from_text(CM_USER, LINE + b"\n" + LINE, 2).height == 2
    with pytest.raises(ValueError, match="3 lines hold 2 events"):
        from_text(CM_USER, LINE + b"\n" + LINE, 3)

import json

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.archive.columns import ORDER, by_month, schema, to_events, to_frame, to_lines, to_parquet
from listbridge.streams.events import DAY_MS, Event, encode
from listbridge.streams.schemas import CM_ACTIVITY, SCHEMAS

TEXT = st.text(max_size=12)
PAIRS = st.dictionaries(TEXT, TEXT, max_size=3)
VALUES = {
    "string": TEXT,
    "int": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "map": PAIRS,
}
ODD = st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


@st.composite
def written(draw):
    """A stream and the lines of a few events of it, with values of right and wrong types."""
    stream = draw(st.sampled_from(sorted(SCHEMAS)))
    names = draw(st.sets(st.sampled_from(sorted(SCHEMAS[stream])), max_size=4))
    fields = st.fixed_dictionaries(
        {}, optional={name: VALUES[kind] | ODD for name, kind in SCHEMAS[stream].items() if name in names}
    )
    keys = st.text(min_size=1, max_size=8, alphabet=st.characters(exclude_categories=["Cs"]))
    events = st.builds(
        lambda key, at, values, day, number: Event(stream, key, at, (number, key), values, day),
        keys,
        st.integers(-(2**63), 2**63 - 1),
        fields,
        st.none() | st.integers(-(10**6), 10**6),
        st.integers(0, 10**9),
    )
    return stream, [
        encode(event, 7 + number) for number, event in enumerate(draw(st.lists(events, max_size=4)))
    ]


def in_order(events):
    return sorted(events, key=lambda event: json.dumps(event, sort_keys=True))


@given(written())
def test_an_event_comes_out_of_a_file_as_it_went_in(example):
    stream, lines = example

    frame, skipped = to_frame(stream, lines)
    files = [pl.read_parquet(to_parquet(part)) for _, part in by_month(frame)]

    found = [event for file in files for event in map(msgspec.json.decode, to_lines(file))]
    assert skipped == 0
    assert in_order(found) == in_order(map(msgspec.json.decode, lines))


@given(written(), st.randoms())
def test_a_file_follows_from_its_events_whatever_their_order(example, random):
    stream, lines = example
    lines = list({msgspec.json.decode(line)["_id"]: line for line in lines}.values())
    other = random.sample(lines, len(lines))

    frame = to_frame(stream, lines)[0]

    assert to_parquet(frame) == to_parquet(to_frame(stream, other)[0])
    assert frame.select(ORDER).rows() == sorted(frame.select(ORDER).rows())


def event(at=0, key="ann@x.se", day=None, **values):
    return encode(Event(CM_ACTIVITY, key, at, (at, key), {"email": key} | values, day), 7)


@pytest.mark.parametrize(
    ("at", "month"),
    [
        (0, "1970-01"),
        (-1, "1969-12"),
        (1_793_491_199_999, "2026-10"),
        (1_793_491_200_000, "2026-11"),
        (253_402_300_799_999, "9999-12"),
        (253_402_300_800_000, "9999-12"),
        (2**63 - 1, "9999-12"),
        (-62_135_596_800_000, "0001-01"),
        (-62_135_596_800_001, "0001-01"),
        (-(2**63), "0001-01"),
    ],
)
def test_an_event_belongs_to_the_month_of_its_time(at, month):
    [(found, frame)] = by_month(to_frame(CM_ACTIVITY, [event(at)])[0])

    assert found == month
    assert frame["_time"].to_list() == [at]


def test_the_day_is_always_in_the_file_and_in_the_line_only_where_it_is_another():
    same, other = event(5 * DAY_MS), event(5 * DAY_MS, key="bea@x.se", day=4)

    frame = to_frame(CM_ACTIVITY, [same, other])[0]

    assert frame["_day"].to_list() == [5, 4]
    assert ["_day" in each for each in to_events(frame)] == [False, True]
    assert [b"_day" in line for line in (same, other)] == [False, True]


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        (b"garbage", None),
        (b"[1]", None),
        (b'{"_time":1,"_received":1}', None),
        (b'{"_time":"x","_received":1,"email":"ann@x.se"}', None),
        (
            b'{"_id":7,"_time":1,"_received":1,"email":"ann@x.se","_bad":{"city":"5"}}',
            {"_time": 1, "_received": 1, "email": "ann@x.se", "_bad": [{"k": "city", "v": "5"}]},
        ),
        (
            b'{"_id":"00","_time":1,"_received":1,"email":"ann@x.se","_day":"x","_bad":5}',
            {
                "_id": "00",
                "_time": 1,
                "_received": 1,
                "email": "ann@x.se",
                "_bad": [{"k": "_bad", "v": "5"}],
            },
        ),
    ],
)
def test_a_line_that_is_no_event_is_left_out_and_one_that_counts_is_not(odd, kept):
    good = [event(number) for number in range(5)]

    frame, skipped = to_frame(CM_ACTIVITY, [*good[:3], odd, *good[3:]])

    assert skipped == (kept is None)
    wanted = [msgspec.json.decode(line) for line in good] + ([] if kept is None else [kept])
    assert in_order(to_events(frame)) == in_order(wanted)


def test_no_lines_are_no_events():
    frame, skipped = to_frame(CM_ACTIVITY, [])

    assert (frame.height, skipped, frame.columns) == (0, 0, list(schema(CM_ACTIVITY)))
    assert by_month(frame) == []

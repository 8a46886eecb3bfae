import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.aggregation.frames import columns, from_lines
from listbridge.streams.events import (
    DAY_MS,
    MAX_TEXT,
    Counts,
    Event,
    _sorted_out,
    encode,
    event_id,
    owner,
)
from listbridge.streams.schemas import AUDIENCE, CM_ACTIVITY, CM_USER, SCHEMAS


def encoded(stream=CM_ACTIVITY, key="ann@x.se", **values):
    return msgspec.json.decode(encode(Event(stream, key, 5, ("x",), values), 7))


def test_an_event_is_written_with_its_id_its_times_and_its_fields():
    event = Event(CM_ACTIVITY, "ann@x.se", 5, ("open", 1), {"email": "ann@x.se", "latitude": 5})

    assert msgspec.json.decode(encode(event, 7)) == {
        "_id": event.id.hex(),
        "_time": 5,
        "_received": 7,
        "email": "ann@x.se",
        "latitude": 5,
    }


def test_the_key_is_written_only_where_it_is_not_the_address():
    assert "_key" not in encoded(email="ann@x.se")
    assert encoded(email="Ann@X.se")["_key"] == "ann@x.se"
    assert encoded()["_key"] == "ann@x.se"


@pytest.mark.parametrize(
    ("stream", "name", "value"),
    [
        (CM_ACTIVITY, "city", 5),
        (CM_ACTIVITY, "city", True),
        (CM_ACTIVITY, "city", ["Malmö"]),
        (CM_ACTIVITY, "city", "x" * (MAX_TEXT + 1)),
        (CM_ACTIVITY, "city", "\ud800"),
        (CM_ACTIVITY, "latitude", "55.6"),
        (CM_ACTIVITY, "latitude", True),
        (CM_ACTIVITY, "latitude", math.nan),
        (CM_ACTIVITY, "latitude", math.inf),
        (CM_ACTIVITY, "latitude", 10**400),
        (CM_USER, "joined_at", 1.0),
        (CM_USER, "joined_at", True),
        (CM_USER, "joined_at", "2015"),
        (CM_USER, "joined_at", 2**63),
        (CM_USER, "joined_at", -(2**63) - 1),
        (CM_ACTIVITY, "custom_fields", "a=b"),
        (CM_ACTIVITY, "custom_fields", {"a": 5}),
        (CM_ACTIVITY, "custom_fields", {5: "a"}),
        (CM_ACTIVITY, "custom_fields", {"a": "\udfff"}),
        (CM_ACTIVITY, "no_such_field", "x"),
        (CM_ACTIVITY, "_key", "someone@else.se"),
        (CM_ACTIVITY, "_time", 0),
    ],
)
def test_a_value_that_does_not_fit_is_kept_aside_shortened(stream, name, value):
    body = encoded(stream, **{name: value})

    assert body.keys() == {"_id", "_time", "_received", "_key", "_bad"}
    assert body["_bad"] == [{"k": name, "v": repr(value)[:200]}]
    assert (body["_key"], body["_time"]) == ("ann@x.se", 5)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_value_is_left_out(empty):
    assert encoded(city=empty).keys() == {"_id", "_time", "_received", "_key"}


def test_every_stream_says_who_it_is_about():
    assert all(schema["email"] == "string" for schema in SCHEMAS.values())
    assert not any(name.startswith("_") for schema in SCHEMAS.values() for name in schema)


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
INTS = st.integers(-(2**63), 2**63 - 1)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "email": ANY_TEXT,
                "city": ANY_TEXT,
                "latitude": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
                "custom_fields": st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3),
            },
        ),
        min_size=1,
        max_size=4,
    ),
    INTS,
)
def test_whatever_fits_is_read_back_as_it_was_written(bodies, time):
    events = [Event(CM_ACTIVITY, f"key {n}", time, (n,), values) for n, values in enumerate(bodies)]

    frame = from_lines(CM_ACTIVITY, [encode(event, 7) for event in events])

    for row, event in zip(frame.iter_rows(named=True), events, strict=True):
        assert (row["_key"], row["_time"], row["_received"]) == (event.key, time, 7)
        for name in ("email", "city", "latitude"):
            assert row[name] == event.values.get(name)
        pairs = row["custom_fields"]
        held = None if pairs is None else {pair["k"]: pair["v"] for pair in pairs}
        assert held == event.values.get("custom_fields")


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.text(max_size=5),
    st.just("x" * (MAX_TEXT + 1)),
    st.dictionaries(st.text(max_size=3) | st.integers(), st.text(max_size=3) | st.none(), max_size=3),
    st.lists(st.text(max_size=2), max_size=2),
)


@given(st.data(), st.sampled_from(sorted(SCHEMAS)), INTS, st.none() | st.integers(-5, 30_000))
def test_events_are_written_alike_whether_or_not_all_their_values_fit(data, stream, time, day):
    names = st.sampled_from([*SCHEMAS[stream], "_key", "_time", "no_such_field"])
    values = data.draw(st.dictionaries(names, ANYTHING, max_size=6))
    event = Event(stream, data.draw(st.sampled_from(["a@x.se", "k"])), time, ("x",), values, day)

    sorted_out = msgspec.json.encode(_sorted_out(event, 7, event.id))

    assert msgspec.json.decode(encode(event, 7)) == msgspec.json.decode(sorted_out)


@given(INTS)
def test_every_whole_number_is_read_back_exactly(number):
    line = encode(Event(CM_USER, "ann@x.se", 5, (), {"joined_at": number}), 7)

    assert from_lines(CM_USER, [line])["joined_at"].to_list() == [number]


def test_a_frame_has_the_columns_of_its_stream_whatever_the_events_hold():
    frame = from_lines(AUDIENCE, [encode(Event(AUDIENCE, "ann@x.se", 5, (), {}), 7)])

    assert dict(frame.schema) == columns(AUDIENCE)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"_key":"a","email":"B"}', "a"),
        (b'{"email":"b"}', "b"),
        (b'{"email":5}', None),
        (b"{}", None),
        (b"garbage", None),
        (b'{"_key":5}', None),
    ],
)
def test_whose_line_it_is_can_be_read_without_the_rest(line, key):
    assert owner(line) == key


def test_ids_are_96_bits_and_differ_with_everything_that_the_identity_holds():
    identities = [
        (),
        ("a",),
        ("a", "b"),
        ("ab",),
        ("a", None),
        ("a", 1),
        ("a", "1"),
        ("a", ["1"]),
        ("a", [["k", "v"]]),
    ]
    ids = {event_id(stream, identity) for stream in SCHEMAS for identity in identities}

    assert len(ids) == len(SCHEMAS) * len(identities)
    assert {len(each) for each in ids} == {12}


def test_an_id_does_not_change_from_version_to_version():
    assert event_id("cm_activity", ("open", "c1", "ann@x.se", 5, 0)).hex() == "2fc920fc47917dc5cc1c7e26"


def test_what_an_event_says_beside_its_identity_does_not_change_its_id():
    one, other = (Event(CM_ACTIVITY, "a@x.se", time, ("open",), {"city": city}) for time, city in
                  ((1, "Malmö"), (2, "Lund")))  # fmt: skip

    assert one.id == other.id


@pytest.mark.parametrize(
    ("time", "day", "seen"),
    [(0, None, 0), (DAY_MS - 1, None, 0), (DAY_MS, None, 1), (-1, None, -1), (DAY_MS, 7, 7), (0, 0, 0)],
)
def test_an_id_is_kept_under_the_events_own_day(time, day, seen):
    assert Event(CM_USER, "a@x.se", time, (), {}, day=day).seen_day == seen


def test_counts_add_up():
    total = Counts(1, 2, 3)
    total.add(Counts(10, 20, 30, rang=True))
    total.add(Counts())

    assert total == Counts(11, 22, 33, rang=True)


def test_lines_stay_lines():
    line = encode(Event(CM_ACTIVITY, "a@x.se", 1, (), {"city": "two\nlines\r\u2028"}), 7)

    assert b"\n" not in line
    assert json.loads(line)["city"] == "two\nlines\r\u2028"

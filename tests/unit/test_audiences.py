from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from listbridge import audiences
from listbridge.aggregation.fold import Folder
from listbridge.audiences import AudienceEvent, AudienceEvents, as_event, faults, members, receive, sizes
from listbridge.streams.events import MAX_TEXT, Event, Unreadable
from listbridge.streams.log import tail
from listbridge.streams.schemas import AUDIENCE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_MS = 1_772_366_400_000


def event(**values):
    given = {"email": "ann@x.se", "audience": "vip", "event": "enter", "timestamp": NOON}
    return AudienceEvent(**given | values)


def decode(*events):
    return msgspec.json.decode(msgspec.json.encode({"events": events}), type=AudienceEvents)


GIVEN = {"email": "ann@x.se", "audience": "vip", "event": "enter", "timestamp": "2026-03-01T12:00:00Z"}


def test_a_body_is_read_with_its_times_and_attributes():
    body = decode(GIVEN | {"fields": {"plan": "gold", "age": 5, "old": False, "gone": None}})

    assert body.events == [event(fields={"plan": "gold", "age": 5, "old": False, "gone": None})]
    assert faults(body, NOON_MS) == []


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"email": 5}, "$.events[0].email"),
        ({"event": "leave"}, "$.events[0].event"),
        ({"timestamp": "yesterday"}, "$.events[0].timestamp"),
        ({"timestamp": None}, "$.events[0].timestamp"),
        ({"fields": {"a": ["b"]}}, "$.events[0].fields"),
        ({"colour": "red"}, "$.events[0]"),
    ],
)
def test_a_body_of_another_shape_is_refused_with_the_place(changed, path):
    with pytest.raises(msgspec.ValidationError) as caught:
        decode(GIVEN | changed)

    assert path in str(caught.value)


@pytest.mark.parametrize("missing", ["email", "audience", "event", "timestamp"])
def test_what_makes_an_event_must_be_there(missing):
    with pytest.raises(msgspec.ValidationError, match=missing):
        decode({name: value for name, value in GIVEN.items() if name != missing})


NAME = "1 to 100 printable characters without spaces around them"
AHEAD = "more than five minutes in the future"
NAIVE = "the offset from UTC is missing: write Z or +hh:mm"


@pytest.mark.parametrize(
    ("values", "name", "message"),
    [
        ({"audience": ""}, "audience", NAME),
        ({"audience": " vip"}, "audience", NAME),
        ({"audience": "vip "}, "audience", NAME),
        ({"audience": "v\nip"}, "audience", NAME),
        ({"audience": "v\x00ip"}, "audience", NAME),
        ({"audience": "x" * 101}, "audience", NAME),
        ({"timestamp": datetime(2026, 3, 1, 12)}, "timestamp", NAIVE),
        ({"timestamp": NOON + timedelta(minutes=5, milliseconds=1)}, "timestamp", AHEAD),
        ({"timestamp": datetime(1969, 12, 31, 23, 59, tzinfo=UTC)}, "timestamp", "before 1970"),
        ({"opted_in_at": datetime(2026, 3, 1, 12)}, "opted_in_at", NAIVE),
        ({"opted_in_at": NOON + timedelta(hours=1)}, "opted_in_at", AHEAD),
        (
            {"fields": {"a": "x" * (MAX_TEXT + 1)}},
            "fields",
            "'a' or its value has more than 16384 characters",
        ),
        (
            {"fields": {"n" * (MAX_TEXT + 1): 1}},
            "fields",
            f"'{'n' * 40}' or its value has more than 16384 characters",
        ),
    ],
)
def test_what_a_shape_cannot_say_is_a_fault_with_its_place(values, name, message):
    found = faults(AudienceEvents([event(), event(**values)]), NOON_MS)

    assert [(fault.path, fault.message) for fault in found] == [(f"$.events[1].{name}", message)]


@pytest.mark.parametrize(
    "values",
    [
        {"audience": "x"},
        {"audience": "x" * 100},
        {"audience": "Très bons clients: {2026} *"},
        {"timestamp": NOON + timedelta(minutes=5)},
        {"timestamp": NOON.astimezone(timezone(timedelta(hours=-12)))},
        {"timestamp": datetime(1970, 1, 1, tzinfo=UTC)},
        {"email": "not an address"},
        {"fields": {"a": "x" * MAX_TEXT, "": ""}},
    ],
)
def test_what_is_unusual_but_right_is_no_fault(values):
    assert faults(AudienceEvents([event(**values)]), NOON_MS) == []


def test_every_fault_of_a_body_is_told():
    body = AudienceEvents([event(audience="", timestamp=datetime(2026, 3, 1))] * 1001)

    found = faults(body, NOON_MS)

    assert found[0] == audiences.Fault("$.events", "1001 events; at most 1000 a call")
    assert len(found) == 2003


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1),
        (datetime(2026, 3, 1, 12, 0, 0, 999, tzinfo=UTC), NOON_MS),
        (datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))), NOON_MS),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 253_402_300_799_999),
    ],
)
def test_times_are_whole_milliseconds_rounded_down(at, expected):
    assert audiences.milliseconds(at) == expected


def test_an_event_holds_what_the_stream_knows():
    made = as_event(event(email="Ann@X.se", fields={"a": 5, "b": True, "c": 1.5}, opted_in_at=NOON))

    assert isinstance(made, Event)
    assert (made.stream, made.key, made.time) == (AUDIENCE, "ann@x.se", NOON_MS)
    assert made.values == {
        "email": "Ann@X.se",
        "audience": "vip",
        "event": "enter",
        "fields": {"a": "5", "b": "true", "c": "1.5"},
        "opted_in_at": NOON_MS,
    }


def test_what_is_told_twice_in_another_spelling_is_one_event():
    spellings = [
        event(fields={"a": "1", "b": "2"}),
        event(fields={"b": "2", "a": "1", "c": None}),
        event(fields={"b": 2, "a": 1}),
        event(fields={"a": "1", "b": "2"}, email=" ANN@x.se "),
        event(fields={"a": "1", "b": "2"}, timestamp=NOON.astimezone(timezone(timedelta(hours=5)))),
        event(fields={"a": "1", "b": "2"}, timestamp=NOON + timedelta(microseconds=999)),
    ]

    assert len({as_event(each).id for each in spellings}) == 1


def test_what_differs_in_anything_that_counts_is_another_event():
    others = [
        event(),
        event(email="bob@x.se"),
        event(audience="new"),
        event(event="exit"),
        event(timestamp=NOON + timedelta(milliseconds=1)),
        event(fields={"a": "1"}),
        event(fields={"a": "2"}),
        event(fields={"b": "1"}),
        event(opted_in_at=NOON),
    ]

    assert len({as_event(each).id for each in others}) == len(others)


def test_an_event_without_a_readable_address_is_set_aside_as_it_came():
    made = as_event(event(email="nobody"))

    assert isinstance(made, Unreadable)
    assert msgspec.json.decode(made.raw, type=AudienceEvent) == event(email="nobody")


def test_received_events_are_counted_and_the_unreadable_set_aside(fake_store):
    counts = receive(fake_store, [event(), event(), event(event="exit"), event(email="nobody")])

    assert (counts.accepted, counts.duplicates, counts.quarantined, counts.rang) == (2, 1, 1, True)
    [(_, line)] = tail(fake_store, "quarantine", AUDIENCE, 10)
    assert b"\tthe e-mail address is not readable\t{" in line


def test_members_are_those_whose_newest_event_is_an_enter(fake_store, shipped_program):
    later = NOON + timedelta(minutes=1)
    receive(
        fake_store,
        [
            event(email="in@x.se"),
            event(email="out@x.se"),
            event(email="out@x.se", event="exit", timestamp=later),
            event(email="back@x.se", event="exit"),
            event(email="back@x.se", timestamp=later),
            event(email="never@x.se", event="exit"),
        ],
    )
    assert members(fake_store, "vip") == set(), "not before it is folded"

    Folder(fake_store, shipped_program).run()

    assert members(fake_store, "vip") == {"in@x.se", "back@x.se"}
    assert members(fake_store, "no such") == set()


def test_an_exit_that_is_told_late_changes_nothing(fake_store, shipped_program):
    folder = Folder(fake_store, shipped_program)
    receive(fake_store, [event()])
    folder.run()
    receive(fake_store, [event(event="exit", timestamp=NOON - timedelta(days=1))])
    folder.run()

    assert members(fake_store, "vip") == {"ann@x.se"}


def test_every_audience_that_somebody_is_in_has_a_size(store, shipped_program):
    people = [f"p{n}@x.se" for n in range(40)]
    odd = "a*b?[c]\\ {x}:audience:y"
    receive(store, [event(email=key) for key in people])
    receive(store, [event(email=key, audience=odd) for key in people[:7]])
    receive(store, [event(audience="empty"), event(audience="empty", event="exit")])
    Folder(store, shipped_program).run()

    assert sizes(store) == {odd: 7, "vip": 40}


def test_a_key_that_the_scan_gives_twice_is_counted_once(fake_store, shipped_program, monkeypatch):
    receive(fake_store, [event()])
    Folder(fake_store, shipped_program).run()
    real = fake_store.client.scan_iter

    def twice(*args, **kwargs):
        found = list(real(*args, **kwargs))
        return iter(found + found)

    monkeypatch.setattr(fake_store.client, "scan_iter", twice)

    assert sizes(fake_store) == {"vip": 1}


def test_now_is_a_time_that_events_can_hold():
    now = audiences.now()

    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0

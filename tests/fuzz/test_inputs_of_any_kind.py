"""Bodies, mappings and pages of any content: read, set aside or refused in words, and never a failure.

`make fuzz` tries many more than the tests do, and says how many.
"""

import json
import os
from contextlib import suppress
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listbridge.aggregation import MappingError, parse
from listbridge.campaign_monitor.answers import Answer, decode_page
from listbridge.campaign_monitor.errors import ApiError
from listbridge.campaign_monitor.events import Account
from listbridge.campaign_monitor.incoming import decode, events_of
from listbridge.campaign_monitor.models import Campaign, Subscriber, SuppressedAddress
from listbridge.context import load_program
from listbridge.mappings.sources import configured
from listbridge.streams.events import encode, id_of, owner
from settings import Settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
tried = settings(max_examples=EXAMPLES, derandomize="FUZZ_EXAMPLES" not in os.environ)
ACCOUNT = Account("c1", "Client One", ZoneInfo("Australia/Sydney"), {"l1": "Newsletter"})

TEXTS = st.text() | st.sampled_from(
    ["", "l1", "Subscribe", "Deactivate", "Update", "ada@example.com", "2026-11-22 10:00", "\x00", "\ud800"]
)
ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
NAMES = st.sampled_from(
    [
        "ListID",
        "Events",
        "Type",
        "Date",
        "EmailAddress",
        "OldEmailAddress",
        "State",
        "Name",
        "CustomFields",
        "Key",
        "Value",
        "Results",
        "TotalNumberOfRecords",
        "NumberOfPages",
        "PageNumber",
        "PageSize",
    ]
) | st.text(max_size=5)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)
EVENTS = st.fixed_dictionaries(
    {"Type": TEXTS | ATOMS, "Date": TEXTS | ATOMS, "EmailAddress": TEXTS | ATOMS},
    optional=dict.fromkeys(("OldEmailAddress", "State", "Name", "CustomFields", "SignupIPAddress"), VALUES),
)
DELIVERIES = st.fixed_dictionaries(
    {"ListID": st.just("l1") | ATOMS, "Events": st.lists(EVENTS | VALUES, max_size=5) | VALUES}
)


def written(value):
    """JSON as somebody careless writes it: lone surrogates and NaN included."""
    return json.dumps(value).encode()


def broken(bodies):
    """The same, with bytes cut off, changed or put in."""

    @st.composite
    def draw(draw_from):
        body = bytearray(draw_from(bodies))
        for _ in range(draw_from(st.integers(0, 3))):
            at = draw_from(st.integers(0, len(body)))
            body[at : at + draw_from(st.integers(0, 4))] = draw_from(st.binary(max_size=4))
        return bytes(body)

    return draw()


@tried
@given(st.binary(max_size=300) | DELIVERIES.map(written) | broken(DELIVERIES.map(written)))
def test_a_delivery_of_any_content_is_told_or_set_aside(body):
    delivery = decode(body)
    for key, told in delivery.told:
        try:
            events = events_of(ACCOUNT, "l1", key, told, own=False)
        except ValueError:
            continue  # the receiver sets it aside
        for event in events:
            line = encode(event, 1)
            assert b"\n" not in line
            assert id_of(line) == event.id.hex()
            assert owner(line) == event.key
            msgspec.json.decode(line)
    assert all(each.reason and isinstance(each.raw, bytes) for each in delivery.unreadable)
    assert delivery.told or delivery.unreadable or b"Events" in body


@pytest.mark.parametrize("row", [Subscriber, Campaign, SuppressedAddress])
def test_a_page_of_any_content_is_read_or_refused(row):
    pages = st.fixed_dictionaries(
        {"Results": st.lists(VALUES, max_size=4) | VALUES},
        optional=dict.fromkeys(("TotalNumberOfRecords", "NumberOfPages", "PageNumber", "PageSize"), ATOMS),
    )

    @tried
    @given(st.binary(max_size=300) | pages.map(written) | broken(pages.map(written)))
    def attempt(body):
        answer = Answer("GET /lists/{list}/active", 200, {}, body)
        try:
            page = decode_page(answer, row)
        except ApiError:
            return
        assert all(isinstance(each, row) for each in page.results)

    attempt()


SHIPPED = [each.text for each in configured(Settings())]
WORDS = [
    "SELECT",
    "FROM",
    "INTO",
    "BY",
    "ALIAS",
    "IF",
    "AS",
    "KIND",
    "WHERE",
    "AND",
    "NOT",
    "IN",
    "cm_activity",
    "email",
    "count",
    "(",
    ")",
    ",",
    "'",
    '"',
    "`",
    "--",
    "*",
    "=",
    "!=",
    "1",
    "-1",
    "1e9",
    "[",
    "]",
    ";",
]


@tried
@given(
    st.text()
    | st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=30).map(" ".join)
    | broken(st.sampled_from(SHIPPED).map(str.encode)).map(lambda text: text.decode(errors="replace"))
)
def test_a_mapping_of_any_content_is_read_or_refused_with_its_place(text):
    with suppress(MappingError):
        parse(text, "some.lql")


def test_the_shipped_mappings_are_what_is_broken():
    assert len(SHIPPED) >= 2
    assert load_program(Settings()).streams

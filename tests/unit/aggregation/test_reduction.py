"""What a program makes of a batch of events, and how partials add up."""

import copy

import pytest

from listbridge.aggregation import compile_program, merge, merge_into, parse, reduce, shipped, view
from listbridge.aggregation.library import shipped as library_shipped

WEDNESDAY = 1594828543000  # 2020-07-15T15:55:43Z
BOB = "bob@bob.com"


@pytest.fixture
def reduced(frame):
    """The view of one batch of cm_activity under a mapping of these columns."""

    def reduced(columns, *events, where=""):
        program = compile_program(
            [parse(f"SELECT email, {columns} FROM cm_activity INTO user BY email {where}")]
        )
        partials = reduce(frame("cm_activity", events), program, "cm_activity")
        return view(program, partials.get(BOB, {}))

    return reduced


def test_every_row_of_the_shipped_tables_is_there(program):
    by_stream = {
        stream: {name for name, field in program.fields.items() if stream in field.streams}
        for stream in program.streams
    }
    assert len(by_stream["cm_user"] - {"subscribed_at"}) == 7
    assert len(by_stream["cm_activity"] - {"subscribed_at"}) == 27
    assert by_stream["audience"] == {"email", "email_domain", "audiences", "attributes", "opted_in_at"}
    assert by_stream["links"] == {"link_key", "moved_to", "moved_from"}
    assert all(field.shortdesc for field in program.fields.values())
    assert shipped() is library_shipped()


def test_an_open_fills_the_profile(frame, program):
    event = {
        "_time": WEDNESDAY,
        "_received": WEDNESDAY + 1,
        "email": "Bob <Bob@bob.com>",
        "event": "open",
        "client_id": "c1",
        "client_name": "Client",
        "list_id": "l1",
        "list_name": "List",
        "campaign_id": "m1",
        "campaign_name": "Mail",
        "url": "https://www.example.com/blog/?a=b",
        "city": "Malmö",
        "region": "",
        "cc": "SE",
    }
    assert view(program, reduce(frame("cm_activity", [event]), program, "cm_activity")[BOB]) == {
        "email": BOB,
        "email_domain": "bob.com",
        "country_code": "SE",
        "city": "Malmö",
        "cm_openct": 1,
        "cm_firstopen_ts": "2020-07-15T15:55:43.000Z",
        "cm_lastopen_ts": "2020-07-15T15:55:43.000Z",
        "last_active_ts": "2020-07-15T15:55:43.000Z",
        "channels": ["email"],
        "cm_campaign_ids": ["m1"],
        "cm_campaign_names": ["Mail"],
        "cm_client_ids": ["c1"],
        "cm_client_names": ["Client"],
        "cm_listids": ["l1"],
        "cm_list_names": ["List"],
        "cm_email_urls": ["https://www.example.com/blog/?a=b"],
        "cm_email_event": {"open": 1},
        "hashedurls": {"-3688506376795245283": 1},
        "cm_hourlyopen": {"15": 1},
        "cm_hourofweek": {"87": 1},
        "cm_monthly": {"2007": 1},
    }


def test_a_real_unsubscribe_has_its_time_as_a_number(frame, program):
    events = [
        {"_time": 1, "email": BOB, "event": "deactivate", "status": "unsubscribe"},
        {"_time": 2, "email": BOB, "event": "deactivate", "status": "bounce"},
        {"_time": 3, "email": BOB, "event": "deactivate"},
    ]
    seen = view(program, reduce(frame("cm_activity", events), program, "cm_activity")[BOB])
    assert seen["cm_unsub_ts"] == 1
    assert "last_active_ts" not in seen


def test_what_our_own_writes_caused_makes_nobody_look_active(frame, program):
    event = {"email": BOB, "event": "subscribe", "_time": 5, "origin": "self"}
    own = view(program, reduce(frame("cm_activity", [event]), program, "cm_activity")[BOB])
    theirs = view(
        program, reduce(frame("cm_activity", [event | {"origin": ""}]), program, "cm_activity")[BOB]
    )
    assert "last_active_ts" not in own
    assert "channels" not in own
    assert theirs["last_active_ts"] == "1970-01-01T00:00:00.005Z"
    assert theirs["channels"] == ["email"]


def test_list_status_and_attributes_are_latest_per_key(frame, program):
    rows = [
        {"_time": 2, "email": BOB, "list_id": "a", "status": "active", "name": "Bob"},
        {"_time": 1, "email": BOB, "list_id": "a", "status": "deleted", "name": "Robert"},
        {"_time": 1, "email": BOB, "list_id": "b", "status": "deleted", "name": ""},
        {"_time": 3, "email": BOB, "list_id": "a", "status": ""},
    ]
    seen = view(program, reduce(frame("cm_user", rows), program, "cm_user")[BOB])
    assert seen["cm_list_ids_status"] == {"a": "active", "b": "deleted"}
    assert seen["cm_name"] == "Bob"

    rows = [
        {
            "_time": 1,
            "email": BOB,
            "audience": "vip",
            "event": "enter",
            "fields": {"plan": "gold", "age": "40"},
        },
        {"_time": 2, "email": BOB, "audience": "vip", "event": "exit", "fields": {"plan": "", "": "x"}},
        {
            "_time": 3,
            "email": BOB,
            "audience": "new",
            "event": "enter",
            "fields": {"age": "41"},
            "opted_in_at": 9,
        },
        {"_time": 4, "email": BOB, "opted_in_at": 10**18},
    ]
    seen = view(program, reduce(frame("audience", rows), program, "audience")[BOB])
    assert seen["audiences"] == {"new": "enter", "vip": "exit"}
    assert seen["attributes"] == {"age": "41", "plan": "gold"}
    assert seen["opted_in_at"] == "1970-01-01T00:00:00.009Z"


def test_the_latest_is_the_greatest_of_event_time_time_received_and_value(reduced):
    events = [
        {"_time": 1, "_received": 9, "city": "Z"},
        {"_time": 2, "_received": 1, "city": "Y"},
        {"_time": 2, "_received": 2, "city": "A"},
        {"_time": 2, "_received": 2, "city": "B"},
    ]
    assert reduced("city", *events) == reduced("city", *reversed(events)) == {"city": "B"}
    assert reduced("city MERGEOP oldest", *events) == {"city": "Z"}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("count(city) AS x", 2),
        ("count(city) AS x KIND number", 2),
        ("max(latitude) AS x", 2.5),
        ("min(latitude) AS x KIND NUMBER", -1.5),
        ("max(hourofday()) AS x", 1),
        ("hourofday() AS x KIND string", "1"),
        ("hourofday() AS x MERGEOP sum", 1),
        ("epochms() AS x MERGEOP min KIND date", "1970-01-01T00:00:00.000Z"),
        ("set(hourofday()) AS x", ["0", "1"]),
        ('set("email") AS x', ["email"]),
        ("valuect(city) AS x", {"A": 1, "B": 1}),
        ("map(city, latitude) AS x", {"A": -1.5, "B": 2.5}),
        ("map(cc, latitude) AS x MERGEOP mapmin", {"SE": -1.5}),
        ("map(cc, epochms()) AS x KIND map[string]time MERGEOP mapmax", {"SE": "1970-01-01T01:00:00.000Z"}),
        ("map(cc, hourofday()) AS x KIND map[string]intsum", {"SE": 1}),
        ("map(cc, city) AS x MERGEOP oldestmap", {"SE": "A"}),
        ('eq(city, "B") AS x KIND bool', True),
        ("custom_fields AS x MERGEOP merge", {"k": "2"}),
    ],
)
def test_aggregates_kinds_and_merge_operations(reduced, columns, expected):
    events = [
        {"_time": 0, "city": "A", "latitude": -1.5, "cc": "SE", "custom_fields": {"k": "1"}},
        {"_time": 3_600_000, "city": "B", "latitude": 2.5, "cc": "SE", "custom_fields": {"k": "2"}},
    ]
    assert reduced(columns, *events)["x"] == expected


def test_sums_of_decimals_are_exact_in_any_order(reduced):
    events = [{"latitude": number} for number in (1e16, 0.1, 0.2, -1e16, 0.3)]
    for given in (events, events[::-1]):
        assert reduced("latitude AS x MERGEOP sum", *given) == {"x": 0.6}


def test_a_sum_of_whole_numbers_may_pass_64_bits(reduced):
    events = [{"city": str(2**63 - 1)}] * 2
    assert reduced("toint(city) AS x MERGEOP sum", *events) == {"x": 2**64 - 2}


def test_a_sum_that_no_number_holds_is_the_greatest_that_one_does(reduced):
    assert reduced("latitude AS x MERGEOP sum", *[{"latitude": 1e308}] * 3) == {"x": 1.7976931348623157e308}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("set(city) AS x CAP 2", ["A", "B"]),
        ("set(city) AS x KIND ts[]string CAP 2", ["A", "C"]),
        ("set(epochms()) AS x KIND []time CAP 1", ["1970-01-01T00:00:00.004Z"]),
        ("valuect(city) AS x CAP 1", {"A": 2}),
        ("map(city, cc) AS x CAP 2", {"A": "SE", "C": "DE"}),
        ("map(city, hourofday()) AS x KIND map[string]int MERGEOP mapmax CAP 2", {"A": 0, "B": 0}),
        ("custom_fields AS x MERGEOP latest CAP 1", {"k": "1"}),
    ],
)
def test_cap_shows_the_newest_or_the_greatest_or_the_first(reduced, columns, expected):
    events = [
        {"_time": 1, "city": "B", "cc": "SE"},
        {"_time": 2, "city": "A", "cc": "DE"},
        {"_time": 3, "city": "C", "cc": "DE", "custom_fields": {"m": "2", "k": "1", "l": ""}},
        {"_time": 4, "city": "A", "cc": "SE", "custom_fields": {"n": ""}},
    ]
    assert reduced(columns, *events) == {"x": expected}


def test_where_drops_the_whole_event(reduced):
    events = [{"city": "A"}, {"city": "B"}, {}]
    assert reduced("count(email) AS n, city", *events, where='WHERE city == "A"') == {"city": "A"}
    assert reduced("city", *events, where="WHERE NOT EXISTS city") == {}


def test_the_same_column_in_two_mappings_counts_once_and_another_adds(frame):
    first = 'SELECT email, count(event) AS n IF eq(event, "open") FROM cm_activity INTO user BY email ALIAS a'
    second = (
        'SELECT email, count( event ) AS n IF eq(event,"open") FROM cm_activity INTO user BY email ALIAS b'
    )
    third = (
        'SELECT email, count(event) AS n IF eq(event, "click") FROM cm_activity INTO user BY email ALIAS c'
    )
    program = compile_program([parse(first), parse(second), parse(third)])
    events = [{"event": "open"}, {"event": "click"}, {"event": "click"}]
    assert view(program, reduce(frame("cm_activity", events), program, "cm_activity")[BOB]) == {"n": 3}


def test_no_events_and_events_that_add_nothing_make_no_partials(frame, program):
    assert reduce(frame("cm_activity", []), program, "cm_activity") == {}
    assert reduce(frame("cm_activity", [{}, {}]), program, "cm_activity") == {}


def _id(columns):
    program = compile_program([parse(f"SELECT email, {columns} FROM cm_activity INTO user BY email")])
    return program.fields["x"].id


def test_a_changed_definition_is_a_new_field_and_a_changed_description_is_not():
    plain = _id('count(event) AS x IF event == "open"')
    assert plain.startswith("x:")
    assert plain == _id('COUNT( event )  if (event = "open") SHORTDESC "Opens" AS x KIND INT')
    others = {
        _id("count(event) AS x"),
        _id('count(event) AS x IF event == "click"'),
        _id('count(city) AS x IF event == "open"'),
        _id('count(event) AS x IF event == "open" KIND number'),
        _id("event AS x"),
        _id("event AS x MERGEOP oldest"),
    }
    assert len(others | {plain}) == 7


def test_merge_changes_neither_side_and_keeps_what_it_does_not_know(frame, program):
    a, b = (
        reduce(
            frame("cm_activity", [{"email": BOB, "event": "open", "city": city, "_time": time}]),
            program,
            "cm_activity",
        )[BOB]
        for city, time in (("A", 1), ("B", 2))
    )
    a, b = {**a, "old:1": [1], "ours:1": {"k": 2}}, {**b, "old:1": [2], "theirs:1": "x"}
    before = copy.deepcopy((a, b))
    merged = merge(program, a, b)
    assert merged == merge(program, b, a)
    assert (a, b) == before
    assert (merged["old:1"], merged["ours:1"], merged["theirs:1"]) == ([2], {"k": 2}, "x")
    assert view(program, merged)["cm_openct"] == 2
    merge_into(program, a, b)
    assert a == merged
    assert b == before[1]


def test_states_of_other_definitions_are_not_shown(program):
    assert view(program, {"cm_openct:00000000": 7}) == {}

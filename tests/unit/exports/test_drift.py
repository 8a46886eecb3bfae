"""What counts as drift, by tables: a row as it was read, beside what the list was told."""

from dataclasses import replace

import msgspec
import pytest

from listbridge.exports.delivered import Delivered, Refused
from listbridge.exports.drift import Difference, Kind, Told, drift_of, of_absent, of_stranger
from listbridge.exports.protocol import Listed
from listbridge.exports.terms import Feed, ListSpec, Person
from listbridge.profiles.membership import Membership

NOW = 1_700_000_000_000
MINUTE = 60_000
ANN = "ann@example.com"
FIELD, CITY, TIER = "[F]", "[City]", "[Tier]"
FEED = Feed(
    "w1", running=True, started_at=NOW - 9 * MINUTE, audiences={"a": "A", "b": "B"}, existing_users=True
)
SPEC = ListSpec("l1", (FEED,), ("A", "B"), FIELD, name_field="full", fields={"town": CITY})
INSIDE = {"a": Membership(NOW - 5 * MINUTE, NOW - 5 * MINUTE)}
PERSON = Person(ANN, {"full": "Ann", "town": "Paris"}, INSIDE)
DELIVERED = Delivered(
    NOW - 4 * MINUTE, "Ann", ("A",), {CITY: "Paris"}, ((NOW - 4 * MINUTE, "x"),), known=True, field=FIELD
)
LISTED = Listed(ANN, "active", NOW - 4 * MINUTE, "Ann", {FIELD: ("A",), CITY: ("Paris",)})


def drift(listed=LISTED, *, person=PERSON, spec=SPEC, delivered=DELIVERED, refused=None, in_doubt=False):
    told = Told(delivered, refused, in_doubt)
    return drift_of(person, spec, told, listed, lambda _kind, text: text, read_at=NOW)


def held(**values):
    return replace(LISTED, values=LISTED.values | {f"[{key}]": value for key, value in values.items()})


def refusal(code, at=NOW - 3 * MINUTE):
    return Refused(at, code, "", "", at)


@pytest.mark.parametrize(
    ("listed", "kind", "differences"),
    [
        (held(F=()), Kind.CHANGED, {FIELD: ((), ("A",))}),
        (held(F=("B",)), Kind.EXTRA, {FIELD: (("B",), ("A",))}),
        (held(F=("A", "B")), Kind.EXTRA, {FIELD: (("A", "B"), ("A",))}),
        (held(City=("Rome",)), Kind.CHANGED, {CITY: (("Rome",), ("Paris",))}),
        (held(City=()), Kind.CHANGED, {CITY: ((), ("Paris",))}),
        (replace(LISTED, name="Bo"), Kind.CHANGED, {"name": (("Bo",), ("Ann",))}),
    ],
)
def test_a_row_that_others_changed_can_be_repaired(listed, kind, differences):
    found = drift(listed)

    assert (found.kind, found.repairable) == (kind, True)
    assert found.differences == {key: Difference(*each) for key, each in differences.items()}


@pytest.mark.parametrize(
    "listed",
    [
        LISTED,
        held(F=("theirs", "A")),
        held(Other=("whatever",)),
        replace(LISTED, name=" Ann "),
        replace(LISTED, address="Ann@Example.com"),
        replace(LISTED, status="unconfirmed", values={}),
    ],
    ids=["as told", "options of others", "a field of others", "spaces", "case", "asked to confirm"],
)
def test_what_is_not_ours_is_no_drift(listed):
    assert drift(listed) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [("unsubscribed", Kind.OPTED_OUT), ("bounced", Kind.OPTED_OUT), ("deleted", Kind.MISSING)],
)
def test_an_opt_out_is_news_once_and_never_repaired(status, kind):
    listed = replace(LISTED, status=status, since=NOW - MINUTE)
    found = drift(listed)

    assert (found.kind, found.repairable) == (kind, False)
    assert drift(listed, person=replace(PERSON, status=(status, NOW - MINUTE))) is None
    assert drift(listed, refused=refusal(status)) is None
    assert drift(listed, delivered=None) is None
    assert drift(listed, delivered=msgspec.structs.replace(DELIVERED, left=True)) is None


@pytest.mark.parametrize("since", [NOW - 3 * MINUTE, NOW - 4 * MINUTE])
@pytest.mark.parametrize("knows_by", ["streams", "refusal"])
def test_who_is_active_since_the_opt_out_we_know_of_has_returned(since, knows_by):
    by_streams = knows_by == "streams"
    person = replace(PERSON, status=("unsubscribed", since)) if by_streams else PERSON
    refused = None if by_streams else refusal("unsubscribed", since)

    assert drift(replace(LISTED, since=since + MINUTE), person=person, refused=refused).kind is Kind.RETURNED
    assert drift(replace(LISTED, since=since), person=person, refused=refused) is None, "the opt-out wins"


@pytest.mark.parametrize(
    "changes",
    [
        {"in_doubt": True},
        {"delivered": msgspec.structs.replace(DELIVERED, at=NOW)},
        {"person": replace(PERSON, fields={"full": "Ann", "town": "Oslo"})},
        {"person": replace(PERSON, memberships={})},
        {"person": replace(PERSON, memberships=INSIDE | {"b": INSIDE["a"]})},
    ],
    ids=["in doubt", "told since", "a value waits", "an exit waits", "an enter waits"],
)
def test_what_is_under_way_is_no_drift(changes):
    assert drift(held(F=("B",), City=("Rome",)), **changes) is None


def test_an_option_of_somebody_who_was_never_told_is_extra_and_left():
    found = drift(held(F=("B",)), person=replace(PERSON, memberships={}), delivered=None)

    assert (found.kind, found.repairable) == (Kind.EXTRA, False)
    assert of_stranger(SPEC, held(F=("B",))).kind is Kind.EXTRA
    assert of_stranger(SPEC, held(F=("theirs",))) is None
    assert of_stranger(SPEC, replace(held(F=("B",)), status="unsubscribed")) is None


def test_an_adopted_row_that_nothing_concerns_may_lose_its_option_but_not_win_one():
    adopted = msgspec.structs.replace(DELIVERED, writes=())
    outside = replace(PERSON, memberships={}, told=frozenset())

    assert drift(held(F=()), person=outside, delivered=adopted) is None
    found = drift(held(F=("A", "B")), person=outside, delivered=adopted)
    assert (found.kind, found.repairable) == (Kind.EXTRA, False)


def test_a_field_that_keeps_what_it_has_belongs_to_who_wrote_it():
    assert drift(held(City=("Rome",)), spec=replace(SPEC, when_null={CITY: "set_if_empty"})) is None


def test_a_cleared_value_that_came_back_is_drift():
    spec = replace(SPEC, when_null={CITY: "clear"})
    person = replace(PERSON, fields={"full": "Ann"})
    delivered = msgspec.structs.replace(DELIVERED, values={CITY: ""})

    assert drift(held(City=()), person=person, spec=spec, delivered=delivered) is None
    found = drift(held(City=("Rome",)), person=person, spec=spec, delivered=delivered)
    assert found.differences == {CITY: Difference(("Rome",), ())}


def test_a_row_with_a_refusal_is_told_and_not_sent_again():
    person = replace(PERSON, fields={"full": "Ann", "town": "x" * 251})
    delivered = msgspec.structs.replace(DELIVERED, options=("A",))

    assert drift(held(F=()), person=person, delivered=delivered) is None, "a refusal waits"


def test_who_adds_only_repairs_nothing():
    spec = replace(SPEC, mode="add_only", feeds=(replace(FEED, on_exit="nothing"),))

    found = drift(held(F=()), spec=spec)

    assert (found.kind, found.repairable) == (Kind.CHANGED, False)


def test_options_at_an_address_that_the_row_does_not_go_to_are_a_duplicate():
    spec = replace(SPEC, email_field="work")
    person = replace(PERSON, fields=PERSON.fields | {"work": "ann@work.example"})
    moved = msgspec.structs.replace(DELIVERED, address="ann@work.example")

    assert drift(LISTED, spec=spec, person=person, delivered=moved).kind is Kind.DUPLICATE
    assert drift(held(F=()), spec=spec, person=person, delivered=moved) is None
    assert drift(LISTED, spec=spec, person=person) is None, "the move is still to be made"


@pytest.mark.parametrize(
    ("changes", "is_missing"),
    [
        ({}, True),
        ({"in_doubt": True}, False),
        ({"delivered": None}, False),
        ({"delivered": msgspec.structs.replace(DELIVERED, at=NOW)}, False),
        ({"delivered": msgspec.structs.replace(DELIVERED, left=True)}, False),
        (
            {"delivered": msgspec.structs.replace(DELIVERED, known=False), "refused": refusal("invalid")},
            False,
        ),
        ({"person": replace(PERSON, status=("deleted", NOW))}, False),
    ],
)
def test_who_is_missing(changes, is_missing):
    given = {"delivered": DELIVERED, "refused": None, "in_doubt": False, "person": PERSON} | changes
    person = given.pop("person")

    found = of_absent(person, SPEC, Told(**given), NOW)

    assert (found is not None and found.kind is Kind.MISSING) == is_missing

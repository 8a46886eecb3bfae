"""What is decided about a changed address, as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listbridge.exports.decisions import decide, status_of
from listbridge.exports.delivered import Delivered, Refused, content, delivered, pack, unpack_delivered
from listbridge.exports.moves import (
    Ask,
    Hold,
    Looked,
    Nothing,
    Rename,
    Terms,
    Write,
    cleared_row,
    for_place,
    route,
)
from listbridge.exports.protocol import Found, Row, Way
from listbridge.exports.terms import OF_THE_PERSON, OPTED_OUT, Feed, ListSpec, Person, Send, Skip
from listbridge.profiles.membership import Membership

KEY, OLD, MID, NEW = "ann@example.com", "old@work.example", "mid@work.example", "new@work.example"
MINUTE = 60_000
NOW = 1_700_000_040_000
LATER = NOW + 2 * MINUTE


def row(*olds, options=("A",)):
    cleared = tuple(label for label in ("A", "B") if label not in options)
    return Row(KEY, NEW, None, options, cleared, moved_from=olds or (OLD,))


def active(*options, since=NOW):
    return Found("active", since, options)


def out(status="unsubscribed", *options, since=NOW):
    return Found(status, since, options)


def looked(old, new="not asked", **more):
    olds = old if isinstance(old, dict) else {OLD: old}
    asked = new != "not asked"
    return Looked(olds, new if asked else None, asked, **more)


def held(code, address, *clears, since=NOW, at_new=False):
    where = "the new address" if at_new else address
    return Hold(code, f"{code} in this list under {where}", since, address, clears, at_new)


GONE = Hold("deleted", f"the list has {OLD} no more: somebody took it out", 0, OLD)
NOT_THERE = Hold("not_in_list", "not in the list, which is only updated", 0, NEW)
KNOWN, OPTED_IN = Terms(), Terms(opted_in_at=LATER)


@pytest.mark.parametrize(
    ("why", "found", "terms", "expected"),
    [
        ("the usual move", looked(active("A")), KNOWN, Rename(OLD)),
        ("not there, new not asked for", looked(None), KNOWN, Ask()),
        ("opted out, new not asked for", looked(out()), KNOWN, Ask()),
        ("new one free", looked(active("A"), None), KNOWN, Rename(OLD)),
        ("new one in the list", looked(active("A"), active()), KNOWN, Write((OLD,))),
        ("new one in the list, nothing to clear", looked(active(), active()), KNOWN, Write()),
        ("moved already, by us or by hand", looked(None, active("A")), KNOWN, Write()),
        ("gone", looked(None, None), KNOWN, GONE),
        ("gone, opted in since", looked(None, None), OPTED_IN, GONE),
        ("never stored", looked(None, None), Terms(known=False), Write()),
        ("never stored, only updated", looked(None, None), Terms(known=False, adds=False), GONE),
        ("new one opted out", looked(active("A"), out()), KNOWN,
         held("unsubscribed", NEW, OLD, at_new=True)),
        ("new one opted out, old one gone", looked(None, out("deleted")), KNOWN,
         held("deleted", NEW, at_new=True)),
        ("new one bounced", looked(active("A"), out("bounced")), KNOWN,
         held("bounced", NEW, OLD, at_new=True)),
        ("new one suppressed", looked(active("A"), None, suppressed=True), KNOWN,
         held("suppressed", NEW, OLD, since=0, at_new=True)),
        ("new one opted out, opted in later", looked(active("A"), out()), OPTED_IN, Write((OLD,), True)),
        ("new one opted out in the same minute", looked(active("A"), out(since=LATER + 1)), OPTED_IN,
         held("unsubscribed", NEW, OLD, since=LATER + 1, at_new=True)),
        ("old one opted out", looked(out("unsubscribed", "A"), None), KNOWN, held("unsubscribed", OLD)),
        ("old one deleted", looked(out("deleted"), None), KNOWN, held("deleted", OLD)),
        ("old one unconfirmed", looked(out("unconfirmed"), None), KNOWN, held("unconfirmed", OLD)),
        ("old one opted out, opted in later", looked(out(), None), OPTED_IN,
         Rename(OLD, resubscribe=True)),
        ("old one opted out, new one active before", looked(out(), active(since=NOW - MINUTE)), KNOWN,
         held("unsubscribed", OLD)),
        ("old one opted out, new one active in that minute", looked(out(), active()), KNOWN,
         held("unsubscribed", OLD)),
        ("old one opted out, new one active since", looked(out(), active(since=LATER)), KNOWN, Write()),
        ("old one opted out after our row to the new one", looked(out(), active("A"), ours=True), KNOWN,
         held("unsubscribed", OLD, NEW)),
        ("old one bounced", looked(out("bounced", "A"), None), KNOWN, Write((OLD,))),
        ("old one bounced, only updated", looked(out("bounced"), None), Terms(adds=False),
         held("bounced", OLD)),
        ("another of their addresses opted out", looked(active("A")), Terms(told=("unsubscribed", NOW)),
         held("unsubscribed", "another address", OLD)),
        ("the old one is somebody else's", looked({}, None, lost={OLD: active("A")}), KNOWN, Write()),
        ("somebody else's, and nobody's now", looked({}, None, lost={OLD: None}), KNOWN, Write()),
        ("somebody else's, opted out", looked({}, None, lost={OLD: out("unsubscribed", "A")}), KNOWN,
         held("unsubscribed", OLD)),
        ("two may have it, one does", looked({MID: None, OLD: active("A")}, None), KNOWN, Rename(OLD)),
        ("two have it", looked({MID: active("A"), OLD: active("A")}, None), KNOWN, Rename(MID, (OLD,))),
        ("half made: the row is where it was", looked({MID: active(), OLD: active("A")}, None, unsure=True),
         KNOWN, Rename(OLD)),
        ("half made: it is there", looked({MID: active("A"), OLD: None}, None, unsure=True), KNOWN,
         Rename(MID)),
        ("half made: it is at both", looked({MID: active("A"), OLD: active("A")}, None, unsure=True), KNOWN,
         Rename(OLD, (MID,))),
        ("half made: another left a row", looked({MID: active(), OLD: None}, None, unsure=True), KNOWN,
         Write()),
        ("half made, only updated", looked({MID: active(), OLD: active()}, None, unsure=True),
         Terms(adds=False), Rename(OLD)),
        ("two, one opted out", looked({MID: active("A"), OLD: out()}, None), KNOWN,
         held("unsubscribed", OLD, MID)),
        ("refused there, active since", looked(active(), None, strange=frozenset({OLD})), KNOWN, Write()),
        ("refused there, active since, only updated", looked(active(), None, strange=frozenset({OLD})),
         Terms(adds=False), NOT_THERE),
        ("refused there, and gone since", looked(None, None, strange=frozenset({OLD})), KNOWN, GONE),
        ("taken out, once refused elsewhere", looked({OLD: None, MID: active()}, None,
         strange=frozenset({MID})), KNOWN, GONE),
        ("taken out, once refused elsewhere, only updated", looked({MID: active(), OLD: None}, None,
         strange=frozenset({MID})), Terms(adds=False), GONE),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_becomes_of_a_changed_address(why, found, terms, expected):
    assert route(row(*found.olds), found, terms) == expected


def test_nobody_is_added_to_be_cleared():
    assert route(row(options=()), looked(None, None), Terms(known=False)) == Nothing()


founds = st.none() | st.builds(
    Found,
    st.sampled_from(["active", *sorted(OPTED_OUT)]),
    st.sampled_from([NOW, NOW + MINUTE, LATER]),
    st.sampled_from([(), ("A",)]),
)


@given(
    old=founds, mid=founds, new=founds, opted_in_at=st.sampled_from([None, NOW, LATER]), known=st.booleans(),
    ours=st.booleans(), suppressed=st.booleans(),
)  # fmt: skip
def test_no_route_writes_against_an_opt_out_that_no_later_opt_in_follows(
    old, mid, new, opted_in_at, known, ours, suppressed
):
    found = looked({OLD: old, MID: mid}, new, ours=ours, suppressed=suppressed)

    chosen = route(row(OLD, MID), found, Terms(opted_in_at, known=known))

    outs = [each.since for each in (old, mid) if each and each.status in OF_THE_PERSON]
    outs += [new.since] if new and new.status in OPTED_OUT else []
    since = new.since if new and new.status not in OPTED_OUT else 0
    stands = [at for at in outs if not (opted_in_at or 0) // MINUTE > at // MINUTE]
    if [at for at in stands if not since // MINUTE > at // MINUTE]:
        assert isinstance(chosen, Hold)
    if isinstance(chosen, Rename):
        assert new is None
        assert not suppressed or opted_in_at is not None
    if isinstance(chosen, Rename | Write) and chosen.resubscribe:
        assert opted_in_at is not None
    for address in getattr(chosen, "clears", ()):
        assert {OLD: old, MID: mid, NEW: new}[address] is not None


def test_a_cleared_row_loses_our_options_and_keeps_those_of_others():
    cleared = cleared_row(row(), OLD, ("A", "Theirs"))
    assert (cleared.email, cleared.options, cleared.cleared) == (OLD, (), ("A", "B"))
    assert (cleared.other_options, cleared.consent, cleared.name) == (("Theirs",), "Unchanged", None)


def test_a_row_keeps_what_others_hold_where_it_is_written():
    assert for_place(row(), active("B", "Theirs")).other_options == ("Theirs",)
    assert for_place(row(), None).other_options == ()


# What `decide` makes of it

FEED = Feed("w1", running=True, started_at=NOW - MINUTE, audiences={"a": "A"}, existing_users=True)
SPEC = ListSpec("l1", (FEED,), ("A", "B"), "[F]", email_field="mail")


def person(*slugs, mail=NEW, **changes):
    return Person(KEY, {"mail": mail}, {slug: Membership(NOW, NOW) for slug in slugs}, **changes)


def told(*options, address=OLD, earlier=(), field="[F]"):
    writes = ((NOW, content(None, options)),)
    return Delivered(NOW, None, options, {}, writes, field=field, address=address, earlier=earlier)


def refused(code, address, since=NOW):
    return Refused(NOW, code, "words", "another row", since, address=address)


@pytest.mark.parametrize(
    ("why", "who", "held", "refusal", "moved_from"),
    [
        ("told under another address", person("a"), told("A"), None, (OLD,)),
        ("told under the key", person("a"), told("A", address=""), None, (KEY,)),
        ("a move is in doubt", person("a"), told("A", address=NEW, earlier=(OLD,)), None, (OLD,)),
        ("changed again in doubt", person("a"), told("A", address=MID, earlier=(OLD,)), None, (MID, OLD)),
        ("opted out elsewhere, never told", person("a"), None, refused("unsubscribed", OLD), (OLD,)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("in_doubt", [False, True])
def test_who_is_due_a_move(why, who, held, refusal, moved_from, in_doubt):
    decision = decide(who, SPEC, held, refusal, in_doubt=in_doubt)
    assert isinstance(decision, Send)
    assert (decision.flags.way, decision.flags.resubscribe) == (Way.MOVE, False)
    assert not decision.flags.queue_autoresponders
    assert (decision.row.email, decision.row.moved_from) == (NEW, moved_from)
    assert decision.row.cleared == ("B",)


@pytest.mark.parametrize(
    ("why", "who", "held", "refusal"),
    [
        ("told under this one", person("a"), told("A", address=NEW), None),
        ("in another case", person("a", mail=NEW.upper()), told("A", address=NEW), None),
    ],
)
def test_who_is_due_nothing(why, who, held, refusal):
    assert decide(who, SPEC, held, refusal, in_doubt=False) == Skip("unchanged")


def test_another_address_that_became_somebody_elses_is_left_alone():
    decision = decide(person("a", lost=frozenset({OLD})), SPEC, told("A"), None, in_doubt=False)
    assert isinstance(decision, Send)
    assert (decision.row.moved_from, decision.row.formerly) == ((), (OLD,))


def test_who_left_every_audience_is_cleared_where_they_are():
    decision = decide(person(), SPEC, told("A"), None, in_doubt=False)
    assert isinstance(decision, Send)
    assert (decision.row.email, decision.row.moved_from, decision.flags.way) == (OLD, (), Way.IMPORT)


def test_a_list_by_key_moves_nobody():
    by_key = ListSpec("l1", (FEED,), ("A", "B"), "[F]")
    who = Person(KEY, {"email": KEY}, {"a": Membership(NOW, NOW)})
    assert decide(who, by_key, told("A", address=""), None, in_doubt=False) == Skip("unchanged")


@pytest.mark.parametrize(
    ("here", "elsewhere", "expected"),
    [
        (None, {}, None),
        (("active", NOW), {}, ("active", NOW)),
        (("active", NOW), {OLD: ("unsubscribed", NOW)}, ("unsubscribed", NOW)),
        (("active", LATER), {OLD: ("unsubscribed", NOW)}, ("active", LATER)),
        (("active", NOW), {OLD: ("bounced", LATER)}, ("active", NOW)),
        (None, {OLD: ("deleted", NOW), MID: ("unsubscribed", LATER)}, ("unsubscribed", LATER)),
        (("bounced", NOW), {OLD: ("active", LATER)}, ("bounced", NOW)),
        (("unsubscribed", NOW), {OLD: ("suppressed", LATER)}, ("suppressed", LATER)),
    ],
)
def test_an_opt_out_under_any_address_of_the_person_holds(here, elsewhere, expected):
    assert status_of(person("a", status=here, elsewhere=elsewhere)) == expected


def test_a_record_knows_its_address_only_where_it_is_not_the_key():
    by_key = delivered(Row(KEY, KEY.upper(), None, ("A",)), "[F]", None, NOW, NOW, known=True)
    before = delivered(Row(KEY, OLD, None, ("A",)), "[F]", None, NOW, NOW, known=True)
    moved = delivered(row(), "[F]", before, NOW, NOW, known=True)
    assert (by_key.address, by_key.earlier) == ("", ())
    assert (moved.address, moved.earlier) == (NEW, (OLD,))
    assert unpack_delivered(pack(moved)) == moved


def test_a_record_keeps_only_earlier_addresses_to_which_a_row_went():
    assert delivered(row(), "[F]", None, NOW, NOW, known=True).earlier == ()

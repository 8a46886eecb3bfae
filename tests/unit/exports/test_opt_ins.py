"""Who is brought back: what counts as an opt-in, and that it must be the later one."""

from dataclasses import replace
from itertools import product

import pytest

from listbridge.exports.decisions import decide, opt_in, swallowed
from listbridge.exports.delivered import Delivered, Refused, content, pack, unpack_delivered, unpack_refused
from listbridge.exports.protocol import Flags
from listbridge.exports.terms import Feed, ListSpec, Person, Send, Skip
from listbridge.jobs.feeds import as_moment
from listbridge.profiles.membership import Membership

KEY, MINUTE, HOUR = "ann@example.com", 60_000, 3_600_000
STARTED = 1_700_000_040_000  # a whole minute
OUT = STARTED + HOUR
AFTER = OUT + MINUTE


def feed(resubscribe, **changes):
    fields = {"workflow_id": "w1", "running": True, "started_at": STARTED, "audiences": {"a": "A"}}
    return Feed(**fields | {"resubscribe": resubscribe, "existing_users": True} | changes)


def spec(*feeds):
    return ListSpec("l1", feeds, ("A", "B"), "[F]")


def person(*, entered=OUT - 1, received=None, out=OUT, told=None, slug="a", **more):
    memberships = {slug: Membership(entered, received or entered)}
    status = ("unsubscribed", out) if out is not None else None
    return Person(KEY, {"email": KEY}, memberships, status, told=told, **more)


@pytest.mark.parametrize(
    ("why", "who", "which", "back"),
    [
        ("never", person(entered=AFTER, opted_in_at=AFTER), feed("never"), False),
        ("entered after the opt-out", person(entered=AFTER), feed("always"), True),
        ("entered in the same minute", person(entered=AFTER - 1), feed("always"), False),
        ("entered before", person(entered=OUT - 1), feed("always"), False),
        ("entered before, told after", person(entered=OUT - 1, received=AFTER), feed("always"), False),
        ("told before, says after", person(entered=AFTER, received=OUT - 1), feed("always"), False),
        ("a backfill", person(entered=STARTED - 1, out=STARTED - HOUR), feed("always"), False),
        ("confirmed", person(entered=STARTED - 1), feed("always", confirmed_at=AFTER), True),
        ("confirmed before the opt-out", person(entered=STARTED - 1), feed("always", confirmed_at=OUT),
         False),
        ("confirmed, not counted", person(entered=STARTED - 1),
         feed("always", confirmed_at=AFTER, existing_users=False), False),
        ("confirmed before they entered", person(entered=OUT, received=AFTER + 1),
         feed("always", confirmed_at=AFTER), False),
        ("confirmed before the audience came", person(entered=STARTED - 1),
         feed("always", confirmed_at=AFTER, added={"a": AFTER + 1}), False),
        ("a paused export", person(entered=AFTER), feed("always", running=False), False),
        ("a stale feed", person(entered=AFTER), feed("always", stale=True), False),
        ("opted in later", person(opted_in_at=AFTER), feed("when_opted_in_later"), True),
        ("opted in the same minute", person(opted_in_at=AFTER - 1), feed("when_opted_in_later"), False),
        ("a stale feed, opted in later", person(opted_in_at=AFTER), feed("when_opted_in_later", stale=True),
         False),
        ("opted in later, a backfill", person(entered=STARTED - 1, opted_in_at=AFTER),
         feed("when_opted_in_later"), False),
        ("entering is no opt-in", person(entered=AFTER), feed("when_opted_in_later"), False),
        ("by another field", person(opted_in_at=None, opt_ins={"joined": AFTER}),
         feed("when_opted_in_later", opted_in_field="joined"), True),
        ("the other field alone counts", person(opted_in_at=AFTER, opt_ins={"joined": OUT}),
         feed("when_opted_in_later", opted_in_field="joined"), False),
        ("the other field is not there", person(opted_in_at=AFTER),
         feed("when_opted_in_later", opted_in_field="joined"), False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_who_is_brought_back(why, who, which, back):
    decision = decide(who, spec(which), None, None, in_doubt=False)

    assert isinstance(decision, Send) is back
    if back:
        assert (decision.flags, decision.may_return) == (Flags(resubscribe=True), True)


def test_a_stale_feed_is_told_as_the_reason():
    decision = decide(person(entered=AFTER), spec(feed("always", stale=True)), None, None, in_doubt=False)

    assert decision.message == (
        "unsubscribed in this list; the later opt-in counts once it is known again who opted out: "
        "run an import of the list, with LISTBRIDGE_PUBLIC_URL set for its webhooks"
    )


def test_of_several_exports_the_latest_opt_in_counts_of_those_that_run():
    who = person(entered=AFTER, opted_in_at=AFTER + HOUR)
    feeds = feed("always"), feed("when_opted_in_later"), feed("never")

    assert opt_in(who, spec(*feeds)) == AFTER + HOUR
    assert opt_in(who, spec(feeds[0], feed("when_opted_in_later", running=False))) == AFTER
    assert opt_in(who, spec(feeds[2])) is None


def refusal(*, asked):
    return Refused(AFTER, "unsubscribed", "words", "row", 0, asked)


def told(*, returning):
    return Delivered(
        AFTER, None, ("A",), {}, ((AFTER, content(None, ("A",))),), field="[F]", returning=returning
    )


@pytest.mark.parametrize(
    ("why", "held", "before", "resubscribe"),
    [
        ("a repair", told(returning=False), None, False),
        ("a repeat", told(returning=True), None, False),
        ("a repeat after a refusal of before", None, refusal(asked=False), False),
        ("the list has just answered", None, refusal(asked=True), True),
        ("an answer, and a row on its way", told(returning=True), refusal(asked=True), False),
    ],
)
def test_a_repeat_goes_without_the_switch_until_the_list_has_answered(why, held, before, resubscribe):
    decision = decide(person(entered=AFTER), spec(feed("always")), held, before, in_doubt=True)

    assert isinstance(decision, Send), why
    assert decision.flags == Flags(resubscribe=resubscribe)
    assert decision.may_return


SWITCHES = {"queue_autoresponders": True, "restart_autoresponders": True}


@pytest.mark.parametrize("mode", ["upsert", "update_only", "add_only"])
@pytest.mark.parametrize("raised", [False, True])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("returning", [False, True])
@pytest.mark.parametrize("resubscribe", ["when_opted_in_later", "always"])
def test_whoever_is_in_doubt_is_sent_with_no_switch(mode, raised, known, returning, resubscribe):
    out = person(entered=AFTER, opted_in_at=AFTER)
    new = person(entered=AFTER, opted_in_at=AFTER, out=None)
    exports = replace(spec(feed(resubscribe, **SWITCHES)), mode=mode)
    before = Delivered(AFTER, None, ("A",), {}, known=known, field="[F]", returning=returning)

    for who, held, refused in product((out, new), (before, None), (None, refusal(asked=False))):
        decision = decide(who, exports, held, refused, in_doubt=True, raised=raised)
        if isinstance(decision, Send):
            assert decision.flags == Flags(way=decision.flags.way)
        else:
            assert mode == "add_only"


def test_the_switch_after_the_answer_is_the_only_one():
    exports = spec(feed("always", **SWITCHES))

    first = decide(person(entered=AFTER), exports, None, None, in_doubt=False)
    second = decide(person(entered=AFTER), exports, None, refusal(asked=True), in_doubt=True)

    assert first.flags == Flags(resubscribe=True, queue_autoresponders=True, restart_autoresponders=True)
    assert second.flags == Flags(resubscribe=True)


def test_automations_restart_by_an_export_that_may_bring_people_back():
    exports = spec(feed("always"), feed("always", **SWITCHES, stale=True))

    assert not decide(person(entered=AFTER), exports, None, None, in_doubt=False).flags.restart_autoresponders


@pytest.mark.parametrize(("mode", "on_exit"), [("upsert", "nothing"), ("add_only", "nothing")])
def test_an_export_that_shows_no_exits_swallows_none(mode, on_exit):
    exports = replace(spec(feed("never", on_exit=on_exit)), mode=mode)
    again = person(out=None, entered=AFTER + 1)

    assert swallowed(again, exports, told(returning=False), AFTER + MINUTE) == {}


def test_a_refusal_of_an_older_version_is_read():
    old = Refused(1, "unsubscribed", "words", "row", 2)
    assert unpack_refused(pack((1, "unsubscribed", "words", "row", 2))) == old


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("2026-01-02T03:04:05Z", 1767323045000),
        ("2026-01-02T03:04:05.250+01:00", 1767319445250),
        (1767323045000, 1767323045000),
        ("1767323045000", 1767323045000),
        ("2026-01-02T03:04:05", None),
        ("2026-01-02", None),
        ("yesterday", None),
        ("9" * 400, None),
        (True, None),
        (None, None),
    ],
)
def test_an_opt_in_time_needs_its_offset(value, at):
    assert as_moment(value) == at


def test_a_row_of_an_older_version_is_read():
    older = (
        AFTER,
        None,
        ("A",),
        {},
        (),
        True,
        "[F]",
        2,
        ("theirs",),
        "Yes",
        "+46",
        "No",
        (("[B]", "x"),),
        True,
    )
    held = unpack_delivered(pack(older))

    assert (held.left, held.dropped, held.returning) == (True, (("[B]", "x"),), False)


def test_an_audience_under_a_new_name_keeps_its_people_until_they_are_told_of_by_it():
    renamed = feed("never", audiences={"new": "B"}, names={"new": ("a",)}, former={"new": ("A",)})
    shown = told(returning=False)

    still = decide(person(out=None, told=frozenset({"a"})), spec(renamed), shown, None, in_doubt=False)
    assert (still.row.options, still.row.cleared) == (("B",), ("A",))

    gone = Person(KEY, {"email": KEY}, {"a": Membership(OUT, OUT)}, told=frozenset({"a", "new"}))
    left = decide(gone, spec(renamed), shown, None, in_doubt=False)
    assert (left.row.options, left.row.cleared) == ((), ("A",))


@pytest.mark.parametrize("existing_users", [True, False])
def test_a_new_label_replaces_the_old_one_for_those_who_held_it_alone(existing_users):
    labelled = feed("never", audiences={"a": "B"}, former={"a": ("A",)}, existing_users=existing_users)
    member = person(entered=STARTED - 1, out=None)

    assert decide(member, spec(labelled), told(returning=False), None, in_doubt=False).row.options == ("B",)
    never_told = decide(member, spec(labelled), None, None, in_doubt=False)
    assert (never_told == Skip("not in an audience")) is not existing_users


NOW = AFTER + MINUTE


@pytest.mark.parametrize(
    ("why", "who", "held", "found"),
    [
        ("came and went", Person(KEY, {}, {}, left={"a": OUT}), None, {"a": OUT}),
        ("went and came", person(out=None, entered=AFTER + 1), told(returning=False), {"a": AFTER + 1}),
        ("came", person(out=None, entered=AFTER + 1), None, {}),
        ("went", Person(KEY, {}, {}, left={"a": AFTER + 1}), told(returning=False), {}),
        ("before the row", person(out=None, entered=AFTER), told(returning=False), {}),
        ("before the start", Person(KEY, {}, {}, left={"a": STARTED}), None, {}),
        ("of another export", Person(KEY, {}, {}, left={"z": OUT}), None, {}),
    ],
)
def test_changes_that_no_row_showed_are_found(why, who, held, found):
    assert swallowed(who, spec(feed("never")), held, NOW) == found, why


def test_an_old_change_is_not_looked_for():
    who = Person(KEY, {}, {}, left={"a": OUT})
    assert swallowed(who, spec(feed("never")), None, OUT + 86_400_000) == {}

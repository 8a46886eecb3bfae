"""What would become of one person: tables beside those of the decisions."""

from dataclasses import replace

import msgspec
import pytest

from listbridge.exports.delivered import Delivered, Refused, adopted
from listbridge.exports.planning import Effect, Known, ListRules, imports_needed, plan
from listbridge.exports.protocol import Flags, Listed, Way
from listbridge.exports.tally import Tally
from listbridge.exports.terms import Feed, ListSpec, Person
from listbridge.profiles.membership import Membership

KEY = "ann@example.com"
NOW = 1_700_000_640_000
MINUTE = 60_000
FEED = Feed("w1", running=True, started_at=0, audiences={"a": "A"}, existing_users=True)
SPEC = ListSpec(
    "l1",
    (FEED,),
    ("A", "B"),
    "[F]",
    fields={"town": "[City]", "born": "[Born]"},
    kinds={"[City]": "Text", "[Born]": "Date"},
)
RETURNING = replace(SPEC, feeds=(replace(FEED, resubscribe="when_opted_in_later"),))
QUEUEING = replace(SPEC, feeds=(replace(FEED, queue_autoresponders=True),))


def stored(kind, value):
    return None if kind == "Date" and value < "1900" else value


RULES = ListRules(True, lambda address: "@" in address, stored)
ADOPTING = replace(RULES, adopting=True)


def person(*slugs, status=None, opted_in_at=None, told=None, **fields):
    memberships = {slug: Membership(NOW, NOW) for slug in slugs}
    return Person(KEY, {"email": KEY, **fields}, memberships, status, opted_in_at, told)


def listed(status="active", *options, since=NOW, name="", **values):
    held = {"[F]": options} if options else {}
    return Listed(KEY, status, since, name, held | {f"[{key}]": (value,) for key, value in values.items()})


def known(found=None, *, told=None, refused=None, in_doubt=False, suppressed=False):
    return Known(told, refused, in_doubt, found, suppressed)


TOLD = Delivered(NOW, None, ("A",), {}, ((NOW, "x"),), True, "[F]")


def replace_known(record, value):
    return msgspec.structs.replace(record, known=value)


LATER = NOW + MINUTE
OUT = Refused(NOW, "unsubscribed", "", "")


@pytest.mark.parametrize(
    ("why", "who", "spec", "rules", "found", "effect", "code"),
    [
        ("new", person("a"), SPEC, RULES, known(), Effect.ADDED, ""),
        ("nobody's member", person(), SPEC, RULES, known(listed()), Effect.LEFT, ""),
        ("active without it", person("a"), SPEC, RULES, known(listed()), Effect.UPDATED, ""),
        ("holds it, not read before", person("a"), SPEC, RULES, known(listed("active", "A")),
         Effect.UNCHANGED, ""),
        ("holds it, adopted", person("a"), SPEC, ADOPTING, known(listed("active", "A")),
         Effect.UNCHANGED, ""),
        ("told, holds it", person("a"), SPEC, RULES, known(listed("active", "A"), told=TOLD),
         Effect.UNCHANGED, ""),
        ("told, holds it no more", person("a"), SPEC, RULES, known(listed(), told=TOLD),
         Effect.UNCHANGED, "drift"),
        ("told, has left the list", person("a"), SPEC, RULES, known(listed("deleted"), told=TOLD),
         Effect.UNCHANGED, "drift"),
        ("unsubscribed", person("a"), SPEC, RULES, known(listed("unsubscribed")),
         Effect.REFUSED, "unsubscribed"),
        ("bounced, known", person("a", status=("bounced", NOW)), SPEC, RULES, known(listed("bounced")),
         Effect.REFUSED, "bounced"),
        ("unsubscribed, back later", person("a", opted_in_at=LATER), RETURNING, RULES,
         known(listed("unsubscribed")), Effect.RETURNED, ""),
        ("unsubscribed, same minute", person("a", opted_in_at=NOW + 1), RETURNING, RULES,
         known(listed("unsubscribed")), Effect.REFUSED, "unsubscribed"),
        ("refused before", person("a"), SPEC, RULES,
         known(listed("unsubscribed"), refused=OUT), Effect.REFUSED, "unsubscribed"),
        ("suppressed, never here", person("a"), SPEC, RULES, known(suppressed=True),
         Effect.REFUSED, "suppressed"),
        ("suppressed, here, honoured", person("a", status=("active", 0)), SPEC, RULES,
         known(listed(), suppressed=True), Effect.REFUSED, "suppressed"),
        ("suppressed, here, not honoured", person("a", status=("active", 0)), SPEC,
         replace(RULES, honours_suppression=False), known(listed(), suppressed=True), Effect.UPDATED, ""),
        ("no address", person("a", email="ann"), SPEC, RULES, known(), Effect.REFUSED, "invalid"),
        ("too long", person("a", town="x" * 251), SPEC, RULES, known(), Effect.REFUSED, "invalid"),
        ("no option", person("a", town="Rome"), replace(SPEC, choices={"[City]": ("Paris",)}), RULES,
         known(), Effect.REFUSED, "unknown_option"),
        ("a day that is dropped", person("a", born="1801-01-01"), SPEC, RULES, known(),
         Effect.ADDED, "dropped"),
        ("others' options, unread", person("a"), SPEC, RULES, known(listed("active", "X")),
         Effect.UPDATED, "others_lost"),
        ("others' options, adopted", person("a"), SPEC, ADOPTING, known(listed("active", "X")),
         Effect.UPDATED, ""),
        ("adopted, never told of", person(told=frozenset()), SPEC, ADOPTING, known(listed("active", "A")),
         Effect.LEFT, ""),
        ("adopted, has left", person(told=frozenset("a")), SPEC, ADOPTING, known(listed("active", "A")),
         Effect.UPDATED, ""),
        ("in doubt, never stored", person(), SPEC, RULES,
         known(told=replace_known(TOLD, False), in_doubt=True), Effect.LEFT, ""),
        ("in doubt, stored", person(), SPEC, RULES,
         known(listed("active", "A"), told=replace_known(TOLD, False), in_doubt=True), Effect.UPDATED, ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_would_become_of_a_person(why, who, spec, rules, found, effect, code):
    made = plan(who, spec, found, rules)
    assert (made.effect, made.code) == (effect, code), made
    assert bool(made.sends) or effect in (Effect.UNCHANGED, Effect.REFUSED, Effect.LEFT)


def test_automations_may_start_for_who_is_added_and_for_nobody_else():
    assert plan(person("a"), QUEUEING, known(), RULES).queued
    assert not plan(person("a"), SPEC, known(), RULES).queued
    assert not plan(person("a"), QUEUEING, known(listed()), RULES).queued


def test_the_row_after_has_what_was_there_and_what_is_new():
    made = plan(
        person("a", town="Rome"), SPEC, known(listed("active", "X", name="Ann", City="Paris")), ADOPTING
    )
    assert made.before == ("Ann", {"[F]": ("X",), "[City]": ("Paris",)})
    assert made.after == ("Ann", {"[F]": ("A", "X"), "[City]": ("Rome",)})


def test_only_who_is_active_and_holds_something_is_adopted():
    assert adopted(listed(), "[F]", ("A",), NOW) is None
    assert adopted(listed("deleted", "A"), "[F]", ("A",), NOW) is None
    entry = adopted(listed("active", "X", "A", City="Rome"), "[F]", ("A",), NOW)
    assert entry == Delivered(NOW, "", ("A",), {"[City]": "Rome"}, known=True, field="[F]", others=("X",))


@pytest.mark.parametrize(
    ("rows", "calls"),
    [
        ({}, 0),
        ({Flags(): 1000}, 1),
        ({Flags(): 1001}, 2),
        ({Flags(): 1, Flags(queue_autoresponders=True): 1}, 2),
        ({Flags(): 1000, Flags(True): 101}, 4),
    ],
)
def test_calls_by_flags(rows, calls):
    assert imports_needed(rows, 1000) == calls


def test_a_tally_counts_calls_and_time():
    tally = Tally(sample=1)
    for _ in range(2):
        tally.add(plan(person("a"), SPEC, known(), RULES), elsewhere=True)
    calls = tally.calls(preparing=3, adopting=5, limit=1000)
    assert calls == {
        "prepare": 3,
        "adopt": 5,
        "look_ups": 0,
        "suppression": 1,
        "imports": 1,
        "total": 10,
    }
    assert (tally.added, tally.elsewhere, len(tally.samples["added"])) == (2, 2, 1)
    assert tally.seconds(calls, call_seconds=0.1, in_flight=4) == (0.9, 0.9)


@pytest.mark.parametrize(("mode", "way"), [("upsert", Way.IMPORT), ("update_only", Way.UPDATE)])
@pytest.mark.parametrize(("opted_in_at", "effect"), [(LATER, Effect.RETURNED), (NOW + 1, Effect.REFUSED)])
def test_who_is_asked_for_first_is_sent_one_row_or_none(mode, way, opted_in_at, effect):
    who = person("a", status=("unsubscribed", NOW - MINUTE), opted_in_at=opted_in_at)
    found = plan(who, replace(RETURNING, mode=mode), known(listed("unsubscribed", since=NOW)), RULES)

    assert (found.effect, found.asks) == (effect, 1)
    assert found.sends == ((Flags(True, way=way),) if effect is Effect.RETURNED else ())

import pytest

from listbridge.exports.decisions import (
    Feed,
    ListSpec,
    Person,
    ReadBack,
    Refuse,
    Send,
    Skip,
    build_row,
    content_of,
    decide,
    is_later,
    wanted_options,
)
from listbridge.exports.delivered import INSISTING_MS, Delivered, Refused, content, delivered
from listbridge.exports.protocol import Flags, Row
from listbridge.exports.values import as_text
from listbridge.profiles.membership import Membership

KEY = "ann@example.com"
MINUTE = 60_000
STARTED = 1_700_000_040_000  # a whole minute
BEFORE = STARTED - 1
NOW = STARTED + 10 * MINUTE
LABELS = ("A", "B", "C")


def feed(**changes):
    fields = {
        "workflow_id": "w1",
        "running": True,
        "started_at": STARTED,
        "audiences": {"a": "A", "b": "B"},
        "existing_users": True,
    }
    return Feed(**{**fields, **changes})


def spec(*feeds, **changes):
    return ListSpec(
        **{"list_id": "l1", "feeds": feeds or (feed(),), "labels": LABELS, "field_key": "[F]", **changes}
    )


def person(*slugs, entered=NOW, status=None, opted_in_at=None, **fields):
    memberships = {slug: Membership(entered, entered) for slug in slugs}
    return Person(KEY, {"email": KEY, **fields}, memberships, status, opted_in_at)


def told(*options, known=False, field="[F]", values=None, name=None):
    return Delivered(NOW, name, options, values or {}, ((NOW, content(name, options)),), known, field)


def row(*options, cleared=(), values=(), name=None):
    return Row(KEY, KEY, name, options, tuple(cleared), tuple(values))


def refused(code, *options, at=NOW, since=0):
    return Refused(at, code, "words", content_of(row(*options)), since)


OUT = ("unsubscribed", NOW)
RESUBSCRIBING = spec(feed(resubscribe="when_opted_in_later"))
LATER, SAME_MINUTE = NOW + MINUTE, NOW + MINUTE - 1


@pytest.mark.parametrize(
    ("why", "who", "held", "refusal", "in_doubt", "decision"),
    [
        ("nobody's member, never told", person(), None, None, False, Skip("not in an audience")),
        ("never told, in doubt", person(), None, None, True, Skip("not in an audience")),
        ("entered", person("a"), None, None, False, Send(row("A", cleared="BC"), Flags())),
        ("unchanged", person("a"), told("A"), None, False, Skip("unchanged")),
        ("entered another", person("a", "b"), told("A"), None, False, Send(row("A", "B"), Flags())),
        ("moved", person("b"), told("A"), None, False, Send(row("B", cleared="A"), Flags())),
        ("left the last", person(), told("A"), None, False, Send(row(cleared="A"), Flags())),
        ("in doubt", person("a"), told("A"), None, True, Send(row("A", cleared="BC"), Flags())),
        ("left, perhaps never stored", person(), told("A"), None, True, ReadBack(row(cleared=LABELS))),
        ("left, once stored", person(), told("A", known=True), None, True,
         Send(row(cleared=LABELS), Flags())),
        ("another field now", person("a"), told("A", field="[Old]"), None, False,
         Send(row("A", cleared="BC"), Flags())),
        ("refused as it is", person("a"), None, refused("invalid", "A"), False, Skip("refused before")),
        ("refused otherwise", person("a"), None, refused("invalid", "B"), False,
         Send(row("A", cleared="BC"), Flags())),
        ("refused, in doubt", person("a"), told("A"), refused("invalid", "A"), True,
         Send(row("A", cleared="BC"), Flags())),
        ("left after a refusal", person(), told("A"), refused("invalid", "A"), False,
         ReadBack(row(cleared=LABELS))),
        ("the list said opted out", person("a"), None, refused("unsubscribed", "A"), False,
         Skip("refused before")),
        ("good status since", person("a", status=("active", NOW)), None, refused("unsubscribed", "A"), False,
         Send(row("A", cleared="BC"), Flags())),
        ("good status of before", person("a", status=("active", NOW - MINUTE)), None,
         refused("unsubscribed", "A"), False, Skip("refused before")),
        ("good status of before our clock's refusal", person("a", status=("active", NOW)), None,
         refused("unsubscribed", "A", at=NOW + 9 * MINUTE, since=NOW - MINUTE), False,
         Send(row("A", cleared="BC"), Flags())),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_a_list_is_told(why, who, held, refusal, in_doubt, decision):
    assert decide(who, spec(), held, refusal, in_doubt=in_doubt) == decision


@pytest.mark.parametrize("status", ["unsubscribed", "deleted", "bounced", "suppressed", "unconfirmed"])
@pytest.mark.parametrize("held", [None, told("B")])
@pytest.mark.parametrize("in_doubt", [False, True])
def test_who_opted_out_is_held_back_once(status, held, in_doubt):
    who = person("a", status=(status, NOW))
    refusal = Refused(NOW, status, "", "", NOW)

    first = decide(who, spec(), held, None, in_doubt=in_doubt)
    again = decide(who, spec(), held, refusal, in_doubt=in_doubt)

    assert isinstance(first, Refuse)
    assert (first.code, first.since) == (status, NOW)
    assert again == Skip("refused before")


@pytest.mark.parametrize("status", ["active", "something new"])
def test_a_status_that_is_no_opt_out_holds_nobody_back(status):
    assert isinstance(decide(person("a", status=(status, NOW)), spec(), None, None, in_doubt=False), Send)


@pytest.mark.parametrize(
    ("why", "who", "export", "refusal", "flag"),
    [
        ("later opt-in", person("a", status=OUT, opted_in_at=LATER), RESUBSCRIBING, None, True),
        ("no export says so", person("a", status=OUT, opted_in_at=LATER), spec(), None, False),
        ("the export is paused", person("a", status=OUT, opted_in_at=LATER),
         spec(feed(resubscribe="when_opted_in_later", running=False), feed()), None, False),
        ("no opt-in", person("a", status=OUT), RESUBSCRIBING, None, False),
        ("same minute", person("a", status=OUT, opted_in_at=SAME_MINUTE), RESUBSCRIBING, None, False),
        ("earlier opt-in", person("a", status=OUT, opted_in_at=NOW - 5 * MINUTE), RESUBSCRIBING, None, False),
        ("backfill", person("a", status=OUT, opted_in_at=LATER, entered=BEFORE), RESUBSCRIBING, None, False),
        ("only the list's word, since when unknown", person("a", opted_in_at=LATER), RESUBSCRIBING,
         refused("unsubscribed", "A"), True),
        ("only the list's word, since later", person("a", opted_in_at=LATER), RESUBSCRIBING,
         refused("unsubscribed", "A", since=LATER), False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_only_an_opt_in_after_the_opt_out_is_due_the_resubscribe_switch(why, who, export, refusal, flag):
    decision = decide(who, export, None, refusal, in_doubt=False)

    if flag:
        assert decision == Send(row("A", cleared="BC"), Flags(resubscribe=True), may_return=True)
    else:
        assert not isinstance(decision, Send)


def test_who_did_not_opt_out_is_never_due_the_resubscribe_switch():
    decision = decide(person("a", opted_in_at=LATER), RESUBSCRIBING, None, None, in_doubt=False)

    assert decision == Send(row("A", cleared="BC"), Flags(), may_return=True)


@pytest.mark.parametrize(
    ("opted_in_at", "opted_out_at", "later"),
    [(LATER, NOW, True), (SAME_MINUTE, NOW, False), (NOW, LATER, False), (None, 0, False), (NOW, 0, True)],
)
def test_in_the_same_minute_the_opt_out_wins(opted_in_at, opted_out_at, later):
    assert is_later(opted_in_at, opted_out_at) is later


@pytest.mark.parametrize(
    ("why", "who", "feeds", "held", "in_doubt", "flag"),
    [
        ("first time", person("a"), [feed(queue_autoresponders=True)], None, False, True),
        ("switched off", person("a"), [feed()], None, False, False),
        ("told before", person("a", "b"), [feed(queue_autoresponders=True)], told("A"), False, False),
        ("perhaps told before", person("a"), [feed(queue_autoresponders=True)], told("A"), True, False),
        ("backfill", person("a", entered=BEFORE), [feed(queue_autoresponders=True)], None, False, False),
        ("backfill too", person("a", entered=BEFORE),
         [feed(queue_autoresponders=True, queue_autoresponders_on_backfill=True)], None, False, True),
        ("another export's audience", person("c"),
         [feed(queue_autoresponders=True, queue_autoresponders_on_backfill=True), feed(audiences={"c": "C"})],
         None, False, False),
        ("the export is paused", person("a", "c"),
         [feed(queue_autoresponders=True, running=False), feed(audiences={"c": "C"})], None, False, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_autoresponders_are_queued_for_the_first_row_only(why, who, feeds, held, in_doubt, flag):
    decision = decide(who, spec(*feeds), held, None, in_doubt=in_doubt)

    assert isinstance(decision, Send)
    assert decision.flags == Flags(queue_autoresponders=flag)


@pytest.mark.parametrize(
    ("why", "who", "feeds", "held", "options"),
    [
        ("member", person("a"), [feed()], None, "A"),
        ("members of two exports", person("a", "c"), [feed(), feed(audiences={"c": "C"})], None, "AC"),
        ("one audience in two exports", person("a"), [feed(), feed(audiences={"a": "A"})], None, "A"),
        ("member of nobody's audience", person("z"), [feed()], None, ""),
        ("paused, entered meanwhile", person("a"), [feed(running=False)], None, ""),
        ("paused, left meanwhile", person(), [feed(running=False)], told("A"), "A"),
        ("paused beside a running one", person("b", "c"),
         [feed(running=False), feed(audiences={"c": "C"})], told("A"), "AC"),
        ("paused, but another one running has the audience", person(),
         [feed(running=False), feed()], told("A"), "A"),
        ("stopped beside a running one", person("a", "c"), [feed(audiences={"c": "C"})], told("A", "C"), "C"),
        ("entered before the start", person("a", entered=BEFORE), [feed(existing_users=False)], None, ""),
        ("entered after it", person("a", entered=STARTED), [feed(existing_users=False)], None, "A"),
        ("before the start, told by an export of before", person("a", entered=BEFORE),
         [feed(existing_users=False)], told("A"), "A"),
        ("left, told by an export of before", person(), [feed(existing_users=False)], told("A"), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_labels_that_a_list_should_hold(why, who, feeds, held, options):
    assert wanted_options(who, spec(*feeds), held) == tuple(options)


@pytest.mark.parametrize(
    ("held", "unsure", "cleared"),
    [
        (None, False, "BC"),
        (told("A", "C"), False, "C"),
        (told("A"), False, ""),
        (told("A", "C"), True, "BC"),
        (told("A", field="[Old]"), False, "BC"),
    ],
)
def test_what_is_known_to_hold_is_cleared_by_name_and_else_every_label(held, unsure, cleared):
    assert build_row(person("a"), spec(), ("A",), held, unsure=unsure).cleared == tuple(cleared)


def test_a_row_carries_the_name_and_the_mapped_fields_and_attributes():
    who = person("a", cm_openct=3, cm_name="Ann", channels=["email", "web"], attributes={"tier": "gold"})
    wanted = spec(
        name_field="cm_name",
        fields={
            "tier": "[T]",
            "cm_openct": "[O]",
            "channels": "[Ch]",
            "never_set": "[N]",
            "attributes": "[X]",
        },
    )

    made = build_row(who, wanted, ("A",), None, unsure=False)

    assert made.name == "Ann"
    assert made.values == (("[Ch]", ("email", "web")), ("[O]", "3"), ("[T]", "gold"))


def test_of_two_fields_that_are_mapped_to_one_only_one_is_sent():
    who = person("a", city="Paris", cities=["Lyon", "Nice"])

    made = build_row(who, spec(fields={"cities": "[City]", "city": "[City]"}), ("A",), None, unsure=False)

    assert made.values == (("[City]", "Paris"),)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (3, "3"),
        (True, "true"),
        (False, "false"),
        (["b", 1], ("b", "1")),
        (None, None),
        ({"a": 1}, None),
    ],
)
def test_a_profile_value_as_a_list_takes_it(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "sent"), [("x" * 250, True), ("x" * 251, False), (["x", "y" * 251], False), ([], True)]
)
def test_a_value_that_the_field_cannot_hold_is_refused_once_with_the_reason(value, sent):
    wanted, who = spec(fields={"bio": "[Bio]"}), person("a", bio=value)

    decision = decide(who, wanted, None, None, in_doubt=False)

    assert isinstance(decision, Send) is sent
    if isinstance(decision, Refuse):
        assert decision.message == "the value for [Bio] has 251 characters; the limit is 250"
        held = Refused(NOW, decision.code, decision.message, content_of(decision.row))
        assert decide(who, wanted, None, held, in_doubt=False) == Skip("refused before")


def test_a_changed_mapped_value_is_sent_though_the_audiences_are_the_same():
    wanted, held = spec(fields={"n": "[N]"}), told("A", values={"[N]": "1"})

    assert decide(person("a", n=1), wanted, held, None, in_doubt=False) == Skip("unchanged")
    assert isinstance(decide(person("a", n=2), wanted, held, None, in_doubt=False), Send)


def test_a_record_keeps_the_last_four_writes():
    held = None
    for at in range(6):
        held = delivered(row("A"), "[F]", held, at, at + 100, known=False)

    assert [at for at, _ in held.writes] == [102, 103, 104, 105]
    assert held.holds(row("A", cleared="B"), "[F]")
    assert not held.holds(row("A"), "[Other]")
    assert not held.holds(row("A", "B"), "[F]")


@pytest.mark.parametrize(
    ("options", "until"),
    [(["A"] * 4, INSISTING_MS), (["A"] * 3, 0), (["A", "B", "A", "A"], 0), (["B"] * 4, 0)],
)
def test_a_row_that_never_lasts_is_written_four_times_and_then_rests(options, until):
    held = None
    for at, option in enumerate(options):
        held = delivered(row(option), "[F]", held, at, at, known=False)

    assert held.rests_until(row("A")) == until

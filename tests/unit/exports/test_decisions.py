import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct

from listbridge.exports.decisions import decide, is_later
from listbridge.exports.delivered import INSISTING_MS, Delivered, Refused, content, delivered
from listbridge.exports.protocol import Flags, Row, Way
from listbridge.exports.rows import build_row, content_of, wanted_options
from listbridge.exports.terms import Feed, ListSpec, Person, ReadBack, Refuse, Send, Skip
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
        ("left while the profile was unreadable", person(), told("A", known=True), refused("unreadable"),
         False, Send(row(cleared=LABELS), Flags())),
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


# Options of an export

UNSUBSCRIBING = spec(feed(on_exit="unsubscribe"))
LEFT = replace_struct(told(known=True), left=True)


@pytest.mark.parametrize(
    ("why", "who", "wanted", "held", "in_doubt", "leaves"),
    [
        ("left the last", person(), UNSUBSCRIBING, told("A"), False, True),
        ("no export says so", person(), spec(), told("A"), False, False),
        ("is in another", person("b"), UNSUBSCRIBING, told("A"), False, False),
        ("is in another export's", person("c"), spec(feed(on_exit="unsubscribe"),
         feed(workflow_id="w2", audiences={"c": "C"})), told("A"), False, False),
        ("is in one of another export that does not count it", person("c", entered=BEFORE),
         spec(feed(on_exit="unsubscribe"),
              feed(workflow_id="w2", audiences={"c": "C"}, existing_users=False)), told("A"), False, False),
        ("a paused export still holds them", person(), spec(feed(on_exit="unsubscribe"),
         feed(workflow_id="w2", audiences={"c": "C"}, running=False)), told("A", "C"), False, False),
        ("the audience is the other export's", person(), spec(feed(on_exit="unsubscribe"),
         feed(workflow_id="w2", audiences={"c": "C"})), told("C"), False, False),
        ("perhaps not done yet", person(), UNSUBSCRIBING, LEFT, True, True),
        ("perhaps not done, not heard of since", person(status=("active", NOW - MINUTE)), UNSUBSCRIBING,
         LEFT, True, True),
        ("active in the same minute", person(status=("active", NOW)), UNSUBSCRIBING, LEFT, True, True),
        ("back by themselves", person(status=("active", LATER)), UNSUBSCRIBING, LEFT, True, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_who_is_unsubscribed_on_exit(why, who, wanted, held, in_doubt, leaves):
    decision = decide(who, wanted, held, None, in_doubt=in_doubt)
    assert isinstance(decision, Send)
    assert decision.leaves is leaves


def test_who_was_unsubscribed_is_left_alone():
    assert decide(person(), UNSUBSCRIBING, LEFT, None, in_doubt=False) == Skip("unchanged")


def test_who_left_and_was_perhaps_never_stored_is_asked_for_first():
    decision = decide(person(), UNSUBSCRIBING, told("A"), None, in_doubt=True)
    assert isinstance(decision, ReadBack)
    assert decision.leaves


ADDING = spec(feed(on_exit="nothing"), mode="add_only")


@pytest.mark.parametrize(
    ("why", "who", "held", "refusal", "in_doubt", "sent"),
    [
        ("a stranger", person("a"), None, None, False, True),
        ("known to be there", person("a", status=("active", NOW)), None, None, False, False),
        ("opted out", person("a", status=OUT), None, None, False, False),
        ("added before", person("b"), told("A"), None, False, False),
        ("perhaps added", person("a"), told("A"), None, True, True),
        ("the list has said so", person("b"), None, refused("in_list", "A"), False, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whom_an_export_adds_that_only_adds(why, who, held, refusal, in_doubt, sent):
    decision = decide(who, ADDING, held, refusal, in_doubt=in_doubt)
    if sent:
        assert isinstance(decision, Send)
        assert decision.flags == Flags(way=Way.ADD)
    else:
        assert decision == Skip("in the list already")


def test_an_export_that_only_updates_sends_updates_and_no_automations():
    wanted = spec(feed(queue_autoresponders=True), mode="update_only")
    decision = decide(person("a"), wanted, None, None, in_doubt=False)
    assert isinstance(decision, Send)
    assert decision.flags.way is Way.UPDATE


@pytest.mark.parametrize(
    ("status", "sent"), [(None, False), (("active", NOW - MINUTE), False), (("active", NOW), True)]
)
def test_who_was_not_in_the_list_is_tried_again_once_they_are(status, sent):
    wanted, who = spec(mode="update_only"), person("a", status=status)
    decision = decide(who, wanted, None, refused("not_in_list", "A"), in_doubt=False)
    assert isinstance(decision, Send) is sent


KEEPING = spec(fields={"town": "[City]"}, when_null={"[City]": "set_if_empty"})


@pytest.mark.parametrize(
    ("why", "held", "in_doubt", "raised", "sent"),
    [
        ("never sent", None, False, False, "Rome"),
        ("the list has one", told("B", values={"[City]": "Lund"}), False, False, None),
        ("the list has none", told("B"), False, False, "Rome"),
        ("ours may be lost", told("B", values={"[City]": "Lund"}), True, False, "Lund"),
        ("somebody changed the row", told("B", values={"[City]": "Lund"}), True, True, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_that_is_set_if_empty(why, held, in_doubt, raised, sent):
    decision = decide(person("a", town="Rome"), KEEPING, held, None, in_doubt=in_doubt, raised=raised)
    assert dict(decision.row.values).get("[City]") == sent


def test_a_field_is_emptied_once_where_the_policy_says_so():
    wanted = spec(fields={"town": "[City]"}, when_null={"[City]": "clear"})

    first = decide(person("a"), wanted, told("A", values={"[City]": "Lund"}), None, in_doubt=False)

    assert first.row.values == (("[City]", ""),)
    assert decide(person("a"), wanted, told("A", values={"[City]": ""}), None, in_doubt=False) == Skip(
        "unchanged"
    )


def test_what_a_field_cannot_take_is_left_out_with_the_reason():
    wanted = spec(
        fields={"trips": "[Trips]", "town": "[City]"}, kinds={"[Trips]": "Number", "[City]": "Text"}
    )

    made = build_row(person("a", trips="n/a", town="Rome"), wanted, ("A",), None, unsure=False)

    assert made.values == (("[City]", "Rome"),)
    assert made.dropped == (("[Trips]", "'n/a' is no number"),)


@given(
    st.lists(st.sampled_from("ab"), unique=True),
    st.sampled_from([None, ("active", NOW), OUT]),
    st.sampled_from([None, told("A"), told("A", "B"), told(), LEFT]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["upsert", "update_only", "add_only"]),
    st.sampled_from(["update_field", "unsubscribe", "nothing"]),
)
def test_no_option_lets_an_opt_out_be_undone_or_unsubscribes_a_member(
    slugs, status, held, in_doubt, raised, mode, on_exit
):
    wanted = spec(feed(on_exit=on_exit, restart_autoresponders=True), mode=mode)

    decision = decide(person(*slugs, status=status), wanted, held, None, in_doubt=in_doubt, raised=raised)

    if isinstance(decision, Send):
        assert not decision.flags.resubscribe
        assert not decision.flags.restart_autoresponders
        assert status != OUT
        assert not (decision.leaves and slugs)

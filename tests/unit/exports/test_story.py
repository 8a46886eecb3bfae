"""A person's story from what is held of them: the outcome, and why somebody is in doubt."""

from dataclasses import replace

import pytest

from listbridge.exports.delivered import Delivered, Refused
from listbridge.exports.history import happened
from listbridge.exports.protocol import Flags, Row
from listbridge.exports.terms import THERE, Feed, Person, Refuse, Send, Skip
from listbridge.profiles.membership import Membership
from listbridge.standing.story import Known, Told, tell

AT = 1_790_000_000_000
FEED = Feed("w1", running=True, started_at=AT, audiences={"vip": "VIP"})
ROW = Row("ann@example.com", "ann@example.com", None, ("VIP",))
SEND = Send(ROW, Flags())
IN = {"vip": Membership(AT + 1, AT + 2)}
TOLD = Delivered(AT + 10, None, ("VIP",), {}, ((AT, "x"),))
INVALID = Refused(AT + 20, "invalid", "251 characters", "row")
LEFT = Delivered(AT + 10, None, (), {}, ((AT, "x"),), left=True)
RENAMED = replace(FEED, audiences={"best": "Best"}, names={"best": ("vip",)})
UNANSWERED = happened("unanswered", AT + 11)


def known(**values):
    person = Person("ann@example.com", {}, values.pop("memberships", IN), values.pop("status", None), None)
    start = Known(
        feed=FEED,
        person=person,
        delivered=None,
        refused=None,
        doubt=None,
        doubt_raised=False,
        changed_at=None,
        decision=Skip("unchanged"),
        suppressed=False,
        updated_at=AT,
    )
    return replace(start, **values)


@pytest.mark.parametrize(
    ("held", "outcome", "since"),
    [
        (known(delivered=TOLD), "delivered", TOLD.at),
        (known(delivered=TOLD, status=("unsubscribed", AT + 30)), "opted out", AT + 30),
        (known(delivered=TOLD, status=("active", AT + 30)), "delivered", TOLD.at),
        (known(delivered=TOLD, refused=INVALID), "refused", INVALID.at),
        (known(refused=INVALID, decision=Skip("refused before")), "refused", INVALID.at),
        (known(decision=Refuse("deleted", "deleted in this list", ROW, AT + 5)), "refused", AT + 5),
        (known(decision=SEND, changed_at=AT + 7), "pending", AT + 7),
        (known(decision=SEND, changed_at=AT - 7), "pending", AT),
        (known(decision=SEND, changed_at=0), "pending", None),
        (known(decision=SEND, changed_at=AT + 7, delivered=TOLD), "pending", AT + 7),
        (known(delivered=TOLD, changed_at=AT + 7), "delivered", TOLD.at),
        (known(delivered=TOLD, refused=INVALID, doubt=AT + 60), "in doubt", TOLD.at),
        (known(), "not counted", None),
        (known(memberships={}, left={"vip": AT + 3}), "not in the audience", AT + 3),
        (known(memberships={}, refused=INVALID), "not in the audience", None),
        (known(decision=SEND), "unknown", None),
        (known(decision=Skip(THERE)), "not counted", None),
        (known(delivered=LEFT, memberships={}, status=("unsubscribed", AT + 30)), "delivered", LEFT.at),
        (known(feed=RENAMED, decision=SEND), "unknown", None),
    ],
)
def test_the_outcome_and_since_when(held, outcome, since):
    told = tell(held)
    assert (told.outcome, told.since) == (outcome, since)
    assert told.why


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (known(delivered=TOLD, doubt_raised=True, doubt=AT + 60), "somebody else changed the row"),
        (known(delivered=TOLD, doubt=AT + 60), "being sent just now"),
        (known(delivered=TOLD, doubt=AT + 60, history=[UNANSWERED]), "no answer came"),
        (
            known(delivered=TOLD, doubt=AT + 60, history=[happened("later", AT + 11, code="too_fast")]),
            "would not take it yet (too_fast)",
        ),
        (known(refused=INVALID, doubt=AT + 60), "asked to be tried again"),
    ],
)
def test_why_somebody_is_in_doubt(held, words):
    assert words in tell(held).why
    assert "looked at again at 2026-09-21T" in tell(held).why


def test_a_transition_is_swallowed_when_the_next_of_its_audience_came_before_a_delivery():
    moves = [Told(AT + n, AT + n, "", "vip", entered=n % 2 == 0) for n in (0, 1, 20, 21)]
    story = tell(known(delivered=TOLD, told=[*moves, Told(AT + 2, AT + 2, "", "other", entered=True)]))

    assert story.swallowed == 2
    assert [each.at for each in story.events if "never sent" in each.what] == [AT, AT + 20]
    assert not any("other" in each.what for each in story.events)


def test_reading_a_row_from_the_list_is_no_delivery_that_told_a_transition():
    moves = [Told(AT + n, AT + n, "", "vip", entered=n == 0) for n in (0, 20)]
    found = Delivered(AT + 10, None, ("VIP",), {}, known=True)

    assert tell(known(delivered=TOLD, told=moves)).swallowed == 0
    assert tell(known(delivered=found, told=moves)).swallowed == 1


def test_the_story_goes_on_under_the_new_name_of_an_audience():
    moves = [Told(AT + 1, AT + 2, "", "vip", entered=True), Told(AT + 3, AT + 4, "", "best", entered=False)]
    left = tell(known(feed=RENAMED, memberships={}, left={"best": AT + 3}, told=moves))

    assert [each.what for each in left.events if each.at == AT + 1] == ["entered audience best (Best)"]
    assert [each.what for each in left.events if each.at == AT + 3] == ["left audience best (Best)"]


def test_an_export_on_whose_exits_nothing_happens_swallows_none():
    moves = [Told(AT + n, AT + n, "", "vip", entered=n == 20) for n in (20, 21)]

    assert tell(known(delivered=TOLD, told=moves)).swallowed == 1
    assert tell(known(delivered=TOLD, told=moves, feed=replace(FEED, on_exit="nothing"))).swallowed == 0


OUT = ("unsubscribed", AT + 30)
LATER, EARLIER = AT + 120_000, AT - 120_000


@pytest.mark.parametrize(
    ("settings", "opted_in_at", "decision", "words"),
    [
        ({}, None, Skip("refused before"), "resubscribe is never"),
        (
            {"resubscribe": "when_opted_in_later"},
            None,
            Skip("refused before"),
            "no opt-in of theirs is known",
        ),
        ({"resubscribe": "always"}, None, Skip("refused before"), "entered no audience since the export"),
        ({"resubscribe": "always"}, EARLIER, Skip("refused before"), "is not in a later minute"),
        ({"resubscribe": "always", "stale": True}, LATER, Skip("refused before"), "nothing was heard"),
        ({"resubscribe": "always"}, LATER, SEND, "decided about once the list has answered"),
        ({"resubscribe": "always"}, LATER, Send(ROW, Flags(resubscribe=True)), "the next delivery"),
    ],
)
def test_why_an_opt_out_stands(settings, opted_in_at, decision, words):
    feed = replace(FEED, **settings)
    found = tell(known(delivered=TOLD, status=OUT, feed=feed, opted_in_at=opted_in_at, decision=decision))
    assert words in found.opt_out


def test_an_opt_in_in_another_field_is_known():
    feed = replace(FEED, resubscribe="when_opted_in_later", opted_in_field="joined")
    start = known(delivered=TOLD, status=OUT, feed=feed)
    stated = replace(start, person=replace(start.person, opt_ins={"joined": LATER}))

    assert "no opt-in of theirs is known" in tell(start).opt_out
    assert "entered no audience since the export started" in tell(stated).opt_out

"""What people are told of changed addresses: plans, stories, counters, refusals."""

import pytest
from addressed import ANN, BOB, FIELD, NEW, OLD, B, changes, create, delivered, offer_options, states

from listbridge.exports.advice import advice
from listbridge.jobs.plan import PlanOptions, plan_export
from listbridge.standing.why import why
from listbridge.workflows import log, registry, service


@pytest.fixture
def export(export):
    return offer_options(export)


def nothing(_export):
    pass


def there(export):
    export.act("subscribe", NEW, values={FIELD: ["theirs"]})


def out_there(export):
    there(export)
    export.act("unsubscribe", NEW)


def bounced(export):
    export.act("bounce", OLD)


def gone(export):
    del export.list.subscribers[OLD]


def another_has_it(export):
    delivered(export, (BOB, NEW))


def told_out(export):
    export.act("unsubscribe", OLD)
    export.tell_status(OLD)


def planned(export, workflow):
    found = []
    summary = plan_export(export.context, workflow.id, PlanOptions(sample=5), on_plan=found.append)
    return summary, {each.key: each for each in found}


@pytest.mark.parametrize(
    ("before", "outcome", "code", "single"),
    [
        (nothing, "moved", "", 1),
        (there, "moved", "", 0),
        (out_there, "refused", "unsubscribed", 0),
        (bounced, "moved", "", 1),
        (gone, "refused", "deleted", 0),
        (another_has_it, "refused", "duplicate_address", 0),
        (told_out, "refused", "unsubscribed", 0),
    ],
)
def test_a_plan_tells_what_a_start_does_with_a_changed_address(export, before, outcome, code, single):
    only = create(export)
    delivered(export, (ANN, OLD))
    before(export)
    service.pause(export.context, only.id)
    changes(export, (ANN, NEW))
    writes = export.calls("PUT /subscribers/{list}")

    summary, plans = planned(export, only)

    assert (plans[ANN].effect, plans[ANN].code, plans[ANN].address) == (outcome, code, NEW)
    assert summary.outcomes[outcome] == 1
    assert export.calls("PUT /subscribers/{list}") == writes
    service.resume(export.context, only.id)
    result = export.deliver()
    assert (result.moved, result.refused) == (int(outcome == "moved"), int(outcome == "refused"))
    assert [each.code for each in export.refusals().values()] == ([code] if code else [])
    if outcome == "moved":
        held = export.list.find(NEW)
        assert plans[ANN].after[1][FIELD] == tuple(held.values[FIELD])


def test_the_story_tells_of_the_move_under_any_of_the_addresses(export):
    only = create(export)
    delivered(export, (ANN, OLD))
    changes(export, (ANN, NEW))
    export.deliver()

    stories = [
        why(export.context, registry.get(export.context.store, only.id), address)
        for address in (ANN, OLD, NEW)
    ]

    assert {story["email"] for story in stories} == {ANN}
    assert stories[0]["why"] == f"the list holds: vip (under {NEW})"
    assert stories[0]["last_row"]["address"] == NEW
    assert [each["what"] for each in stories[0]["events"]][-1] == f"delivered: vip, moved from {OLD}"


def test_a_move_that_waits_is_pending(export):
    only = create(export)
    delivered(export, (ANN, OLD))
    changes(export, (ANN, NEW))

    assert why(export.context, only, ANN)["outcome"] == "pending"


def test_moves_are_counted_and_logged(export):
    only = create(export)
    delivered(export, (ANN, OLD), (BOB, B))
    changes(export, (ANN, NEW))
    export.deliver()

    assert log.progress(export.context.store, only.id)["moved"] == 1
    assert any("moved 1" in line["message"] for line in log.read(export.context.store, only.id, 20))
    assert states(export) == {NEW: ["vip"], B: ["vip"]}


def test_who_has_a_duplicate_address_is_told_what_to_do(export):
    only = create(export)
    delivered(export, (ANN, OLD))
    delivered(export, (BOB, OLD))

    story = why(export.context, registry.get(export.context.store, only.id), BOB)

    assert (story["outcome"], story["todo"]) == ("refused", advice("duplicate_address"))
    assert story["why"] == f"duplicate_address: the row of {ANN} has this address"

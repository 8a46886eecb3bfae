"""A check or a trial between the change of an address and its delivery loses nobody."""

import time

import pytest
from addressed import ANN, BOB, NEW, OLD, B, changes, codes, create, delivered, offer_options, states

from listbridge.jobs.reconcile import reconcile
from listbridge.jobs.trial import NotUndone, try_out, undo
from listbridge.workflows import service


@pytest.fixture
def export(export):
    return offer_options(export)


@pytest.fixture(params=[False, True], ids=["new", "in the list"])
def there(export, request):
    """Is the new address in the list already?"""
    if request.param:
        export.act("subscribe", NEW)
    return request.param


def moved(there, *options):
    return {NEW: list(options), B: ["vip"]} | ({OLD: []} if there else {})


def test_who_is_about_to_move_is_neither_missing_nor_a_stranger(export, there):
    made = create(export, "vip", "gold")
    delivered(export, (ANN, OLD), (BOB, B))
    changes(export, (ANN, NEW))

    result = reconcile(export.context, made.id)
    export.folder.run()
    export.deliver_until_rest()

    assert (result.drift, result.learned) == ({}, 0)
    assert states(export) == moved(there, "vip")
    changes(export, (ANN, NEW), audience="gold")
    export.deliver_until_rest()
    assert (states(export), codes(export)) == (moved(there, "gold", "vip"), {})


def test_who_was_taken_out_after_a_move_is_missing(export):
    made = create(export)
    delivered(export, (ANN, OLD), (BOB, B))
    changes(export, (ANN, NEW))
    export.deliver()
    del export.list.subscribers[NEW]

    result = reconcile(export.context, made.id)

    assert (result.drift, result.learned) == ({"missing": 1}, 1)


def test_a_trial_moves_whoever_is_due_it_and_does_not_undo_that(export, there):
    made = create(export)
    delivered(export, (ANN, OLD), (BOB, B))
    service.pause(export.context, made.id)
    changes(export, (ANN, NEW))
    before = states(export)

    with pytest.raises(NotUndone, match="moved"):
        try_out(export.context, made.id, ANN, for_undo=True)
    assert states(export) == before
    trial = try_out(export.context, made.id, ANN)

    assert (trial.plan.effect, trial.state, trial.may_be_undone) == ("moved", "stored", False)
    assert states(export) == moved(there, "vip")
    with pytest.raises(NotUndone, match="moved"):
        undo(export.context, trial)
    service.resume(export.context, made.id)
    export.deliver_until_rest()
    assert states(export) == moved(there, "vip")


@pytest.mark.parametrize("fault", ["drop-before", "drop-after"])
def test_who_was_in_doubt_before_a_trial_is_so_after_its_undo(export, fault):
    made = export.create("vip", "gold")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.fault(fault, times=-1)
    export.happen(("enter", ANN, "gold"))
    export.deliver()
    export.server.simulator.faults.clear()
    service.pause(export.context, made.id)
    time.sleep(1.2)  # until nobody can still be at work on the row

    undo(export.context, try_out(export.context, made.id, ANN))
    service.resume(export.context, made.id)
    export.deliver_until_rest()

    assert states(export) == {ANN: ["gold", "vip"]}

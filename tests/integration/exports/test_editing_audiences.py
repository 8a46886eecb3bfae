"""Audiences added to, removed from and renamed in an export that runs, against the simulated API."""

import pytest
from marshmallow import ValidationError

from listbridge.workflows import log, registry, service
from listbridge.workflows.editing import Change
from simulator import segments

ANN, BOB, CID = "ann@example.com", "bob@example.com", "cid@example.com"


@pytest.fixture
def running(export):
    export.made = export.create("vip", "lapsed")
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "lapsed"))
    export.deliver()
    return export


def edit(export, **change):
    return service.edit_export(export.context, export.made.id, Change(**change))


def options(export):
    return sorted(export.list.fields[0].options)


def members(export, title):
    (found,) = [each for each in export.list.segments.values() if each.title == title]
    return sorted(person.email for person in segments.members(found))


def test_an_added_audience_has_its_option_before_its_first_value(running):
    edit(running, add=["gold"], labels={"gold": "Gold"})
    running.happen(("enter", ANN, "gold"))

    running.deliver()

    assert options(running) == ["Gold", "lapsed", "vip"]
    assert sorted(running.held(ANN)) == ["Gold", "vip"]
    assert members(running, "Gold") == [ANN]
    before = running.server.simulator.calls.report()["total"]
    running.deliver()
    assert running.server.simulator.calls.report()["total"] == before


@pytest.mark.parametrize("existing_users", [True, False])
def test_who_was_in_an_added_audience_counts_as_the_export_says(export, existing_users):
    export.made = export.create("vip", existing_users=existing_users)
    export.happen(("enter", ANN, "gold"))
    export.deliver()

    edit(export, add=["gold"])
    export.happen(("enter", BOB, "gold"))
    export.deliver()

    assert (export.held(ANN), export.held(BOB)) == (["gold"] if existing_users else None, ["gold"])


def test_a_removed_audience_leaves_the_people_and_its_option_stays(running):
    running.happen(("enter", ANN, "lapsed"))
    running.deliver()

    edit(running, remove=["lapsed"])
    running.deliver()

    assert (running.held(ANN), running.held(BOB)) == (["vip"], [])
    assert options(running) == ["lapsed", "vip"]
    assert members(running, "lapsed") == []
    running.happen(("enter", CID, "lapsed"))
    running.deliver()
    assert running.held(CID) is None


def test_a_removed_audience_stays_where_another_export_has_it(running):
    running.create("lapsed")

    edit(running, remove=["lapsed"])
    running.deliver()

    assert running.held(BOB) == ["lapsed"]


UNSUBSCRIBE = "POST /subscribers/{list}/unsubscribe"


def test_taking_an_audience_out_clears_its_people_and_unsubscribes_nobody(export):
    export.made = export.create("vip", "lapsed", on_exit="unsubscribe")
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "lapsed"))
    export.deliver()

    edit(export, remove=["lapsed"])
    export.deliver()
    assert (export.held(ANN), export.held(BOB), export.calls(UNSUBSCRIBE)) == (["vip"], [], 0)

    export.happen(("exit", BOB, "lapsed"))
    export.deliver()
    assert (export.held(BOB), export.calls(UNSUBSCRIBE)) == ([], 0)

    export.happen(("enter", BOB, "vip"))
    export.deliver()
    export.happen(("exit", BOB, "vip"))
    export.deliver()
    assert export.held(BOB) == "Unsubscribed"


@pytest.mark.parametrize("paused", [False, True])
def test_who_left_an_audience_before_it_was_taken_out_is_unsubscribed(export, paused):
    export.made = export.create("vip", "lapsed", on_exit="unsubscribe")
    export.create("gold")
    export.happen(("enter", ANN, "lapsed"), ("enter", BOB, "lapsed"), ("enter", CID, "lapsed"))
    export.deliver()
    if paused:
        service.pause(export.context, export.made.id)

    export.happen(("exit", ANN, "lapsed"), ("exit", CID, "lapsed"))
    edit(export, rename={"lapsed": "gone"})
    edit(export, remove=["gone"])
    export.happen(("enter", CID, "lapsed"))
    if paused:
        export.deliver()
        assert [export.held(each) for each in (ANN, BOB, CID)] == [["lapsed"]] * 3
        service.resume(export.context, export.made.id)
    export.deliver()

    assert [export.held(each) for each in (ANN, BOB, CID)] == ["Unsubscribed", [], []]
    assert export.calls(UNSUBSCRIBE) == 1


@pytest.mark.parametrize("fault", ["drop-before", "drop-after", "500"])
def test_an_exit_that_fails_after_its_audience_was_taken_out_is_done_again(export, fault):
    export.made = export.create("vip", "lapsed", on_exit="unsubscribe")
    export.happen(("enter", ANN, "lapsed"))
    export.deliver()
    export.happen(("exit", ANN, "lapsed"))
    edit(export, remove=["lapsed"])
    export.fault(fault, match=r"POST .*/unsubscribe\.json")

    export.deliver_until_rest()

    assert export.held(ANN) == "Unsubscribed"


def test_where_nothing_happens_on_exit_people_keep_a_removed_audience(export):
    export.made = export.create("vip", "lapsed", on_exit="nothing")
    export.happen(("enter", ANN, "lapsed"))
    export.deliver()

    edit(export, remove=["lapsed"])
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "lapsed"))
    export.deliver()

    assert (sorted(export.held(ANN)), export.held(BOB)) == (["lapsed", "vip"], None)


def test_an_audience_that_comes_back_has_its_people_again(export):
    export.made = export.create("vip", "lapsed", on_exit="unsubscribe", existing_users=True)
    export.happen(("enter", ANN, "lapsed"))
    export.deliver()
    edit(export, remove=["lapsed"])
    export.deliver()
    assert export.held(ANN) == []

    edit(export, add=["lapsed"])
    export.deliver()
    assert export.held(ANN) == ["lapsed"]

    export.happen(("exit", ANN, "lapsed"))
    export.deliver()
    assert export.held(ANN) == "Unsubscribed"


def test_what_others_set_is_left_alone_by_an_edit(running):
    running.list.fields[0].options.append("theirs")
    key = running.list.fields[0].key
    running.act("update", BOB, values={key: ["lapsed", "theirs"]})
    running.create("gold")

    edit(running, add=["silver"])
    running.deliver()

    assert running.held(BOB) == ["lapsed", "theirs"]


def test_a_renamed_audience_keeps_its_people_and_takes_their_label_along(running):
    edit(running, rename={"vip": "best"})
    running.deliver()
    assert running.held(ANN) == ["best"]
    assert options(running) == ["best", "lapsed", "vip"]
    assert (members(running, "best"), members(running, "vip")) == ([ANN], [])

    running.happen(("enter", CID, "best"), ("exit", ANN, "vip"))
    running.deliver()
    assert (running.held(ANN), running.held(CID)) == ([], ["best"])


def test_a_renamed_audience_with_a_label_of_its_own_costs_no_call(export):
    export.made = export.create("vip", labels={"vip": "Very important"})
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    before = export.server.simulator.calls.report()["total"]

    edit(export, rename={"vip": "best"})
    export.deliver()

    assert export.server.simulator.calls.report()["total"] == before
    export.happen(("enter", ANN, "best"), ("exit", ANN, "best"))
    export.deliver()
    assert export.held(ANN) == []


def test_an_edit_of_a_paused_export_takes_effect_when_it_goes_on(running):
    service.pause(running.context, running.made.id)
    edit(running, remove=["vip"])
    running.deliver()
    assert running.held(ANN) == ["vip"]

    service.resume(running.context, running.made.id)
    running.deliver()

    assert running.held(ANN) == []


def test_a_segment_is_found_by_its_title_and_its_rule_looked_at(running):
    running.create("gold")
    running.deliver()
    count = len(running.list.segments)

    edit(running, add=["gold"])
    running.deliver()

    assert len(running.list.segments) == count


def test_an_edit_is_in_the_log_and_the_definition(running):
    changed = edit(running, add=["gold"], remove=["lapsed"], rename={"vip": "best"}, labels={"gold": "Gold"})

    assert changed.export.audiences == {"best": "best", "gold": "Gold"}
    line = log.read(running.context.store, running.made.id)[-1]["message"]
    assert line == (
        "audiences added: gold; removed (their options stay, retired): lapsed; "
        "renamed: vip is now best; labelled: gold as 'Gold'"
    )


def test_an_edit_that_clashes_with_another_export_is_refused(running):
    other = running.create("gold", labels={"gold": "Gold"})

    with pytest.raises(ValidationError, match=other.id):
        edit(running, add=["gold"])


def test_what_has_ended_is_not_edited(running):
    service.stop(running.context, running.made.id)
    with pytest.raises(registry.NotAllowed):
        edit(running, add=["gold"])


def test_of_two_edits_at_once_the_second_is_told(running):
    held = registry.get(running.context.store, running.made.id)
    edit(running, add=["gold"])
    with pytest.raises(registry.EditedMeanwhile):
        registry.redefine(running.context.store, held, held.export, held.edits)

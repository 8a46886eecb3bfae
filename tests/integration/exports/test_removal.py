"""Ending an export for good: what it leaves behind, and removing what is asked."""

import pytest

from listbridge.campaign_monitor.caretaker import CampaignMonitorCaretaker
from listbridge.errors import Retriable
from listbridge.store import keys
from listbridge.store.lease import Lease
from listbridge.workflows import registry, removal, service
from listbridge.workflows.editing import Change
from listbridge.workflows.removal import leftovers_of, objections, remove
from simulator.account import CustomField, Segment

ANN, BOB = "ann@example.com", "bob@example.com"


def the(export, workflow):
    return registry.get(export.context.store, workflow.id)


def titles(export):
    return sorted(each.title for each in export.list.segments.values())


def options(export):
    return sorted(export.list.fields[0].options)


def rules(export, title):
    (found,) = [each for each in export.list.segments.values() if each.title == title]
    return [rule["Clause"] for group in found.groups for rule in group["Rules"]]


def add_segment(export, title, *clauses):
    groups = [{"Rules": [{"RuleType": "[LyticsAudiences]", "Clause": clause} for clause in clauses]}]
    made = Segment(export.account.new_id(), export.list, title, groups)
    export.list.segments[made.segment_id] = made


@pytest.fixture
def only(export):
    """An export that has made its field, two options and two segments, and delivered Ann."""
    made = export.create("vip", "lapsed", labels={"vip": "Very important"})
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    return made


def test_what_would_stay_behind_is_listed_and_nothing_is_changed(export, only):
    add_segment(export, "Theirs", "EQUALS lapsed")
    before = export.server.simulator.calls.report()["by_endpoint"]

    found = leftovers_of(export.context, the(export, only))

    assert found.field_key == "[LyticsAudiences]"
    assert (found.options, found.others) == (("Very important", "lapsed"), ())
    assert list(found.segments) == ["Very important", "lapsed"]
    assert found.ruled == ("Theirs",)
    after = export.server.simulator.calls.report()["by_endpoint"]
    assert {call for call in after if after[call] != before.get(call)} <= {
        call for call in after if call.startswith("GET ")
    }


def test_removing_without_cleanup_ends_and_forgets_the_export_and_leaves_the_list(export, only):
    remove(export.context, only.id, [])

    assert registry.find(export.context.store, only.id) is None
    assert (titles(export), export.held(ANN)) == (["Very important", "lapsed"], ["Very important"])


def test_the_field_goes_with_everything_on_it_and_an_export_made_anew_fills_a_new_one(export, only):
    result = remove(export.context, only.id, ["segments", "field"])

    assert result.done == [
        "segment 'Very important' removed",
        "segment 'lapsed' removed",
        "field [LyticsAudiences] removed",
    ]
    assert (export.list.fields, export.list.segments) == ([], {})

    export.create("vip", existing_users=True)
    export.deliver()
    assert export.held(ANN) == ["vip"]


def test_options_go_and_the_rules_of_other_segments_are_given_back(export, only):
    second = export.create("gold", labels={"gold": "Gold"})
    export.happen(("enter", ANN, "gold"), ("enter", BOB, "gold"))
    export.deliver()
    add_segment(export, "Theirs", "EQUALS Gold", "PROVIDED")

    result = remove(export.context, only.id, ["options", "segments"])

    assert result.problems == []
    assert (options(export), titles(export)) == (["Gold"], ["Gold", "Theirs"])
    assert rules(export, "Gold") == ["EQUALS Gold"]
    assert rules(export, "Theirs") == ["EQUALS Gold", "PROVIDED"]
    assert not export.context.store.client.exists(keys.cleanup(export.list.list_id))
    export.deliver_until_rest()
    assert (export.held(ANN), export.held(BOB), options(export)) == (["Gold"], ["Gold"], ["Gold"])
    assert the(export, second).state == "running"


def test_an_option_that_was_removed_comes_back_with_an_export_made_anew(export, only):
    export.create("gold")
    export.deliver()
    remove(export.context, only.id, ["options", "segments"])

    export.create("vip", labels={"vip": "Very important"}, existing_users=True)
    export.deliver_until_rest()

    assert options(export) == ["Very important", "gold"]
    assert export.held(ANN) == ["Very important"]


def test_what_another_export_needs_is_no_leftover(export, only):
    second = export.create("vip", labels={"vip": "Very important"})
    export.deliver()

    assert leftovers_of(export.context, the(export, only)).options == ("lapsed",)
    remove(export.context, only.id, ["options", "segments"])
    export.deliver_until_rest()

    assert (options(export), titles(export)) == (["Very important"], ["Very important"])
    assert export.held(ANN) == ["Very important"]
    assert the(export, second).state == "running"


def test_rules_that_were_refused_are_given_back_when_the_removal_is_repeated(export, only):
    export.create("gold")
    export.deliver()
    export.fault("401-permission", match=r"PUT .*/segments/")
    assert remove(export.context, only.id, ["options", "segments"]).problems
    assert rules(export, "gold") == []

    assert remove(export.context, only.id, ["options", "segments"]).problems == []

    assert rules(export, "gold") == ["EQUALS gold"]
    assert not export.context.store.client.exists(keys.cleanup(export.list.list_id))


def test_a_removal_that_was_cut_off_gives_the_rules_back_when_it_is_repeated(export, only):
    export.create("gold")
    export.deliver()
    export.fault("drop-before", match=r"PUT .*/segments/")
    with pytest.raises(Retriable):
        remove(export.context, only.id, ["options", "segments"])
    assert rules(export, "gold") == []
    assert registry.find(export.context.store, only.id) is not None

    result = remove(export.context, only.id, ["options", "segments"])

    assert result.problems == []
    assert rules(export, "gold") == ["EQUALS gold"]
    assert registry.find(export.context.store, only.id) is None


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (["options"], "at least one"),
        (["options", "segments"], "at least one"),
    ],
)
def test_the_last_options_cannot_go_without_the_field(export, only, parts, words):
    with pytest.raises(registry.NotAllowed, match=words):
        remove(export.context, only.id, parts)
    assert the(export, only).state == "running"
    assert options(export) == ["Very important", "lapsed"]


def test_options_that_our_segments_ask_for_go_with_the_segments_only(export, only):
    export.create("gold")
    export.deliver()
    with pytest.raises(registry.NotAllowed, match="remove segments, too"):
        remove(export.context, only.id, ["options"])


def test_a_field_that_another_export_fills_or_others_use_stays(export, only):
    export.list.fields[0].options.append("by hand")
    found = leftovers_of(export.context, the(export, only))
    (words,) = objections(export.context, the(export, only), found, ["field"])
    assert "no export made: by hand" in words

    second = export.create("gold")
    (words,) = objections(export.context, the(export, only), found, ["field"])
    assert words.startswith(f"export {second.id} fills the same field")


def test_what_campaign_monitor_refuses_is_told_and_the_export_is_kept_to_repeat_it(export, only, monkeypatch):
    def refuse(self, segment_id):
        raise removal.Fatal("a campaign draft uses this segment (code 272)")

    with monkeypatch.context() as patch:
        patch.setattr(CampaignMonitorCaretaker, "remove_segment", refuse)
        result = remove(export.context, only.id, ["segments"])
    assert len(result.problems) == 2
    assert "272" in result.problems[0]
    assert the(export, only).state == "completed"

    assert remove(export.context, only.id, ["segments"]).problems == []
    assert titles(export) == []


def test_nothing_is_cleaned_while_a_delivery_goes_on(export, only, monkeypatch):
    monkeypatch.setattr(removal, "AWAIT_SECONDS", 0.3)
    lease = Lease(export.context.store, removal.bell_of(export.list.list_id), 5_000)
    assert lease.acquire()
    with pytest.raises(service.StillRunning):
        remove(export.context, only.id, ["segments"])
    assert titles(export) == ["Very important", "lapsed"]
    lease.release()


def test_a_list_without_the_field_leaves_nothing(export):
    only = export.create("vip")
    export.list.fields.append(CustomField("City", "[City]", "Text", []))

    assert leftovers_of(export.context, the(export, only)).field_key == ""
    assert remove(export.context, only.id, ["segments", "options", "field"]).done == []


def test_labels_that_an_edit_replaced_or_took_out_are_leftovers_too(export, only):
    change = Change(remove=("lapsed",), labels={"vip": "The best"})
    service.edit_export(export.context, only.id, change)
    export.deliver_until_rest()

    found = leftovers_of(export.context, the(export, only))

    assert set(found.options) == {"The best", "Very important", "lapsed"}


def test_labels_that_another_export_had_before_an_edit_are_no_leftovers(export, only):
    other = export.create("gold", labels={"gold": "Old gold"})
    export.deliver()
    service.edit_export(export.context, other.id, Change(labels={"gold": "New gold"}))
    export.deliver_until_rest()

    found = leftovers_of(export.context, the(export, only))

    assert set(found.options) == {"Very important", "lapsed"}

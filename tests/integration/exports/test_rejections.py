"""Who is refused, by code and time, and tried again."""

import pytest
from simulated import minutes_from_now

from listbridge.campaign_monitor.suppression import SuppressionList
from listbridge.standing.exports import export_standing, refused_now
from listbridge.standing.lists import standing_of
from listbridge.standing.rejections import as_row, by_code, rejections, retry, which
from listbridge.standing.why import why
from listbridge.store.store import now_ms
from listbridge.systems import campaign_monitor_client
from listbridge.workflows import log, registry, service
from simulator.account import CustomField

ANN, BOB, CID = "ann@example.com", "bob@example.com", "cid@example.com"


@pytest.fixture
def refused(export):
    """Ann is unsubscribed, Bob has too long a value, Cid is well."""
    only = export.create("vip", name_field="x", field_mappings={"bio": "Bio"})
    export.list.fields.append(CustomField("Bio", "[Bio]", "Text", []))
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.act("unsubscribe", ANN)
    export.happen(
        ("exit", ANN, "vip"),
        ("enter", BOB, "vip", {"fields": {"bio": "x" * 251}}),
        ("enter", CID, "vip"),
    )
    export.deliver()
    return registry.get(export.context.store, only.id)


def codes(export, *wanted):
    found = rejections(export.context.store, export.list.list_id, which(*wanted))
    return {key: held.code for key, held in found}


def test_rejections_are_found_by_word_by_the_apis_number_and_by_time(export, refused):
    assert codes(export, None, None) == {ANN: "unsubscribed", BOB: "invalid"}
    assert codes(export, "invalid", None) == {BOB: "invalid"}
    assert codes(export, "206", None) == {ANN: "unsubscribed"}
    assert codes(export, None, now_ms() + 60_000) == {}
    assert by_code(export.context.store, export.list.list_id) == {"unsubscribed": 1, "invalid": 1}


def test_a_rejection_is_shown_with_what_to_do(export, refused):
    found = dict(rejections(export.context.store, export.list.list_id))
    row = as_row(BOB, found[BOB])

    assert (row["email"], row["code"]) == (BOB, "invalid")
    assert "251 characters" in row["message"]
    assert row["remedy"].startswith("correct the address or the value")


def test_a_retry_tries_the_chosen_again_and_resubscribes_nobody(export, refused):
    calls = export.calls()

    assert retry(export.context, refused, which("unsubscribed", None)) == 1
    export.deliver_until_rest()

    assert export.calls() == calls + 1
    assert export.held(ANN) == "Unsubscribed"
    assert codes(export, None, None) == {ANN: "unsubscribed", BOB: "invalid"}
    assert export.account.added_after_opt_out == []


def test_a_retry_finds_no_opt_in_that_is_not_there(export):
    only = export.create("vip", resubscribe="when_opted_in_later")
    export.act("subscribe", ANN)
    export.act("unsubscribe", ANN)
    export.happen(("enter", ANN, "vip", {"opted_in_at": minutes_from_now(-60)}))
    export.deliver_until_rest()

    assert retry(export.context, registry.get(export.context.store, only.id), which(None, None)) == 1
    export.deliver_until_rest()

    assert export.held(ANN) == "Unsubscribed"
    assert export.account.added_after_opt_out == []


def test_a_retry_stores_whom_the_list_takes_by_now(export, refused):
    export.list.find(ANN).state = "Active"

    assert retry(export.context, refused, which(None, None)) == 2
    export.deliver_until_rest()

    assert export.held(ANN) == []
    assert codes(export, None, None) == {BOB: "invalid"}


def test_a_retry_queues_no_autoresponders(export):
    only = export.create("vip", queue_autoresponders=True)
    api = campaign_monitor_client(export.context, export.authorization)
    api.suppress(export.client.client_id, [ANN])
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    api.unsuppress(export.client.client_id, ANN)
    SuppressionList(export.context.store, api, export.client.client_id).refresh()
    retry(export.context, registry.get(export.context.store, only.id), which("suppressed", None))
    export.deliver_until_rest()

    assert export.held(ANN) == ["vip"]
    last = why(export.context, registry.get(export.context.store, only.id), ANN)["events"][-1]["what"]
    assert last == "delivered: vip, sent again"


def test_a_retry_of_a_paused_export_waits_for_it(export, refused):
    service.pause(export.context, refused.id)
    paused = registry.get(export.context.store, refused.id)

    retry(export.context, paused, which(None, None))

    assert export.deliver() is None
    assert "once it is resumed" in str(log.read(export.context.store, refused.id)[-1]["message"])


def test_an_export_that_has_ended_retries_nothing(export, refused):
    service.stop(export.context, refused.id)
    with pytest.raises(registry.NotAllowed, match="has ended"):
        retry(export.context, registry.get(export.context.store, refused.id), which(None, None))


def test_an_export_counts_what_it_did_and_says_how_it_stands(export, refused):
    progress = service.shown(export.context, refused)["progress"]
    assert progress["delivered"] == 2
    assert progress["added"] == 2
    assert progress["refused"] == 2
    assert (progress["refused_unsubscribed"], progress["refused_invalid"]) == (1, 1)
    assert progress["api_calls"] == export.server.simulator.calls.report()["total"]

    standing = export_standing(export.context, refused)
    assert (standing["refused"], standing["waiting"], standing["in_doubt"]) == (2, 0, 0)
    assert standing["lag_seconds"] == 0
    assert standing["backfill"] is None
    assert refused_now(export.context, refused) == {"unsubscribed": 1, "invalid": 1}


def test_calls_that_were_too_many_are_counted(export):
    only = export.create("vip")
    export.fault("429")
    export.happen(("enter", ANN, "vip"))
    export.deliver_until_rest()

    assert log.progress(export.context.store, only.id)["rate_limited"] == 1


def test_the_lag_is_the_age_of_the_oldest_change_and_of_the_oldest_doubt(export):
    only = export.create("vip")
    export.deliver()
    service.pause(export.context, only.id)
    before = now_ms()
    export.happen(("enter", ANN, "vip"))
    store, list_id = export.context.store, export.list.list_id
    standing = standing_of(store, list_id, now_ms() + 60_000)
    assert before <= standing.oldest_at <= now_ms()
    assert 60 <= standing.lag_seconds(now_ms() + 60_000) < 65
    assert standing.waiting == 1

    service.resume(export.context, only.id)
    export.fault("drop-after")
    sent = now_ms()
    export.deliver()
    standing = standing_of(store, list_id, now_ms())
    assert (standing.waiting, standing.in_doubt) == (0, 1)
    assert sent <= standing.oldest_at <= now_ms()


def test_a_look_at_everybody_counts_as_lag_only_since_it_began(export):
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "vip"))
    store, list_id = export.context.store, export.list.list_id
    for part in store.parts:
        for key, _ in store.client.zscan_iter(part.changed):
            store.client.zadd(part.changed, {key: 1_700_000_000_000_000})
    began = now_ms()
    export.create("vip", existing_users=True)

    standing = standing_of(store, list_id, now_ms())

    assert standing.oldest_at >= began
    assert (standing.backfill.people, standing.backfill.done) == (2, 0)
    assert standing.backfill.seconds_left is None
    export.deliver()
    assert standing_of(store, list_id, now_ms()).backfill is None


def test_the_log_names_each_step_with_its_counts(export, refused):
    lines = [str(line["message"]) for line in log.read(export.context.store, refused.id)]
    assert any(line.startswith("list prepared: field [LyticsAudiences], 1 options") for line in lines)
    assert any(line.endswith("people with a profile are looked at") for line in lines)
    assert lines[-1].startswith(
        "delivered 1 (added 1, updated 0), unchanged 0, refused 2 (1 invalid, 1 unsubscribed), in doubt 0, "
        "sent again 0, "
    )

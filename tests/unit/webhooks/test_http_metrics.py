"""`/metrics`: every figure there, read from the store; the alert rules name only what exists."""

import re
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from prometheus_client.parser import text_string_to_metric_families

from listbridge import audiences, authorizations
from listbridge.pacing import Budget, Outcome
from listbridge.secrets import Secrets
from listbridge.standing import queues
from listbridge.standing.metrics import METRICS
from listbridge.systems import account_of, limits_of
from listbridge.workflows import log, registry

DOCS = Path(__file__).parents[3] / "docs"
ALERTS = (DOCS / "alerts.yml").read_text(encoding="utf-8")
RUNBOOK = (DOCS / "runbook.md").read_text(encoding="utf-8")


@pytest.fixture
def made(client, export):
    return client.post("/v1/workflows", json=export).json["id"]


def scraped(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.text))
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    return families, found


def test_every_metric_is_there_with_its_kind_and_meaning(client, made):
    families, _ = scraped(client)
    shown = {
        each.name + ("_total" if each.type == "counter" else ""): (each.type, each.documentation)
        for each in families
    }
    assert shown == dict(METRICS)


def test_the_waits_of_tasks_are_told_by_queue(client, fake_store):
    for waited in (250, 1500, -40):
        queues.note(fake_store, "deliver", waited)

    _, found = scraped(client)

    queue = (("queue", "deliver"),)
    assert found["listbridge_queue_tasks_total", queue] == 3
    assert found["listbridge_queue_waited_seconds_total", queue] == 1.75
    assert found["listbridge_queue_last_wait_seconds", queue] == 0
    assert ("listbridge_queue_tasks_total", (("queue", "fold"),)) not in found


def test_the_figures_are_those_of_the_store(client, made, fake_store):
    event = audiences.AudienceEvent(
        email="ann@example.com", audience="vip", event="enter", timestamp=audiences.now()
    )
    audiences.receive(fake_store, [event])
    audiences.receive(fake_store, [event])
    audiences.receive(
        fake_store,
        [audiences.AudienceEvent(email="nobody", audience="vip", event="enter", timestamp=audiences.now())],
    )
    log.count(fake_store, made, {"api_calls": 3, "rate_limited": 1, "added": 2, "refused_invalid": 4})
    registry.fail(fake_store, made, "the key was revoked")

    _, found = scraped(client)

    stream = (("stream", "audience"),)
    assert found["listbridge_stream_accepted_events_total", stream] == 1
    assert found["listbridge_stream_waiting_events", stream] == 1
    assert found["listbridge_stream_quarantined_events_total", stream] == 1
    assert 0 <= found["listbridge_stream_fold_lag_seconds", stream] < 60
    assert found["listbridge_duplicate_events_total", ()] == 1
    assert found["listbridge_opt_out_lag_seconds", ()] == 0
    of = (("kind", "export"), ("workflow", made))
    assert found["listbridge_workflow_calls_total", of] == 3
    assert found["listbridge_workflow_rate_limited_total", of] == 1
    states = {
        labels[1][1]: value for (name, labels), value in found.items() if name == "listbridge_workflow_state"
    }
    assert states == {"completed": 0, "failed": 1, "paused": 0, "running": 0, "sleeping": 0}
    rows = (("list", "l1"), ("outcome", "added"), ("workflow", made))
    assert found["listbridge_export_rows_total", rows] == 2
    refusals = (("code", "invalid"), ("list", "l1"), ("workflow", made))
    assert found["listbridge_export_refusals_total", refusals] == 4


def test_authorizations_of_one_account_show_its_budget_once(client, made, api_context):
    store, limits = api_context.store, limits_of(api_context.settings)
    [held] = authorizations.list_all(store)
    authorizations.create(
        store, api_context.secrets, secret="k" * 32, description="the same key", base_url=held.base_url
    )
    budget = Budget(store, account_of(api_context, held), limits)
    for outcome, waited in ((Outcome.ANSWERED, 0.5), (Outcome.REFUSED, 1.0)):
        permit = budget.reserve(outcome, longest_seconds=1)
        budget.settle(outcome, permit.epoch, outcome, waited_seconds=waited, rest_seconds=0)

    _, found = scraped(client)

    shown = {name: value for (name, labels), value in found.items() if name.startswith("listbridge_account_")}
    assert {labels for name, labels in found if name in shown} == {(("authorization", held.id),)}
    assert 0 < shown.pop("listbridge_account_calls_per_second") < limits.most
    assert shown == {
        "listbridge_account_calls_total": 2,
        "listbridge_account_rate_limited_total": 1,
        "listbridge_account_waited_seconds_total": 1.5,
    }


def test_an_authorization_that_nobody_can_decrypt_does_not_hide_the_figures(client, made, api_context):
    other = Secrets((Fernet.generate_key().decode(),))
    authorizations.create(
        api_context.store, other, secret="lost", description="lost", base_url="http://127.0.0.1:1"
    )

    _, found = scraped(client)

    assert len([name for name, _ in found if name == "listbridge_account_calls_total"]) == 1


def test_two_scrapes_of_an_unchanged_store_count_nothing(client, made):
    def counters():
        return {name: value for name, value in scraped(client)[1].items() if name[0].endswith("_total")}

    assert counters() == counters()


def test_no_address_is_in_the_metrics(client, made, fake_store):
    event = audiences.AudienceEvent(
        email="ann@example.com", audience="vip", event="enter", timestamp=audiences.now()
    )
    audiences.receive(fake_store, [event])
    assert "@" not in client.get("/metrics").text


def test_the_alert_rules_name_only_metrics_that_exist():
    named = set(re.findall(r"\blistbridge_\w+", ALERTS))
    assert named
    assert named <= METRICS.keys()


def test_every_alert_has_its_own_line_in_the_runbook():
    alerts = re.findall(r"alert: (\w+)", ALERTS)
    assert len(alerts) == len(set(alerts)) > 5
    assert re.findall(r"^## (\w+)", RUNBOOK, re.MULTILINE) == alerts
    assert re.findall(r"runbook.md#(\w+)", ALERTS) == [name.lower() for name in alerts]


def test_one_export_is_shown_with_how_its_list_stands(client, made, fake_store):
    shown = client.get(f"/v1/workflows/{made}").json
    assert shown["standing"] == {
        "delivered": 0,
        "refused": 0,
        "waiting": 0,
        "in_doubt": 0,
        "lag_seconds": 0,
        "backfill": None,
        "opt_out_lag_seconds": 0,
        "opt_outs_read_at": None,
    }
    assert "standing" not in client.get("/v1/workflows").json["workflows"][0]


def test_a_persons_story_is_told(client, made):
    told = client.get(f"/v1/workflows/{made}/people/Ann@example.com").json
    assert (told["email"], told["outcome"], told["events"]) == ("ann@example.com", "not in the audience", [])
    assert client.get("/v1/workflows/none/people/ann@example.com").status_code == 404
    assert client.get(f"/v1/workflows/{made}/people/nobody").status_code == 422

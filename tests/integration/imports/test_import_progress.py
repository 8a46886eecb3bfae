"""What people see of a run: while it goes on, afterwards, and what was left alone."""

import json
import threading

import pytest
from click.testing import CliRunner

import cli.runtime
from cli.main import main
from listbridge.campaign_monitor.reports import REPORTS
from listbridge.imports import progress
from listbridge.standing.imports import import_standing
from listbridge.store import keys
from listbridge.workflows import service
from webhooks.app import create_app


@pytest.fixture
def command(importer, monkeypatch):
    monkeypatch.setattr(cli.runtime, "settings", lambda: importer.context.settings)
    return lambda *arguments: CliRunner().invoke(main, [*arguments])


@pytest.fixture
def ask(importer):
    client = create_app(importer.context, lambda: None).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {importer.context.settings.api_tokens[0]}"
    return lambda workflow: client.get(f"/v1/workflows/{workflow.id}").json


def standing(importer, workflow):
    return import_standing(importer.context, importer.state(workflow))


def test_nothing_is_told_before_the_first_run(importer, command):
    workflow = importer.create(webhooks=False)
    assert standing(importer, workflow) is None
    assert "has not run yet" in command("import", "progress", workflow.id).output


def test_a_run_that_goes_on_tells_its_rows_pages_rate_and_what_is_left(importer, ask, monkeypatch):
    monkeypatch.setattr(progress, "WRITTEN_EVERY_SECONDS", 0)
    workflow = importer.create(webhooks=False)
    seen, one_at_a_time = [], threading.Lock()

    def stopping():
        with one_at_a_time:
            if found := standing(importer, workflow):
                seen.append(found)
        return False

    importer.run(workflow, stopping=stopping)
    middle = [each for each in seen if each["total"]["rows"] and each["total"]["pages_left"] > 3]
    assert middle
    assert any(each["seconds_left"] for each in seen)
    assert any(each["rows_per_second"] > 0 for each in middle)
    rows = [each["total"]["rows"] for each in seen]
    assert rows == sorted(rows)
    run = ask(importer.state(workflow))["run"]
    assert (run["seconds_left"], run["rows_per_second"], run["reading"]) == (None, None, [])
    assert run["total"]["done"] == run["total"]["resources"]
    assert run["total"]["pages_left"] == run["total"]["rows_left"] == 0


def test_the_sums_are_what_was_read(importer, ask):
    workflow = importer.import_all(webhooks=False)
    run = ask(importer.state(workflow))["run"]
    campaigns = importer.server.account.clients[importer.client_id].campaigns.values()
    for report in REPORTS:
        assert run["kinds"][report]["rows"] == sum(len(each.reports[report]) for each in campaigns)
    progress = service.shown(importer.context, importer.state(workflow))["progress"]
    assert progress["rows"] == run["total"]["rows"]
    assert progress["pages"] <= run["total"]["pages"] <= progress["api_calls"]


def test_a_run_that_is_broken_off_and_goes_on_counts_what_was_read_before(importer):
    made, workflow = importer.server.simulator.calls, importer.create(webhooks=False)
    importer.run(workflow, stopping=lambda: made.report()["total"] >= 30)
    before = standing(importer, workflow)["total"]["rows"]
    assert before
    importer.persist(workflow)
    assert standing(importer, workflow)["total"]["rows"] >= before
    assert standing(importer, workflow)["total"]["pages_left"] == 0


def test_what_was_left_alone_is_counted_and_said(importer, command):
    workflow = importer.import_all(webhooks=False)
    service.run_now(importer.context, workflow.id)
    importer.run(workflow)
    run = json.loads(command("import", "progress", workflow.id, "--json").output)
    assert run["total"]["left_alone"] >= 6 * 3
    assert run["kinds"]["opens"]["resources"] == 0
    shown = command("import", "show", workflow.id).output
    assert "UNCHANGED" in shown
    assert "opens" in shown
    assert "left alone" in command("workflow", "log", workflow.id).output


def test_a_deleted_import_leaves_no_progress(importer):
    workflow = importer.import_all(webhooks=False)
    service.delete(importer.context, workflow.id)
    assert not importer.context.store.client.exists(keys.run(workflow.id))

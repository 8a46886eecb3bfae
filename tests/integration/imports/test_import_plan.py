"""What a run would cost, told before it is made."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

import cli.runtime
from cli.main import main
from listbridge.campaign_monitor.reports import REPORTS
from listbridge.jobs.import_plan import plan_workflow
from listbridge.jobs.kept_import_plans import make_plan
from listbridge.workflows import registry, service
from listbridge.workflows.models import State
from listbridge.workflows.registry import NotAllowed
from webhooks.app import create_app


@pytest.fixture
def importer(importer_of):
    return importer_of(small_pages=False, campaigns=4, people=150, activity_rows=6000, journeys=1)


@pytest.fixture
def command(importer, monkeypatch):
    """Runs `listbridge` on the test's store."""
    monkeypatch.setattr(cli.runtime, "settings", lambda: importer.context.settings)
    return lambda *arguments: CliRunner().invoke(main, [*arguments])


def calls(importer):
    return importer.server.simulator.calls.report()["total"]


def campaigns_of(importer):
    return list(importer.server.account.clients[importer.client_id].campaigns.values())


def test_a_plan_counts_the_rows_and_calls_that_the_run_then_makes(importer):
    workflow = importer.create(webhooks=False)
    planned = plan_workflow(importer.context, workflow.id)
    before = calls(importer)
    result = importer.run(workflow)
    spent = calls(importer) - before
    # The campaigns' lists need not be asked for again; the suppression list comes in addition.
    assert 0 <= spent - (planned.calls - len(campaigns_of(importer))) <= 3
    kinds = planned.forecast.kinds
    rows = {name: sum(len(campaign.reports[name]) for campaign in campaigns_of(importer)) for name in REPORTS}
    assert kinds["spam"].rows == rows["spam"]
    assert kinds["opens"].rows >= rows["opens"]
    assert kinds["recipients"].rows >= rows["recipients"]
    assert planned.forecast.rows <= result.rows
    assert planned.seconds >= 0
    assert planned.calls_per_second > 0


def test_the_plan_of_what_was_read_costs_what_a_second_run_costs(importer):
    workflow = importer.import_all(webhooks=False)
    campaign = campaigns_of(importer)[-1]
    for row in list(campaign.reports["opens"].rows())[-3:]:
        campaign.reports["opens"].add(row)
    planned = plan_workflow(importer.context, workflow.id)
    assert planned.forecast.kinds["opens"].rows == 3
    assert planned.forecast.kinds["recipients"].left_alone == planned.forecast.kinds["recipients"].resources
    before = calls(importer)
    service.run_now(importer.context, workflow.id)
    importer.run(workflow)
    assert abs(calls(importer) - before - planned.calls) <= 2


def test_a_plan_changes_nothing_that_an_import_has(importer):
    workflow = importer.create(webhooks=False)
    plan_workflow(importer.context, workflow.id)
    assert not importer.stored()
    assert "api_calls" not in service.shown(importer.context, workflow)["progress"]
    assert importer.state(workflow) == registry.get(importer.context.store, workflow.id) == workflow


def test_what_cannot_be_read_is_named_in_the_plan(importer):
    gone = campaigns_of(importer)[0]
    workflow = importer.create(webhooks=False)
    real = importer.server.account.find_campaign

    def find(campaign_id):
        from simulator.errors import ApiError

        if campaign_id == gone.campaign_id:
            raise ApiError(102)
        return real(campaign_id)

    importer.server.account.find_campaign = find
    (problem,) = plan_workflow(importer.context, workflow.id).forecast.problems
    assert problem.startswith(f"{gone.name}: the campaign is gone")


def test_only_imports_have_this_plan(importer):
    export = registry.create(
        importer.context.store,
        kind="export",
        authorization_id=importer.authorization_id,
        config=service.load_export(
            {"client_id": "c", "list_id": "l", "audiences": ["a"], "consent_to_track": "No"}
        ),
    )
    with pytest.raises(NotAllowed, match="is an export"):
        plan_workflow(importer.context, export.id)
    with pytest.raises(NotAllowed, match="only imports run"):
        service.run_now(importer.context, export.id)


def test_the_command_plans_what_options_say_and_an_import_that_was_made(importer, command):
    everything = json.loads(command("import", "plan", "--json").output)
    opens = json.loads(command("import", "plan", "--report", "opens", "--json").output)
    assert {"opens", "clicks", "active", "looking"} <= everything["kinds"].keys()
    assert "clicks" not in opens["kinds"]
    assert opens["calls"] < everything["calls"]
    none = json.loads(command("import", "plan", "--since", "2099-01-01", "--json").output)
    assert none["kinds"]["opens"]["resources"] == 2  # of the journey

    made = json.loads(command("import", "create", "--paused", "--no-webhooks", "--json").output)
    assert made["state"] == "paused"
    shown = command("import", "plan", made["id"])
    assert shown.exit_code == 0
    assert f"{everything['calls'] - len(campaigns_of(importer)):,} calls: about" in shown.output
    assert command("import", "plan", made["id"], "--report", "opens").exit_code == 2
    assert "is running" in command("import", "run", made["id"]).output
    assert importer.run(registry.get(importer.context.store, made["id"])).accepted > 0


def test_campaigns_sent_before_a_day_are_left_out_until_somebody_asks_for_them(importer):
    days = [campaign.sent_date[:10] for campaign in campaigns_of(importer)]
    importer.import_all(webhooks=False, since=days[2])
    missing = importer.held() - importer.stored()
    old = {campaign.campaign_id for campaign in campaigns_of(importer)[:2]}
    assert {fact[1] for fact in missing if fact[0] != "deactivate"} == old
    importer.import_all(webhooks=False)
    assert importer.stored() == importer.held()


def test_reports_that_were_not_chosen_are_not_read(importer):
    importer.import_all(webhooks=False, reports=["clicks"])
    assert {fact[0] for fact in importer.stored()} == {"state", "click"}
    importer.import_all(webhooks=False)
    assert importer.stored() == importer.held()


@pytest.mark.parametrize("newest_first", [False, True])
def test_campaigns_are_read_in_the_order_that_was_chosen(importer, newest_first, monkeypatch):
    from listbridge.campaign_monitor import CampaignMonitor

    asked, real = [], CampaignMonitor.campaign_summary

    def summary(self, campaign_id):
        asked.append(campaign_id)
        return real(self, campaign_id)

    one_by_one = replace(importer.context.settings, api_calls_in_flight=1)
    importer.context = replace(importer.context, settings=one_by_one)
    monkeypatch.setattr(CampaignMonitor, "campaign_summary", summary)
    importer.import_all(webhooks=False, newest_first=newest_first)
    sent = [campaign.campaign_id for campaign in campaigns_of(importer)]
    assert asked == (sent[::-1] if newest_first else sent)
    assert importer.stored() == importer.held()


def test_addresses_of_machines_and_coordinates_are_left_out_unless_asked_for(importer):
    import msgspec

    from listbridge.streams.log import tail

    workflow = importer.create(webhooks=False, ip_and_coordinates=False)
    importer.run(workflow)
    assert importer.state(workflow).state is State.COMPLETED
    events = [
        msgspec.json.decode(line) for _, line in tail(importer.context.store, "stream", "cm_activity", 10**6)
    ]
    assert len(events) == sum(count for fact, count in importer.held().items() if fact[0] != "state")
    held = set().union(*events)
    assert {"city", "region", "country"} <= held
    assert not held & {"ip", "latitude", "longitude"}


@pytest.fixture
def rung():
    return []


@pytest.fixture
def ask(importer, rung):
    """Asks for a plan over HTTP; `rung` has whose was rung for."""
    client = create_app(importer.context, lambda: None, ring_plan=rung.append).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {importer.context.settings.api_tokens[0]}"
    return lambda workflow_id, query="", what="import-plan": client.get(
        f"/v1/workflows/{workflow_id}/{what}{query}"
    )


def test_the_plan_that_is_asked_for_is_made_by_a_worker_and_kept(importer, ask, rung):
    workflow = importer.create(webhooks=False)
    answer = ask(workflow.id)
    assert (answer.status_code, answer.json, rung) == (202, {"plan": None}, [workflow.id])
    make_plan(importer.context, workflow.id)
    answer = ask(workflow.id)
    assert answer.status_code == 200
    assert answer.json["plan"]["kinds"]["opens"]["pages"] >= 4
    before = calls(importer)
    assert ask(workflow.id).json == answer.json
    make_plan(importer.context, workflow.id)
    assert calls(importer) == before
    assert ask(workflow.id, "?refresh=true").status_code == 202


def test_an_import_with_a_kept_plan_has_no_plan_of_an_export(importer, ask):
    workflow = importer.create(webhooks=False)
    ask(workflow.id)
    answer = ask(workflow.id, what="plan")
    said = f"{workflow.id} is an import; this is for an export"
    assert (answer.status_code, answer.json["error"]["message"]) == (409, said)


def test_why_there_is_no_plan_is_told_once(importer, ask):
    workflow = importer.create(webhooks=False)
    ask(workflow.id)
    importer.server.account.api_key = "another"
    make_plan(importer.context, workflow.id)
    assert "Invalid API Key" in ask(workflow.id).get_data(as_text=True)
    assert ask(workflow.id).status_code == 202
    assert ask("nosuch").status_code == 404

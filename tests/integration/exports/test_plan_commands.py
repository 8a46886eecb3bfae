"""A plan as people ask for it: by command and over HTTP; it changes nothing anywhere."""

import csv
import json

import pytest
from click.testing import CliRunner

import cli.runtime
from cli.main import main
from listbridge import bells
from listbridge.exports.setup import setup_of
from listbridge.jobs import kept_plans
from listbridge.jobs.kept_plans import kept_plan, make_plan
from listbridge.jobs.plan import PlanOptions, plan_export
from listbridge.workflows import registry, service
from simulator.account import CustomField
from webhooks.app import create_app

ANN, BOB, CID, DAN = "ann@example.com", "bob@example.com", "cid@example.com", "dan@example.com"
FIELD = "[LyticsAudiences]"
PACING = b"lb:pace"


@pytest.fixture
def planned(export):
    """A paused export with somebody of every outcome."""
    export.list.fields.append(CustomField("Lytics Audiences", FIELD, "MultiSelectMany", ["vip", "theirs"]))
    other = export.account.add_list(export.client, "Another list")
    export.server.simulator.act("subscribe", other.list_id, ANN)
    for email, options in ((BOB, ["vip"]), (CID, []), (DAN, ["theirs"])):
        export.act("subscribe", email, values={FIELD: options})
    export.act("unsubscribe", CID)
    made = export.create("vip", existing_users=True, queue_autoresponders=True)
    export.made = service.pause(export.context, made.id)
    export.other = other
    export.happen(*(("enter", email, "vip") for email in (ANN, BOB, CID)))
    return export


@pytest.fixture
def command(planned, monkeypatch):
    """Runs `listbridge export plan` on the test's store."""
    monkeypatch.setattr(cli.runtime, "settings", lambda: planned.context.settings)

    def run(*arguments):
        return CliRunner().invoke(main, ["export", "plan", planned.made.id, *arguments])

    return run


@pytest.fixture
def rung():
    return []


@pytest.fixture
def ask(planned, rung):
    """Asks for the plan over HTTP; `rung` has who was rung for."""
    app = create_app(planned.context, lambda: None, ring_plan=rung.append)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {planned.context.settings.api_tokens[0]}"
    return lambda query="", made=None: client.get(f"/v1/workflows/{made or planned.made.id}/plan{query}")


def contents(store):
    """Everything in the store, but for the pace of calls."""
    found = {}
    for name in store.client.scan_iter(count=1000):
        if not name.startswith(PACING):
            found[name] = (store.client.dump(name), store.client.pexpiretime(name))
    return found


def writes(export):
    by_endpoint = export.server.simulator.calls.report()["by_endpoint"]
    return {name: count for name, count in by_endpoint.items() if not name.startswith("GET ")}


def test_the_plan_names_every_outcome_and_what_would_be_made(planned):
    made = plan_export(planned.context, planned.made.id, PlanOptions(sample=1))

    assert made.outcomes == {
        "added": 1,
        "returned": 0,
        "updated": 0,
        "moved": 0,
        "unchanged": 1,
        "unsubscribed": 0,
        "refused": 1,
        "left": 0,
    }
    assert made.refused == {"unsubscribed": 1}
    assert made.people_in_list == {
        "active": 2,
        "unconfirmed": 0,
        "unsubscribed": 1,
        "bounced": 0,
        "deleted": 0,
    }
    assert made.creates == {"field": [], "options": [], "segments": ["vip"]}
    assert (made.adopts, made.automations_may_start_for) == (True, 1)
    assert made.other_lists == {
        "active_elsewhere": 0,
        "known_from": "imports",
        "known": [],
        "not_known": ["Another list"],
    }
    assert made.samples["added"] == [
        {
            "email": ANN,
            "outcome": "added",
            "code": "",
            "reason": "",
            "present": None,
            "new": {"name": "", "values": {FIELD: ("vip",)}},
        }
    ]
    assert (made.calls["imports"], made.calls["adopt"]) == (1, 3)


def test_who_is_active_in_other_lists_is_read_where_that_is_asked(planned):
    made = plan_export(planned.context, planned.made.id, PlanOptions(other_lists=True))
    assert made.other_lists == {
        "active_elsewhere": 1,
        "known_from": "lists",
        "known": ["Another list"],
        "not_known": [],
    }


@pytest.mark.parametrize("options", [PlanOptions(), PlanOptions(5, other_lists=True)])
def test_a_plan_changes_nothing_in_the_store_and_nothing_in_the_list(planned, options):
    held, called = contents(planned.context.store), writes(planned)

    plan_export(planned.context, planned.made.id, options)

    assert contents(planned.context.store) == held
    assert writes(planned) == called


def test_a_confirmed_opt_in_list_would_mail_whom_it_gets(planned):
    planned.list.confirmed_opt_in = True
    made = plan_export(planned.context, planned.made.id)
    assert made.confirmation_mails == 1
    assert any("confirms opt-ins: 1 people" in warning for warning in made.warnings)


def test_what_a_start_would_fail_with_is_said_in_the_same_words(planned):
    made = planned.create("lapsed", field_mappings={"town": "City"})
    with pytest.raises(Exception, match="no custom field 'City' to map to; it has: Lytics Audiences"):
        plan_export(planned.context, made.id)


def test_what_a_human_changed_since_is_told_as_drift(planned):
    service.resume(planned.context, planned.made.id)
    planned.deliver()
    planned.act("update", ANN, values={FIELD: []})

    made = plan_export(planned.context, planned.made.id)

    assert made.notes == {"drift": 1}
    assert (made.outcomes["unchanged"], made.calls["total"]) == (2, 0)


def test_people_whose_row_goes_to_another_address_are_found_under_that(planned):
    planned.act("subscribe", "work@example.com")
    service.delete(planned.context, planned.made.id)
    made = planned.create("gold", email_field="work", existing_users=True)
    planned.happen(("enter", ANN, "gold", {"fields": {"work": "work@example.com"}}))

    found = []
    plan_export(planned.context, made.id, on_plan=found.append)

    assert [(each.key, each.address, each.effect) for each in found if each.key == ANN] == [
        (ANN, "work@example.com", "updated")
    ]


def test_a_damaged_profile_is_refused_as_a_start_does(planned):
    part = planned.context.store.part(ANN)
    planned.context.store.client.hset(part.profiles, ANN, b"damaged")
    assert plan_export(planned.context, planned.made.id).refused == {"unreadable": 1, "unsubscribed": 1}


def test_the_command_shows_a_table_and_the_steps_on_standard_error(command):
    result = command("--sample", "1")
    assert result.exit_code == 0
    for said in (
        "'A list'",
        "added",
        "unsubscribed: 1",
        ANN,
        "confirmed_opt_in: no",
        "automations could start",
    ):
        assert said in result.stdout, said
    assert "reading: active people" in result.stderr


def test_the_command_writes_json_and_a_row_for_each_person(command, tmp_path):
    file = tmp_path / "plan.csv"
    result = command("--json", "--csv", str(file))
    assert json.loads(result.stdout)["outcomes"]["added"] == 1
    with file.open(encoding="utf-8", newline="") as rows:
        written = {row["email"]: row for row in csv.DictReader(rows)}
    assert {email: row["outcome"] for email, row in written.items()} == {
        ANN: "added",
        BOB: "unchanged",
        CID: "refused",
    }
    assert json.loads(written[ANN]["new"])["values"] == {FIELD: ["vip"]}
    assert (written[CID]["code"], written[ANN]["present"]) == ("unsubscribed", "")


def test_an_import_and_an_export_that_has_ended_have_no_plan(planned, ask):
    done = service.stop(planned.context, planned.made.id)
    assert ask(made=done.id).status_code == 409
    imported = service.create_import(
        planned.context, planned.authorization.id, {"client_id": planned.client.client_id}
    )
    assert ask(made=imported.id).status_code == 409
    assert ask(made="nobody").status_code == 404


def test_a_small_plan_is_answered_at_once_and_kept_until_it_is_asked_for_anew(planned, ask, rung):
    first = ask("?sample=2")
    assert (first.status_code, first.json["plan"]["outcomes"]["added"], rung) == (200, 1, [])
    calls = planned.server.simulator.calls.report()["total"]

    assert ask("?sample=2").json == first.json
    assert planned.server.simulator.calls.report()["total"] == calls
    assert ask("?sample=2&refresh=1").json["plan"]["made_at"] > first.json["plan"]["made_at"]


def test_a_large_plan_is_made_by_a_worker(planned, ask, rung, monkeypatch):
    monkeypatch.setattr(kept_plans, "SMALL", 1)
    waiting = ask()
    assert (waiting.status_code, waiting.json["plan"]) == (202, None)
    assert ask().status_code == 202
    assert rung == [planned.made.id], "rung once for a burst of questions"

    make_plan(planned.context, planned.made.id)

    assert ask().json["plan"]["outcomes"]["added"] == 1
    store = planned.context.store
    assert 0 < store.client.ttl(f"lb:plan:{planned.made.id}") <= kept_plans.KEPT_SECONDS


def test_a_worker_that_is_stopped_leaves_the_plan_to_the_next(planned, ask, rung, monkeypatch):
    monkeypatch.setattr(kept_plans, "SMALL", 1)
    ask()
    make_plan(planned.context, planned.made.id, stopping=lambda: True)
    assert not kept_plan(planned.context.store, planned.made.id).is_over
    bells.clear(planned.context.store, f"plan:{planned.made.id}")

    assert ask().status_code == 202
    assert rung == [planned.made.id] * 2


def test_what_a_worker_could_not_do_is_told_once(planned, ask, monkeypatch):
    monkeypatch.setattr(kept_plans, "SMALL", 1)
    assert ask().status_code == 202
    planned.fault("500", match="suppressionlist")
    make_plan(planned.context, planned.made.id)

    answer = ask()
    assert answer.status_code == 502
    assert ask().status_code == 202


def test_an_export_can_wait_for_its_first_start(planned):
    made = service.create_export(
        planned.context,
        planned.authorization.id,
        {
            "client_id": planned.client.client_id,
            "list_id": planned.list.list_id,
            "audiences": ["gold"],
            "consent_to_track": "No",
        },
        paused=True,
    )
    planned.deliver()
    assert planned.state(made) == "paused"
    assert setup_of(planned.context.store, planned.list.list_id) is None
    assert plan_export(planned.context, made.id).creates["segments"] == ["gold", "vip"]
    service.resume(planned.context, made.id)
    assert registry.get(planned.context.store, made.id).state == "running"

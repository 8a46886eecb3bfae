"""Confirming, acknowledging and editing by command and over HTTP."""

import json

import pytest
from click.testing import CliRunner

import cli.runtime
from cli.main import main
from listbridge.exports.brakes import LEAVING
from listbridge.jobs import kept_plans
from listbridge.jobs.kept_plans import make_plan
from listbridge.workflows import registry, service
from listbridge.workflows.holds import PEOPLE
from listbridge.workflows.models import State
from webhooks.app import create_app

ANN, BOB, CID = "ann@example.com", "bob@example.com", "cid@example.com"


@pytest.fixture
def waiting(export):
    """An export that would bring two people back."""
    export.account.clock.advance(-3600)
    for email in (ANN, BOB):
        export.act("subscribe", email)
        export.act("unsubscribe", email)
        export.tell_status(email)
    export.account.clock.advance(3600)
    export.happen(*(("enter", email, "vip") for email in (ANN, BOB, CID)))
    export.made = export.create("vip", existing_users=True, resubscribe="always")
    return export


@pytest.fixture
def command(export, monkeypatch):
    """Runs `listbridge` on the test's store."""
    monkeypatch.setattr(cli.runtime, "settings", lambda: export.context.settings)
    return lambda *arguments, **options: CliRunner().invoke(main, arguments, **options)


@pytest.fixture
def rung():
    return []


@pytest.fixture
def ask(export, rung):
    """Calls the HTTP API about a workflow."""
    app = create_app(export.context, lambda: None, ring_plan=rung.append)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {export.context.settings.api_tokens[0]}"

    def call(method, path="", body=None):
        return client.open(f"/v1/workflows/{export.made.id}{path}", method=method, json=body)

    return call


def stands(export):
    found = registry.get(export.context.store, export.made.id)
    return found.state, found.waits_for


@pytest.mark.parametrize("name", [("workflow", "resume"), ("export", "start")])
def test_the_number_of_people_is_typed(waiting, command, name):
    refused = command(*name, waiting.made.id, input="3\n")
    assert refused.exit_code == 1
    assert "2 people who opted out would be added to the list again." in refused.output
    assert "bring back 2 people who opted out, not 3" in " ".join(refused.output.split())
    assert stands(waiting) == (State.PAUSED, PEOPLE)

    assert command(*name, waiting.made.id, input="2\n").exit_code == 0
    waiting.deliver()
    assert waiting.held(ANN) == waiting.held(BOB) == ["vip"]


def test_without_somebody_who_types_nothing_starts(waiting, command):
    assert command("workflow", "resume", waiting.made.id, input="").exit_code != 0
    assert stands(waiting) == (State.PAUSED, PEOPLE)

    assert command("workflow", "resume", waiting.made.id, "--confirm-people", "2").exit_code == 0
    assert stands(waiting) == (State.RUNNING, "")


def test_over_http_the_number_is_said_in_the_body(waiting, ask):
    for body in (None, {}, {"confirm_people": 1}, {"confirm": True, "acknowledge": "leaving"}):
        answer = ask("POST", "/resume", body)
        assert answer.status_code == 409
        assert "bring back 2 people who opted out" in answer.json["error"]["message"]
    shown = ask("GET").json
    assert (shown["state"], shown["waits_for"]) == ("paused", "people")
    assert shown["how_to_go_on"] == f"listbridge workflow resume {waiting.made.id} --confirm-people NUMBER"

    answer = ask("POST", "/resume", {"confirm_people": 2})

    assert (answer.status_code, answer.json["state"], answer.json["waits_for"]) == (200, "running", "")


def test_a_large_list_is_counted_by_a_worker(waiting, ask, rung, monkeypatch):
    monkeypatch.setattr(kept_plans, "SMALL", 0)
    answer = ask("POST", "/resume", {"confirm_people": 2})
    assert answer.status_code == 409
    assert "plan is being made" in answer.json["error"]["message"]
    assert rung == [waiting.made.id]

    make_plan(waiting.context, waiting.made.id)

    assert ask("GET", "/plan").json["plan"]["outcomes"]["returned"] == 2
    assert ask("POST", "/resume", {"confirm_people": 2}).status_code == 200


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"confirm_people": "two"}, "$.confirm_people"),
        ({"confirm_people": -1}, "$.confirm_people"),
        ({"acknowledge": "all"}, "$.acknowledge"),
        ({"canary": 0}, "$.canary"),
        ({"more": 1}, "$.more"),
        ([], "$"),
    ],
)
def test_a_wrong_body_is_refused_with_the_path(waiting, ask, body, path):
    answer = ask("POST", "/resume", body)
    assert answer.status_code == 422
    assert [fault["path"] for fault in answer.json["error"]["faults"]] == [path]


def test_a_brake_is_acknowledged_by_command_and_over_http(export, command, ask):
    export.made = export.create("vip", brakes={"leaving": 0.5, "least_people": 1})
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "vip"))
    export.deliver()
    export.happen(("exit", ANN, "vip"), ("exit", BOB, "vip"))
    export.deliver()
    assert stands(export) == (State.PAUSED, LEAVING)

    refused = command("workflow", "resume", export.made.id)
    assert refused.exit_code == 1
    assert f"listbridge workflow resume {export.made.id} --acknowledge leaving" in refused.output
    assert ask("POST", "/resume", {"acknowledge": "refused"}).status_code == 409
    assert command("workflow", "resume", export.made.id, "--acknowledge", "leaving").exit_code == 0
    export.deliver()
    assert (export.held(ANN), export.held(BOB)) == ([], [])


def test_a_canary_by_command(export, command):
    export.made = service.pause(export.context, export.create("vip", existing_users=True).id)
    export.happen(*(("enter", email, "vip") for email in (ANN, BOB, CID)))
    assert command("export", "start", export.made.id, "--canary", "1").exit_code == 0
    export.deliver()
    shown = json.loads(command("export", "show", export.made.id, "--json").output)
    assert (shown["state"], shown["waits_for"], shown["canary"]) == ("paused", "canary", 1)
    assert shown["how_to_go_on"] == f"listbridge workflow resume {export.made.id} --confirm"

    assert command("workflow", "resume", export.made.id, "--confirm").exit_code == 0
    export.deliver()

    assert len(export.list.subscribers) == 3


def test_audiences_are_edited_by_command(export, command):
    export.made = export.create("vip", "lapsed")
    answer = command(
        "export", "edit", export.made.id, "--add-audience", "gold", "--label", "gold=Gold",
        "--remove-audience", "lapsed", "--rename", "vip=best",
    )  # fmt: skip
    assert answer.exit_code == 0
    assert f"{export.made.id} has the audiences best: best, gold: Gold" in answer.output

    refused = command("export", "edit", export.made.id, "--remove-audience", "lapsed")
    assert (refused.exit_code, "lapsed: not among its audiences" in refused.output) == (1, True)
    assert command("export", "edit", export.made.id).exit_code == 2
    assert command("export", "edit", export.made.id, "--rename", "best").exit_code == 2


def test_audiences_are_edited_over_http(export, ask):
    export.made = export.create("vip", "lapsed")
    body = {"add_audiences": ["gold"], "labels": {"gold": "Gold"}, "remove_audiences": ["lapsed"]}

    answer = ask("PATCH", body=body)

    assert answer.status_code == 200
    assert answer.json["config"]["audiences"] == {"vip": "vip", "gold": "Gold"}
    again = ask("PATCH", body={"remove_audiences": ["lapsed"], "add_audiences": [" x"]})
    assert [fault["path"] for fault in again.json["error"]["faults"]] == ["$.add_audiences[0]"]
    clash = ask("PATCH", body={"remove_audiences": ["lapsed"]})
    assert (clash.status_code, clash.json["error"]["faults"]) == (
        422,
        [{"path": "$.remove_audiences", "message": "lapsed: not among its audiences"}],
    )
    service.stop(export.context, export.made.id)
    assert ask("PATCH", body=body).status_code == 409


def test_brakes_and_quiet_hours_are_given_by_command(export, command):
    answer = command(
        "export", "create", "--list", "A list", "--audience", "vip", "--paused", "--json",
        "--consent-to-track", "No",
        "--brake", "leaving=0.2", "--brake", "refused=off", "--brake-least-people", "7",
        "--max-new-subscribers", "500", "--quiet-hours", "21:00-08:00", "--quiet-zone", "Europe/Berlin",
        "--resubscribe", "always", "--opted-in-field", "joined", "--opt-out-feed-minutes", "60",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.output
    shown = json.loads(answer.output)
    assert shown["config"]["brakes"] == {
        "leaving": 0.2, "unsubscribed": 0.1, "refused": None, "least_people": 7
    }  # fmt: skip
    assert shown["config"]["quiet_hours"] == {"zone": "Europe/Berlin", "start": "21:00", "end": "08:00"}
    assert (shown["config"]["max_new_subscribers"], shown["waits_for"]) == (500, "people")
    assert (shown["config"]["opted_in_field"], shown["config"]["opt_out_feed_minutes"]) == ("joined", 60)


def test_options_about_brakes_go_before_those_of_the_file(command, tmp_path):
    file = tmp_path / "export.json"
    hours = {"zone": "UTC", "start": "01:00", "end": "02:00"}
    settings = {"brakes": {"leaving": 0.2, "refused": 0.4}, "quiet_hours": hours, "opted_in_field": "joined"}
    file.write_text(json.dumps(settings | {"audiences": ["vip"], "consent_to_track": "No"}), encoding="utf-8")

    answer = command(
        "export", "create", "--list", "A list", "--config", str(file), "--paused", "--json",
        "--brake", "leaving=off",
    )  # fmt: skip

    assert answer.exit_code == 0, answer.output
    shown = json.loads(answer.output)["config"]
    assert shown["brakes"] == {"leaving": None, "unsubscribed": 0.1, "refused": 0.4, "least_people": 100}
    assert (shown["quiet_hours"], shown["opted_in_field"]) == (hours, "joined")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--brake", "leaving"), "has no '='"),
        (("--brake", "leaving=many"), "'many' is neither a share nor off"),
        (("--brake", "going=0.1"), "brakes.going: Unknown field."),
        (("--quiet-hours", "21:00-08:00"), "--quiet-hours and --quiet-zone go together"),
        (
            ("--quiet-hours", "21-8", "--quiet-zone", "UTC"),
            "quiet_hours.start: a time of day is written HH:MM",
        ),
    ],
)
def test_a_wrong_option_is_told_with_its_path(export, command, options, says):
    plain = ("--list", "A list", "--audience", "vip", "--consent-to-track", "No")
    answer = command("export", "create", *plain, *options)
    assert answer.exit_code != 0
    assert says in " ".join(answer.output.split())

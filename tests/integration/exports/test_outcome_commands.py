"""The commands that ask what became of people: `why`, `rejections`, `retry`, `status`, `remove`."""

import csv
import json

import pytest
from click.testing import CliRunner

import settings as settings_module
from cli.main import main
from listbridge.workflows import registry, service

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def run(tmp_path, monkeypatch, store_server, encryption_key):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LISTBRIDGE_REDIS_URL", store_server)
    monkeypatch.setenv("LISTBRIDGE_ENCRYPTION_KEYS", encryption_key)
    monkeypatch.setenv("COLUMNS", "200")
    settings_module.current.cache_clear()

    def run(*arguments, stdin=""):
        return CliRunner().invoke(main, list(arguments), input=stdin)

    yield run
    settings_module.current.cache_clear()


@pytest.fixture
def only(export):
    """Ann is delivered, Bob is refused as unsubscribed."""
    made = export.create("vip")
    export.act("subscribe", BOB)
    export.act("unsubscribe", BOB)
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "vip"))
    export.deliver()
    return made.id


def test_why_tells_the_outcome_and_the_events(run, only):
    told = json.loads(run("export", "why", only, ANN, "--json").output)
    assert (told["outcome"], told["last_row"]["options"]) == ("delivered", ["vip"])

    shown = run("export", "why", only, BOB)
    assert shown.exit_code == 0, shown.output
    assert "unsubscribed" in shown.output
    assert "entered audience vip" in shown.output


def test_why_of_what_is_no_address_says_so(run, only):
    assert "is no e-mail address" in run("export", "why", only, "nobody").output


def test_rejections_are_listed_filtered_and_written(run, only, tmp_path):
    (row,) = json.loads(run("export", "rejections", only, "--json").output)
    assert (row["email"], row["code"]) == (BOB, "unsubscribed")
    assert json.loads(run("export", "rejections", only, "--code", "1", "--json").output) == []
    assert len(json.loads(run("export", "rejections", only, "--since", "1h", "--json").output)) == 1
    assert json.loads(run("export", "rejections", only, "--since", "2099-01-01", "--json").output) == []
    assert "unsubscribed" in run("export", "rejections", only).output

    assert run("export", "rejections", only, "--csv", "r.csv").exit_code == 0
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        (written,) = csv.DictReader(file)
    assert (written["email"], written["code"]) == (BOB, "unsubscribed")


@pytest.mark.parametrize("command", ["rejections", "retry"])
@pytest.mark.parametrize("code", ["unsubscribd", "code 9999"])
def test_a_code_that_is_none_is_refused_with_those_that_there_are(run, only, command, code):
    result = run("export", command, only, "--code", code)
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert f"{code!r} is no code" in said
    assert "unsubscribed (1)" in said
    assert "duplicate_address" in said


def test_a_time_that_is_none_is_refused(run, only):
    result = run("export", "rejections", only, "--since", "yesterday")
    assert result.exit_code == 2
    assert "12h for 12 hours ago" in result.output


def test_retry_says_how_many(run, only):
    assert run("export", "retry", only, "--code", "invalid").output.startswith("0 refused people")
    assert run("export", "retry", only).output.startswith("1 refused people")


def test_status_shows_counters_lag_and_who_is_refused(run, only):
    shown = json.loads(run("export", "status", only, "--json").output)
    assert shown["progress"]["added"] == 1
    assert shown["refused_now"] == {"unsubscribed": 1}
    assert shown["standing"]["lag_seconds"] == 0
    assert json.loads(run("workflow", "show", only, "--json").output)["standing"] == shown["standing"]


def test_status_of_everything_is_one_screen(run, only, export):
    registry.fail(export.context.store, only, "the key was revoked")
    found = json.loads(run("status", "--json").output)
    assert found["store"]["people"] == 2
    (workflow,) = found["workflows"]
    assert (workflow["state"], workflow["refused"]) == ("failed", 1)
    assert found["errors"][0]["message"] == "failed: the key was revoked"
    assert {each["stream"]: each["accepted"] for each in found["streams"]}["audience"] == 2

    (account,) = found["accounts"]
    assert (account["description"], account["rate_limited"]) == ("simulated", 0)
    assert account["calls"] >= 2
    assert account["calls_per_second"] > 0

    shown = run("status")
    assert shown.exit_code == 0
    for words in (
        "Streams",
        "Accounts",
        "simulated",
        "Workflows",
        "Last errors",
        "the key was revoked",
        only,
    ):
        assert words in shown.output


@pytest.mark.parametrize("typed", ["", "y\n", "another\n"])
def test_remove_asks_for_the_id_and_changes_nothing_without_it(run, only, export, typed):
    result = run("export", "remove", only, "--cleanup", "field", stdin=typed)

    assert result.exit_code == 1
    assert registry.get(export.context.store, only).state == "running"
    assert len(export.list.fields) == 1


def test_remove_shows_what_goes_and_removes_it(run, only, export):
    result = run("export", "remove", only, "--cleanup", "field,segments", stdin=f"{only}\n")

    assert result.exit_code == 0, result.output
    assert "deletes its values of everybody" in result.output
    assert "field [LyticsAudiences] removed" in result.output
    assert (export.list.fields, export.list.segments) == ([], {})
    assert registry.find(export.context.store, only) is None


def test_remove_warns_that_options_take_the_segment_rules_with_them(run, only, export):
    export.create("gold")
    export.deliver()
    result = run("export", "remove", only, "--cleanup", "segments, options", "--yes")

    assert result.exit_code == 0, result.output
    assert "delete all segment rules on the field" in result.output
    assert "gold" in result.output
    assert export.list.fields[0].options == ["gold"]


def test_remove_refuses_what_cannot_be(run, only):
    assert (
        "is not one of segments, options, field" in run("export", "remove", only, "--cleanup", "all").output
    )
    result = run("export", "remove", only, "--cleanup", "options", "--yes")
    assert result.exit_code == 1
    assert "nothing was changed" in result.output
    assert "AFTERWARDS" not in result.output


def test_the_commands_are_for_exports(run, only, export):
    config = {"client_id": export.client.client_id}
    made = service.create_import(export.context, export.authorization.id, config)
    assert "is an import" in run("export", "status", made.id).output

"""A newcomer's way: init, up, import, audience, export, look; then kills and restarts. In this order."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
import requests

from tests.acceptance.installation import wait_until

FIELD = "[LyticsAudiences]"


def lists_of(simulator):
    return [each for client in simulator.account.clients.values() for each in client.lists.values()]


def members(simulator, option: str) -> set[str]:
    """Who has the option in the first list."""
    people = lists_of(simulator)[0].subscribers.values()
    return {p.email.lower() for p in people if option in p.values.get(FIELD, []) and p.state == "Active"}


def an_opener(simulator) -> str:
    """The address of somebody who opened a campaign."""
    client = next(iter(simulator.account.clients.values()))
    reports = next(iter(client.campaigns.values())).reports
    return msgspec.to_builtins(next(iter(reports["opens"].rows())))["EmailAddress"]


def counts(profile: dict) -> dict:
    """The fields of a profile that a doubled event would change."""
    return {
        n: v for n, v in profile["fields"].items() if n.endswith("ct") or n.startswith(("cm_h", "cm_email"))
    }


def active_addresses(simulator) -> list[str]:
    return [p.email for p in lists_of(simulator)[0].subscribers.values() if p.state == "Active"]


@pytest.fixture(scope="module")
def running(installation):
    installation.up()
    return installation


def workflow(running, workflow_id: str) -> dict:
    return running.v1("GET", f"/workflows/{workflow_id}").json()


def profile_of(running, address: str) -> dict:
    answer = running.v1("GET", f"/profiles/{quote(address)}")
    return answer.json() if answer.ok else {"fields": {}}


def post_events(running, people, audience: str, what: str) -> dict:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    events = [{"email": each, "audience": audience, "event": what, "timestamp": at} for each in people]
    answer = running.v1("POST", "/audiences/events", {"events": events})
    assert answer.ok, answer.text
    return answer.json()


def test_init_keeps_its_secrets_private(installation):
    path = installation.directory / "listbridge.env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(installation.token) >= 32


def test_commands_work_without_up(installation, simulator):
    shown = installation.json("lists")
    assert [each["name"] for each in shown] == [each.title for each in lists_of(simulator)]


def test_an_unknown_list_is_refused_with_the_names_that_there_are(installation, simulator):
    done = installation.run(
        "export",
        "create",
        "--list",
        "No such list",
        "--audience",
        "vip",
        "--consent-to-track",
        "Unchanged",
        check=False,
    )
    assert done.returncode == 1
    assert lists_of(simulator)[0].title in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_brings_the_account_back_as_profiles(running, simulator):
    made = running.json("import", "create", "--keep-updated")
    wait_until(
        lambda: workflow(running, made["id"])["reason"] == "up to date",
        60,
        "the import",
        running,
    )
    address = an_opener(simulator)
    wait_until(
        lambda: profile_of(running, address)["fields"].get("cm_openct"),
        30,
        "the profile",
        running,
    )


def test_a_snapshot_and_an_export_put_people_into_the_field(running, simulator, tmp_path):
    people = active_addresses(simulator)[:20]
    file = tmp_path / "vip.csv"
    file.write_text("email,plan\n" + "".join(f"{each},gold\n" for each in people))
    assert running.json("audience", "load", "vip", str(file))["enter"] == 20
    title = lists_of(simulator)[0].title
    running.run(
        "export",
        "create",
        "--list",
        title,
        "--audience",
        "vip",
        "--consent-to-track",
        "Unchanged",
        "--existing-users",
    )
    wait_until(lambda: members(simulator, "vip") == {p.lower() for p in people}, 30, "the field", running)
    field = next(f for f in lists_of(simulator)[0].fields if f.name == "Lytics Audiences")
    assert not field.visible
    assert "vip" in [segment.title for segment in lists_of(simulator)[0].segments.values()]


def test_a_plan_is_made_by_a_command_and_by_a_worker(running, simulator):
    title = lists_of(simulator)[1].title
    made = running.json(
        "export",
        "create",
        "--list",
        title,
        "--audience",
        "vip",
        "--consent-to-track",
        "Unchanged",
        "--existing-users",
        "--paused",
    )
    assert made["state"] == "paused"
    told = running.json("export", "plan", made["id"])
    assert sum(told["outcomes"].values()) >= 20
    assert told["creates"]["field"] == ["Lytics Audiences"]
    path = f"/workflows/{made['id']}/plan?other_lists=1"
    assert running.v1("GET", path).status_code == 202
    wait_until(lambda: running.v1("GET", path).status_code == 200, 30, "the plan", running)
    assert running.v1("GET", path).json()["plan"]["outcomes"] == told["outcomes"]
    running.run("workflow", "delete", made["id"])


def test_a_snapshot_that_empties_an_audience_asks_first(running, simulator, tmp_path):
    file = tmp_path / "vip.csv"
    file.write_text(f"email\n{active_addresses(simulator)[0]}\n")
    done = running.run("audience", "load", "vip", str(file), check=False, stdin="n\n")
    assert done.returncode == 1
    assert "95%" in done.stderr + done.stdout
    assert running.json("audience", "show", "vip")["size"] == 20


def test_events_over_http_reach_the_list(running, simulator):
    people = active_addresses(simulator)
    assert post_events(running, people[20:25], "vip", "enter")["accepted"] == 5
    post_events(running, people[:5], "vip", "exit")
    wanted = {p.lower() for p in people[5:25]}
    wait_until(lambda: members(simulator, "vip") == wanted, 30, "enters and exits", running)


def test_a_killed_worker_is_replaced_and_nothing_is_lost(running, simulator):
    people = active_addresses(simulator)
    pid = int(
        subprocess.run(
            ["pgrep", "-P", str(running.process.pid), "-f", "deliver,schedule"],
            capture_output=True,
            text=True,
        ).stdout.split()[0]
    )
    post_events(running, people[30:40], "vip", "enter")
    os.kill(pid, signal.SIGKILL)
    wanted = {p.lower() for p in people[5:25] + people[30:40]}
    wait_until(lambda: members(simulator, "vip") == wanted, 60, "the delivery after the kill", running)


def started_by(pid):
    """The process ids of all that a process has started, and what that has."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [each for child in found for each in (int(child), *started_by(child))]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes outlive a supervisor that is killed")
def test_up_that_is_killed_takes_everything_with_it_and_the_next_start_goes_on(running, simulator):
    people = active_addresses(simulator)
    children = started_by(running.process.pid)
    assert len(children) >= 8  # the store, the web server and its worker, four workers, the beat
    post_events(running, people[45:50], "vip", "enter")
    running.down(signal.SIGKILL)
    wait_until(lambda: not any(map(runs, children)), 40, "all that it had started to end", running)
    running.up()
    wanted = {p.lower() for p in people[5:25] + people[30:40] + people[45:50]}
    wait_until(lambda: members(simulator, "vip") == wanted, 60, "what was in flight", running)


def runs(pid):
    """Is it there, and no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_sigterm_stops_everything_and_the_next_start_goes_on(running, simulator):
    people = active_addresses(simulator)
    post_events(running, people[40:45], "vip", "enter")
    assert running.down() == 0
    assert not running.is_healthy()
    running.up()
    wanted = {p.lower() for p in people[5:25] + people[30:50]}
    wait_until(lambda: members(simulator, "vip") == wanted, 60, "what was in flight", running)


def test_the_import_deleted_and_made_again_counts_nothing_twice(running, simulator):
    address = an_opener(simulator)
    before = counts(running.json("profile", "show", address))
    old = next(w for w in running.json("workflow", "list") if w["kind"] == "import")
    running.run("workflow", "delete", old["id"])
    made = running.json("import", "create", "--keep-updated")
    wait_until(
        lambda: workflow(running, made["id"])["reason"] == "up to date",
        60,
        "the import",
        running,
    )
    assert counts(running.json("profile", "show", address)) == before


OWN = """SELECT email(email) AS email KIND string
  , count(event) AS moves KIND int
FROM audience INTO USER BY email ALIAS own
"""


def test_new_mappings_count_new_events_in_running_processes(running, simulator, tmp_path):
    people = active_addresses(simulator)[60:70]
    before = profile_of(running, people[0])["fields"]
    file = tmp_path / "own.lql"
    file.write_text(OWN)

    running.run("mapping", "apply", str(file), "--yes")
    post_events(running, people, "new", "enter")
    wait_until(
        lambda: all(profile_of(running, each)["fields"].get("moves") == 1 for each in people),
        30,
        "the new field",
        running,
    )

    file.write_text(OWN.replace("count(", "cuont("))
    assert running.run("mapping", "apply", str(file), "--yes", check=False).returncode == 1
    post_events(running, people, "new", "exit")
    wait_until(
        lambda: all(profile_of(running, each)["fields"].get("moves") == 2 for each in people),
        30,
        "the field after a broken file",
        running,
    )
    after = profile_of(running, people[0])["fields"]
    assert {name: after[name] for name in before if not name.startswith("last_")} == {
        name: value for name, value in before.items() if not name.startswith("last_")
    }
    since = {each["field"]: each["since"] for each in running.v1("GET", "/mapping").json()["fields"]}
    assert since["cm_openct"] is None
    assert since["moves"] is not None


def test_a_person_is_forgotten_while_everything_runs(running, simulator):
    address = active_addresses(simulator)[20].lower()
    wait_until(lambda: profile_of(running, address)["fields"], 30, "the profile", running)
    done = running.json("forget", address, "--yes", "--delete-from-lists")
    assert all(each["complete"] for each in done)
    assert sum(each["outside"]["deleted from lists"] for each in done) >= 1
    post_events(running, active_addresses(simulator)[30:32], "later", "enter")
    wait_until(
        lambda: running.json("audience", "show", "later")["size"] == 2, 30, "what came afterwards", running
    )
    found = running.json("forget", address, "--dry-run")
    assert [each["found"] for each in found] == [{}]
    assert address not in members(simulator, "vip")


def addresses_of(simulator) -> set[str]:
    """Everybody in the account, as it writes them and in lower case."""
    found = {person.email for held in lists_of(simulator) for person in held.subscribers.values()}
    return found | {each.lower() for each in found}


def secrets_of(running, simulator) -> set[str]:
    """What opens something: the API key, tokens, keys, and the tokens of the webhooks."""
    lines = (running.directory / "listbridge.env").read_text().splitlines()
    names = ("API_TOKENS", "METRICS_TOKENS", "ENCRYPTION_KEYS", "API_KEY")
    kept = {
        value for line in lines if line.partition("=")[0].endswith(names) for value in line.split("=", 1)[1:]
    }
    hooks = {hook.url.rpartition("/")[2] for held in lists_of(simulator) for hook in held.webhooks.values()}
    assert kept
    assert hooks
    return {each for each in kept | hooks | {simulator.api_key} if each}


def test_callers_who_are_wrong_are_not_written_down_either(running, simulator):
    hook = next(hook.url for held in lists_of(simulator) for hook in held.webhooks.values())
    address = active_addresses(simulator)[0]
    wrong = {"EmailAddress": address, "Type": "Nonsense", "Date": "?"}
    assert requests.post(hook, json={"ListID": "l1", "Events": [wrong]}, timeout=10).status_code == 200
    assert requests.post(f"{hook}x", json={"Events": [wrong]}, timeout=10).status_code == 401
    assert running.v1("POST", "/audiences/events", {"events": [{"email": address}]}).status_code == 422
    assert running.v1("GET", f"/workflows/w1/people/{quote(address)}").status_code == 404
    headers = {"Authorization": f"Bearer {running.token}x"}
    answer = requests.get(f"{running.url}/v1/profiles/{quote(address)}", headers=headers, timeout=10)
    assert answer.status_code == 401
    assert running.run("export", "why", "w1", address, check=False).returncode == 1


def test_no_log_holds_an_address_or_a_credential(running, simulator):
    """Every log of all processes, against everybody in the account and every secret of this run."""
    logs = {path: path.read_text(errors="replace") for path in running.directory.rglob("*.log")}
    assert logs[running.log]
    unwanted = addresses_of(simulator) | secrets_of(running, simulator)
    assert len(unwanted) > 150
    for path, log in logs.items():
        assert "@example" not in log, path
        assert "Traceback" not in log, path
        assert not {each for each in unwanted if each in log}, path

"""A person whom exports deliver is forgotten: by the command and over HTTP, here and in the account."""

import json

import pytest
from addressed import OLD, changes, codes, create, offer_options, states
from click.testing import CliRunner

import settings as settings_module
from cli.main import main
from listbridge.aggregation.fold import Folder
from listbridge.erasure.errors import ErasureError
from listbridge.jobs.deliver import bell_of
from listbridge.jobs.forget import Wishes, forget
from listbridge.jobs.reconcile import reconcile
from listbridge.profiles.reading import profile_of
from listbridge.store.lease import Lease
from webhooks.app import create_app

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def delivered(export):
    """Ann and Bob are in the list."""
    made = export.create("vip")
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "vip"))
    export.deliver()
    assert (export.held(ANN), export.held(BOB)) == (["vip"], ["vip"])
    return made


@pytest.fixture
def run(tmp_path, monkeypatch, store_server, encryption_key):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LISTBRIDGE_REDIS_URL", store_server)
    monkeypatch.setenv("LISTBRIDGE_ENCRYPTION_KEYS", encryption_key)
    monkeypatch.setenv("LISTBRIDGE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    settings_module.current.cache_clear()
    yield lambda *arguments, stdin="": CliRunner().invoke(main, list(arguments), input=stdin)
    settings_module.current.cache_clear()


def names_in_store(context, key):
    """The keys of the store that hold something of the person."""
    found = set()
    for name in context.store.client.scan_iter(count=1000):
        kind, client = context.store.client.type(name), context.store.client
        held = {
            b"hash": lambda n, c=client: [each for pair in c.hgetall(n).items() for each in pair],
            b"set": lambda n, c=client: list(c.smembers(n)),
            b"zset": lambda n, c=client: c.zrange(n, 0, -1),
            b"stream": lambda n, c=client: [v for _, fields in c.xrange(n) for v in fields.values()],
            b"string": lambda n, c=client: [c.get(n)],
        }[kind](name)
        if any(key.encode() in each for each in held):
            found.add(name.decode())
    return found


def test_who_was_delivered_is_nowhere_afterwards_and_the_others_stay(export, delivered):
    [done] = forget(export.context, [ANN])
    assert done.complete
    assert {"profiles", "audience", "delivered", "changed"} <= done.found.keys()
    assert names_in_store(export.context, ANN) == set()
    assert names_in_store(export.context, BOB)
    export.deliver_until_rest()
    assert export.held(ANN) == ["vip"]  # the account was not to be touched


def test_who_is_deleted_from_the_lists_stays_so_and_a_late_webhook_brings_nobody_back(export, delivered):
    [done] = forget(export.context, [ANN], Wishes(delete_from_lists=True))
    assert done.outside == {"deleted from lists": 1}
    assert export.held(ANN) == "Deleted"
    assert export.held(BOB) == ["vip"]
    export.tell_status(ANN)
    export.deliver_until_rest()
    assert export.held(ANN) == "Deleted"
    assert names_in_store(export.context, ANN) == set()


def test_who_is_suppressed_is_so_in_the_account(export, delivered):
    [done] = forget(export.context, [ANN], Wishes(suppress=True))
    assert done.outside == {"suppressed in clients": 1}
    assert ANN in export.client.suppressed


def test_a_check_of_the_list_writes_nothing_of_who_is_still_in_it(export, delivered):
    forget(export.context, [ANN])
    reconcile(export.context, delivered.id)
    assert names_in_store(export.context, ANN) == set()


def test_a_later_start_of_an_export_adopts_nobody_who_was_erased(export, delivered):
    forget(export.context, [ANN])
    export.context.store.client.delete(*export.context.store.client.scan_iter("lb:list:*"))
    for part in export.context.store.parts:
        export.context.store.client.delete(part.delivered(export.list.list_id))
    export.deliver_until_rest()
    assert names_in_store(export.context, ANN) == set()


def test_a_later_enter_starts_afresh(export, delivered):
    forget(export.context, [ANN])
    export.happen(("enter", ANN, "vip"))
    assert profile_of(export.context.store, export.context.programs, ANN)["audiences"] == ["vip"]


def test_it_waits_for_a_delivery_and_says_so(export, delivered):
    lease = Lease(export.context.store, bell_of(export.list.list_id), 10_000)
    assert lease.acquire()
    with pytest.raises(ErasureError, match="has not ended"):
        forget(export.context, [ANN], patience_seconds=0.2)
    lease.release()
    assert forget(export.context, [ANN])[0].complete


def test_the_command_asks_for_a_word_shows_where_they_were_and_names_nobody(export, delivered, run):
    refused = run("forget", ANN, stdin="yes\n")
    assert refused.exit_code == 1
    assert "nothing was changed" in refused.output
    assert profile_of(export.context.store, export.context.programs, ANN)

    shown = run("forget", ANN, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "profiles" in shown.output

    done = run("forget", ANN, stdin="forget\n")
    assert done.exit_code == 0, done.output
    assert "REMAINING" in done.output

    again = json.loads(run("forget", ANN, "--yes", "--json").output)
    assert [(each["found"], each["complete"]) for each in again] == [({}, True)]
    assert ANN not in json.dumps(again)
    listed = run("profiles", "erasures", "--json")
    assert listed.exit_code == 0
    assert [each["complete"] for each in json.loads(listed.output)] == [True]
    assert "is no e-mail address" in run("forget", "nobody", "--yes").output


def test_all_that_is_held_of_a_person_is_exported(export, delivered, run):
    found = json.loads(run("profiles", "export", ANN).output)
    assert found["profile"]["audiences"] == ["vip"]
    assert [event["event"] for event in found["events"]["audience"]] == ["enter"]
    assert found["lists"][ANN][export.list.list_id]["delivered"]["options"] == ["vip"]
    assert BOB not in json.dumps(found)
    assert run("profiles", "export", "nobody@example.com").exit_code == 1


def test_over_http_the_answer_is_the_proof(export, delivered):
    client = create_app(export.context, lambda: None).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {export.context.settings.api_tokens[0]}"
    answer = client.delete(f"/v1/profiles/{ANN}?delete_from_lists=1")
    assert answer.status_code == 200, answer.json
    [told] = answer.json
    assert (told["complete"], told["found"]["profiles"]) == (True, 1)
    assert told["outside"] == {"deleted from lists": 1}
    assert ANN not in answer.text
    assert client.get(f"/v1/profiles/{ANN}").status_code == 404
    assert client.delete("/v1/profiles/nobody").status_code == 422
    assert client.delete(f"/v1/profiles/{ANN}?suppress=perhaps").status_code == 422
    Folder(export.context.store, export.context.program).run()
    assert names_in_store(export.context, ANN) == set()


def test_who_waits_for_the_address_of_somebody_who_is_erased_gets_it(export):
    offer_options(export)
    create(export)
    changes(export, (ANN, OLD))
    export.deliver()
    changes(export, (BOB, OLD))
    export.deliver()
    assert codes(export) == {BOB: "duplicate_address"}

    [done] = forget(export.context, [ANN])
    assert done.complete
    export.deliver_until_rest()

    assert (codes(export), states(export)) == ({}, {OLD: ["vip"]})

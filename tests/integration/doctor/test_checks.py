"""Each check of the doctor: what it finds in a healthy account, and what it says of one that is not."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from listbridge import authorizations
from listbridge.campaign_monitor.testing import new_test, open_test, settle
from listbridge.campaign_monitor.webhooks import receiver
from listbridge.jobs.sweep import sweep
from listbridge.learned import VERSION, Answer, Learned
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.streams.log import tail
from listbridge.workflows import service
from simulator.account import CustomField, Segment
from simulator.faults import Fault

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"
STREAMS = ("cm_user", "cm_activity")
HOOK = ("webhook", "A list")
TEST = ("webhook test", "A list")


def test_a_healthy_account_has_nothing_that_fails(clinic, web):
    clinic.create_export()
    clinic.deliver()
    clinic.create_import()
    told = clinic.report("simulated", exit_code=0)
    outcomes = {name: each["outcome"] for name, each in told["by"].items()}
    assert set(outcomes.values()) <= {OK, WARNING}
    for name in ("credential", "stored credential"):
        assert outcomes[name, "simulated"] == OK
    for name in ("lists", "time zone", "suppression list", "campaigns"):
        assert outcomes[name, "A client"] == OK
    for name in ("audience field", "options", "mapped fields", "segments", "webhook", "webhook test"):
        assert outcomes[name, "A list"] == OK


def test_nothing_is_written(clinic, web):
    clinic.create_export()
    clinic.deliver()
    clinic.create_import()
    before = clinic.calls()
    clinic.report()
    made = {name: number - before.get(name, 0) for name, number in clinic.calls().items()}
    assert not [name for name, number in made.items() if number and not name.startswith("GET ")]


def test_for_people_each_step_is_a_line_with_what_to_do(clinic):
    done = clinic.run("doctor")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert "ok       credential (simulated): valid, shows 1 client" in lines
    assert any(line.startswith("warning  settings: not set: LISTBRIDGE_PUBLIC_URL") for line in lines)
    assert any(line.startswith("         -> Set it where you need it") for line in lines)
    assert lines[-1] == "13 ok, 1 warning, 0 failed, 0 skipped".replace("13", lines[-1].split()[0])


# The store, the settings, the credential


def test_without_a_store_the_rest_is_skipped(clinic):
    settings = replace(clinic.context.settings, redis_url="redis://127.0.0.1:1/0")
    clinic.context = replace(clinic.context, settings=settings)
    by = clinic.report(exit_code=1)["by"]
    assert by["store", ""]["outcome"] == FAILED
    assert by["credential", ""]["outcome"] == SKIPPED
    assert by["credential", ""]["found"] == "needs store, which failed"


def test_an_unknown_authorization_is_told_with_those_there_are(clinic):
    found = clinic.report("Acme", exit_code=1)["by"]["authorization", "Acme"]
    assert found["outcome"] == FAILED
    assert "'simulated'" in found["found"]


def test_a_key_that_was_revoked(clinic):
    clinic.create_export()
    clinic.server.account.api_key = "b" * 32
    by = clinic.report(exit_code=1)["by"]
    found = by["credential", "simulated"]
    assert found["outcome"] == FAILED
    assert "code 100" in found["found"]
    assert "change-key" in found["remedy"]
    assert by["clock", ""]["found"] == "needs credential (simulated), which failed"
    assert by["rate limit", ""]["outcome"] == SKIPPED
    assert by["visible", clinic.list.list_id]["outcome"] == SKIPPED
    assert [name for name, each in by.items() if each["outcome"] == FAILED] == [("credential", "simulated")]


def test_an_encryption_key_that_was_lost(clinic):
    held = authorizations.get(clinic.store, clinic.authorization_id)
    packed = msgspec.json.encode(msgspec.structs.replace(held, secret="nonsense"))
    clinic.store.client.set(keys.authorization(held.id), packed)
    by = clinic.report(exit_code=1)["by"]
    assert by["stored credential", "simulated"]["outcome"] == FAILED
    assert by["credential", "simulated"]["outcome"] == SKIPPED


def test_a_service_that_does_not_answer(clinic):
    clinic.server.stop()
    by = clinic.report(exit_code=1)["by"]
    assert "NewConnectionError" in by["credential", "simulated"]["found"]
    clinic.server.start()


@pytest.mark.parametrize(
    ("hours", "seconds", "outcome"), [(0, 0, OK), (0, 30, WARNING), (2, 0, FAILED), (-2, 0, FAILED)]
)
def test_the_clock_is_compared(clinic, hours, seconds, outcome):
    clinic.server.account.clock.advance(timedelta(hours=hours, seconds=seconds).total_seconds())
    found = clinic.report()["by"]["clock", ""]
    assert found["outcome"] == outcome
    if hours:
        assert ("behind" if hours > 0 else "ahead of") in found["found"]


def test_limits_that_the_headers_tell(clinic):
    assert "none in" in clinic.report()["by"]["rate limit", ""]["found"]
    clinic.switch(rate_limit=1000, rate_window_seconds=60, rate_headers=True)
    assert "1000 calls a window" in clinic.report()["by"]["rate limit", ""]["found"]


# Clients and permissions


def test_a_client_that_is_not_shown_any_more(clinic):
    clinic.create_export()
    clinic.server.account.clients.clear()
    clinic.server.account.add_client("Another one")
    by = clinic.report(exit_code=1)["by"]
    assert by["lists", clinic.client.client_id]["outcome"] == FAILED
    assert by["visible", clinic.list.list_id]["outcome"] == FAILED
    assert by["audience field", clinic.list.list_id]["outcome"] == SKIPPED


@pytest.mark.parametrize(
    ("path", "check", "outcome"),
    [
        ("GET .*/suppressionlist", ("suppression list", "A client"), FAILED),
        ("GET .*/lists.json", ("lists", "A client"), FAILED),
        ("GET .*/active", ("people", "A list"), FAILED),
        ("GET .*/customfields", ("custom fields", "A list"), FAILED),
        ("GET .*/campaigns", ("campaigns", "A client"), WARNING),
    ],
)
def test_a_permission_that_lacks(clinic, path, check, outcome):
    clinic.create_export()
    clinic.server.simulator.faults.add(Fault(kind="401-permission", match=path, times=-1))
    found = clinic.report()["by"][check]
    assert found["outcome"] == outcome
    assert "View" in found["remedy"] or "ImportSubscribers" in found["remedy"]


def test_a_passing_problem_is_none(clinic):
    clinic.server.simulator.faults.add(Fault(kind="500", match="GET .*/lists", times=1))
    assert clinic.outcomes()["lists", "A client"] == OK


def test_one_of_several_clients_has_to_be_named(clinic):
    clinic.server.account.add_client("Another one")
    assert clinic.outcomes()["lists", ""] == WARNING
    assert clinic.outcomes("--client", "another one")["lists", "Another one"] == WARNING
    assert clinic.outcomes("--list", "a LIST")["list", "A list"] == OK


def test_a_time_zone_that_no_table_knows(clinic, monkeypatch):
    monkeypatch.setattr("simulator.account.zone", lambda _: None)
    clinic.client.time_zone = "(GMT+03:00) Atlantis"
    found = clinic.report(exit_code=1)["by"]["time zone", "A client"]
    assert "Atlantis" in found["found"]


# Lists


def test_a_list_that_does_not_exist(clinic):
    by = clinic.report("--list", "B list", exit_code=1)["by"]
    assert by["visible", "B list"]["outcome"] == FAILED
    assert by["list", "B list"]["outcome"] == SKIPPED


def test_a_list_that_was_deleted(clinic):
    clinic.create_export()
    clinic.deliver()
    del clinic.client.lists[clinic.list.list_id]
    by = clinic.report(exit_code=1)["by"]
    assert by["visible", clinic.list.list_id]["outcome"] == FAILED


def test_what_a_start_would_make_is_told(clinic):
    clinic.create_export(field_mappings={"town": "City"}, create_fields=True)
    by = clinic.report(exit_code=0)["by"]
    assert "makes it when it starts" in by["audience field", "A list"]["found"]
    assert "vip" in by["options", "A list"]["found"]
    assert "City" in by["mapped fields", "A list"]["found"]


def test_a_field_of_another_type(clinic):
    clinic.list.fields.append(CustomField("Lytics Audiences", "[LyticsAudiences]", "Text", [], True))
    clinic.create_export()
    by = clinic.report(exit_code=1)["by"]
    assert by["audience field", "A list"]["outcome"] == FAILED
    assert "is Text" in by["audience field", "A list"]["found"]
    assert by["options", "A list"]["outcome"] == SKIPPED


def test_a_field_and_options_that_were_deleted(clinic):
    clinic.create_export()
    clinic.deliver()
    [field] = clinic.list.fields
    field.options = ["another"]
    assert clinic.outcomes()["options", "A list"] == FAILED
    clinic.list.fields.clear()
    assert clinic.outcomes()["audience field", "A list"] == FAILED


def test_a_mapped_field_that_was_deleted(clinic):
    clinic.create_export(field_mappings={"town": "City"})
    found = clinic.report(exit_code=1)["by"]["mapped fields", "A list"]
    assert "no custom field 'City'" in found["found"]


def test_segments_that_are_missing_or_strange(clinic):
    clinic.create_export()
    clinic.deliver()
    [segment] = clinic.list.segments.values()
    segment.groups = [{"Rules": [{"RuleType": "EmailAddress", "Clause": "CONTAINS @"}]}]
    found = clinic.report()["by"]["segments", "A list"]
    assert (found["outcome"], found["found"]) == (WARNING, "other rules than an audience's: vip")
    clinic.list.segments.clear()
    assert clinic.outcomes()["segments", "A list"] == WARNING
    clinic.list.segments["s1"] = Segment("s1", clinic.list, "another", [])
    assert clinic.outcomes()["segments", "A list"] == WARNING


def test_what_only_an_export_that_has_not_begun_needs_is_not_missing(clinic):
    running = clinic.create_export()
    clinic.deliver()
    config = msgspec.to_builtins(running.config) | {"audiences": ["gold"]}
    service.create_export(clinic.context, running.authorization_id, config, paused=True)
    clinic.deliver()
    for made in ("options", "segments"):
        found = clinic.report(exit_code=0)["by"][made, "A list"]
        assert (found["outcome"], found["found"]) == (OK, "to be made when an export starts: gold")
    clinic.list.segments.clear()
    found = clinic.report()["by"]["segments", "A list"]
    assert (found["outcome"], found["found"]) == (WARNING, "missing: vip")
    clinic.list.fields[0].options = ["another"]
    found = clinic.report(exit_code=1)["by"]["options", "A list"]
    assert (found["outcome"], found["found"]) == (FAILED, "missing: vip")


def test_settings_of_a_list_that_are_worth_knowing(clinic):
    clinic.create_export(on_exit="unsubscribe", unsubscribe_from_all_lists=True)
    clinic.list.confirmed_opt_in = True
    clinic.list.unsubscribe_setting = "AllClientLists"
    found = clinic.report()["by"]["list", "A list"]
    assert found["outcome"] == WARNING
    assert "asked by mail to confirm" in found["found"]
    assert "leaves all lists" in found["found"]


# Webhooks


def hooks(clinic):
    return list(clinic.list.webhooks.values())


def events(clinic):
    lines = [line for name in STREAMS for _, line in tail(clinic.store, "stream", name, 100)]
    return [msgspec.json.decode(line) for line in lines]


def test_samples_of_the_test_become_no_events(clinic, web):
    clinic.create_import()
    assert clinic.outcomes()[TEST] == OK
    assert events(clinic) == []
    clinic.server.simulator.act("subscribe", clinic.list.list_id, "ann@example.com")
    clinic.server.simulator.sender.flush()
    assert {event["email"] for event in events(clinic)} == {"ann@example.com"}


def test_what_comes_during_a_test_and_is_no_sample_is_received(clinic, web):
    clinic.create_import()
    with open_test(clinic.store, new_test(clinic.list.list_id)):
        clinic.server.simulator.act("subscribe", clinic.list.list_id, "ann@example.com")
        clinic.server.simulator.sender.flush()
    assert events(clinic) == []
    assert clinic.outcomes()[TEST] == OK
    assert {event["email"] for event in events(clinic)} == {"ann@example.com"}
    assert clinic.store.client.scard(keys.samples(clinic.list.list_id)) == 0
    assert clinic.store.client.zcard(keys.TESTS) == 1, "the one of this test's own"


def test_what_a_killed_doctor_put_aside_is_received_by_the_sweep(clinic, web):
    clinic.create_import()
    with open_test(clinic.store, new_test(clinic.list.list_id)):
        clinic.server.simulator.act("subscribe", clinic.list.list_id, "ann@example.com")
        clinic.server.simulator.sender.flush()
    sweep(clinic.context)
    assert events(clinic) == [], "whoever tests may still look at it"
    later = dict.fromkeys(clinic.store.client.zrange(keys.TESTS, 0, -1), 1)
    clinic.store.client.zadd(keys.TESTS, later)

    assert sweep(clinic.context).fold
    assert {event["email"] for event in events(clinic)} == {"ann@example.com"}
    assert not clinic.store.client.exists(keys.TESTS, keys.samples(clinic.list.list_id))


def test_what_was_put_aside_outlives_its_import(clinic, web):
    made = clinic.create_import()
    with open_test(clinic.store, new_test(clinic.list.list_id)):
        clinic.server.simulator.act("subscribe", clinic.list.list_id, "ann@example.com")
        clinic.server.simulator.sender.flush()
    clinic.store.client.delete(keys.receiver(made.id))
    later = dict.fromkeys(clinic.store.client.zrange(keys.TESTS, 0, -1), 1)
    clinic.store.client.zadd(keys.TESTS, later)
    sweep(clinic.context)
    assert {event["email"] for event in events(clinic)} == {"ann@example.com"}


def test_an_opt_out_does_not_wait_for_the_end_of_a_test(clinic, web):
    clinic.create_import()
    clinic.server.simulator.act("subscribe", clinic.list.list_id, "ann@example.com")
    clinic.server.simulator.sender.flush()
    with open_test(clinic.store, new_test(clinic.list.list_id)):
        clinic.server.simulator.act("unsubscribe", clinic.list.list_id, "ann@example.com")
        clinic.server.simulator.sender.flush()
        assert "deactivate" in {event.get("event") for event in events(clinic)}


def test_a_test_that_ends_leaves_another_of_the_list_alone(clinic, web):
    clinic.create_import()
    one, other = new_test(clinic.list.list_id), new_test(clinic.list.list_id)
    with open_test(clinic.store, one), open_test(clinic.store, other):
        pass
    settle(clinic.store, one, lambda _: False, lambda *_: None)
    assert clinic.store.client.zrange(keys.TESTS, 0, -1) == [other.name.encode()]


def test_a_webhook_that_can_not_be_reached(clinic, web):
    clinic.create_import()
    for hook in hooks(clinic):
        hook.url = hook.url.replace(web, "http://127.0.0.1:9")
    by = clinic.report("--public-url", "http://127.0.0.1:9", exit_code=1)["by"]
    assert by[HOOK]["outcome"] == OK
    assert by[TEST]["outcome"] == FAILED
    assert "no answer" in by[TEST]["found"]
    assert "certificate" in by[TEST]["remedy"]
    assert by["receiver", by_name(by)]["outcome"] == WARNING


def by_name(by):
    [name] = [subject for check, subject in by if check == "receiver"]
    return name


def test_a_webhook_that_is_refused(clinic, web):
    made = clinic.create_import()
    clinic.store.client.set(
        keys.receiver(made.id),
        msgspec.json.encode(msgspec.structs.replace(receiver(clinic.store, made.id), tokens=[])),
    )
    by = clinic.report(exit_code=1)["by"]
    assert "401" in by["receiver", by_name(by)]["found"]
    assert "HTTP 401" in by[TEST]["found"]


def test_a_webhook_that_somebody_else_answers(clinic, web):
    made = clinic.create_import()
    for hook in hooks(clinic):
        hook.url = f"{clinic.server.url}/simulator/health"
    found = clinic.report(exit_code=1)["by"][HOOK]
    assert found["found"] == "not registered"
    assert made.id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "Inactive"}, "registered and Inactive"),
        ({"events": ["Subscribe"]}, "does not tell Deactivate, Update"),
    ],
)
def test_a_webhook_that_is_not_as_it_was_made(clinic, web, change, words):
    clinic.create_import()
    for hook in hooks(clinic):
        for name, value in change.items():
            setattr(hook, name, value)
    by = clinic.report(exit_code=1)["by"]
    assert words in by[HOOK]["found"]
    assert by[TEST]["outcome"] == SKIPPED


def test_a_webhook_at_an_older_address_is_told_without_its_token(clinic, web):
    clinic.create_import()
    told = clinic.run("doctor", "--public-url", "https://sync.example.org").output
    assert f"registered at another address, {web}" in " ".join(told.split())
    assert hooks(clinic)[0].url.rpartition("/")[2] not in told


def test_a_webhook_that_was_deleted_or_never_made(clinic, web):
    made = clinic.create_import()
    clinic.list.webhooks.clear()
    assert clinic.report(exit_code=1)["by"][HOOK]["found"] == "not registered"
    clinic.store.client.delete(keys.receiver(made.id))
    assert (made.description or made.id) in {
        subject for check, subject in clinic.report()["by"] if check == "webhooks"
    }


def test_without_a_public_url_there_can_be_no_webhooks(clinic):
    made = clinic.create_import()
    found = clinic.report(exit_code=1)["by"]["webhooks", made.description or made.id]
    assert "no public URL" in found["found"]


def test_whether_the_public_url_is_reached_is_tried_in_the_scratch_list(clinic, web):
    assert clinic.outcomes("--scratch-list")["reachable", web] == OK
    found = clinic.report("--scratch-list", "--public-url", "http://127.0.0.1:9", exit_code=1)["by"]
    assert found["reachable", "http://127.0.0.1:9"]["outcome"] == FAILED
    assert found["scratch list", ""]["outcome"] == OK


# What was learned


def test_what_was_learned_long_ago_is_told(clinic):
    old = now_ms() - 200 * 86_400_000
    learned = Learned(version=VERSION, at=old, answers={"bare_key": Answer(value="accepted", at=old)})
    authorizations.learn(clinic.store, clinic.authorization_id, learned)
    found = clinic.report(exit_code=0)["by"]["learned", ""]
    assert (found["outcome"], found["found"][:22]) == (WARNING, "1 of 24 questions answ")


@pytest.mark.parametrize(
    "url", ["sync.example.org", "ftp://sync.example.org", "https://sync.example.org?x=1"]
)
def test_a_public_url_that_is_none_is_refused(clinic, url):
    done = clinic.run("doctor", "--public-url", url)
    assert done.exit_code == 2
    assert "https://sync.example.org" in done.output


def test_suppressing_goes_with_a_scratch_list(clinic):
    assert clinic.run("doctor", "--suppress").exit_code == 2

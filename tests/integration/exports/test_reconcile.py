"""Checks of a list: what people change by hand is found, told, and put right only where that may be."""

import csv
import json
import time
from dataclasses import replace

import msgspec
import pytest
from click.testing import CliRunner
from mortal import start_python

import cli.runtime
from cli.main import main
from listbridge import audiences
from listbridge.errors import Retriable
from listbridge.exports import findings
from listbridge.exports.ledger import delivered_to, lags, raise_doubt
from listbridge.jobs import reconcile as job
from listbridge.jobs.deliver import bell_of
from listbridge.jobs.reconcile import NothingToCheck, UnderWay, lease_of, reconcile, reconcile_due
from listbridge.jobs.sweep import sweep
from listbridge.standing.drift import rows
from listbridge.standing.metrics import samples
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.workflows import log, registry, service
from simulator.account import CustomField
from webhooks.app import create_app

ANN, BOB, CID, DAN, EVE, FAY = (f"{name}@example.com" for name in ("ann", "bob", "cid", "dan", "eve", "fay"))
FIELD, CITY = "[LyticsAudiences]", "[City]"
STATES = ("active", "unconfirmed", "unsubscribed", "bounced", "deleted")


@pytest.fixture(params=["replace", "append"], ids=["replaces", "appends"])
def either_reading(export, request):
    export.account.switches.change({"import_multi_select": request.param})


@pytest.fixture
def delivered(export):
    """Three people in the list, each with a city and a name."""
    export.list.fields.append(CustomField("City", CITY, "Text", []))
    export.made = export.create(
        "vip", "gold", existing_users=True, name_field="full", field_mappings={"town": "City"}
    )
    for email in (ANN, BOB, CID):
        export.happen(("enter", email, "vip", {"fields": {"full": "A Name", "town": "Paris"}}))
    export.deliver()
    return export


def drifts(export):
    """What was found: address -> kind and what was done."""
    found = rows(export.context.store, export.list.list_id)
    return {row["email"]: (row["kind"], row["done"]) for row in found}


def check(export, **options):
    return reconcile(export.context, export.made.id, **options)


def reads(export):
    return sum(export.calls(f"GET /lists/{{list}}/{state}") for state in STATES)


def writes(export):
    by_endpoint = export.server.simulator.calls.report()["by_endpoint"]
    return {name: count for name, count in by_endpoint.items() if not name.startswith("GET ")}


def test_a_list_that_is_as_it_should_be_has_no_drift(delivered):
    before = writes(delivered)

    result = check(delivered)

    assert (result.drift, result.in_list, result.problem) == ({}, {"active": 3}, "")
    assert (writes(delivered), drifts(delivered)) == (before, {})
    assert not any(lags(delivered.context.store, delivered.list.list_id, now_ms()))


@pytest.mark.usefixtures("either_reading")
@pytest.mark.parametrize(
    ("values", "name", "kind", "field"),
    [
        ({FIELD: []}, None, "changed", FIELD),
        ({FIELD: ["vip", "gold"]}, None, "extra", FIELD),
        ({CITY: ["Rome"]}, None, "changed", CITY),
        ({CITY: []}, None, "changed", CITY),
        ({}, "Another Name", "changed", "name"),
    ],
    ids=["option taken", "option given", "value", "value cleared", "name"],
)
def test_what_is_changed_by_hand_is_reported_and_put_right_only_when_asked(
    delivered, values, name, kind, field
):
    delivered.act("update", ANN, name=name, values=values)

    assert check(delivered).drift == {kind: 1}
    (row,) = rows(delivered.context.store, delivered.list.list_id)
    assert (row["email"], [*row["held"]], row["done"]) == (ANN, [field], "reported")
    delivered.deliver_until_rest()
    held = delivered.list.find(ANN)
    assert all(sorted(held.values.get(key, [])) == sorted(value) for key, value in values.items())

    result = check(delivered, repair=True)
    delivered.deliver_until_rest()

    assert (result.sent_again, drifts(delivered)) == (1, {ANN: (kind, "sent again")})
    assert (delivered.held(ANN), held.values[CITY], held.name) == (["vip"], ["Paris"], "A Name")
    assert check(delivered).drift == {}
    assert delivered.calls() == 2, "the repair is one import for all"


@pytest.mark.parametrize(
    ("action", "kind"),
    [("unsubscribe", "opted_out"), ("bounce", "opted_out"), ("spam", "opted_out"), ("delete", "missing")],
)
@pytest.mark.parametrize("repair", [False, True])
def test_who_left_by_hand_is_known_afterwards_and_never_added_again(delivered, action, kind, repair):
    delivered.act(action, ANN)
    state = delivered.list.find(ANN).state

    result = check(delivered, repair=repair)
    delivered.folder.run()
    delivered.deliver_until_rest()
    delivered.happen(("enter", ANN, "gold"))
    delivered.deliver_until_rest()

    assert (result.drift, result.learned, result.sent_again) == ({kind: 1}, 1, 0)
    assert delivered.list.find(ANN).state == state
    assert delivered.refusals()[ANN].code in ("unsubscribed", "bounced", "deleted")
    assert delivered.calls() == 1, "nothing was even sent"
    assert check(delivered).drift == {}, "what is known is no drift"


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.also_on_a_cluster
def test_who_is_gone_from_the_list_is_not_added_again(delivered, repair):
    del delivered.list.subscribers[ANN]

    result = check(delivered, repair=repair)
    delivered.folder.run()
    delivered.happen(("enter", ANN, "gold"))
    delivered.deliver_until_rest()

    assert (result.drift, result.learned) == ({"missing": 1}, 1)
    assert delivered.list.find(ANN) is None
    assert delivered.refusals()[ANN].code == "deleted"


def test_nothing_is_concluded_when_too_many_are_gone(delivered, monkeypatch):
    monkeypatch.setattr(job, "LOOKED_UP", 1)
    for email in (ANN, BOB):
        del delivered.list.subscribers[email]

    result = check(delivered, repair=True)

    assert (result.drift, result.learned, result.sent_again) == ({"missing": 2}, 0, 0)
    assert delivered.calls("GET /subscribers/{list}") == 0
    assert any(
        "look there first" in line["message"] for line in log.read(delivered.context.store, delivered.made.id)
    )


def test_who_came_to_another_state_while_pages_were_read_is_not_missing(delivered, monkeypatch):
    """Somebody who is read in no state, though they are in the list, is looked up."""
    reading = job.patient_list_reader

    def without_ann(*args):
        reader = reading(*args)
        people = reader.people

        def some(*given):
            for page in people(*given):
                yield replace(page, people=[each for each in page.people if each.address != ANN])

        reader.people = some
        return reader

    monkeypatch.setattr(job, "patient_list_reader", without_ann)

    assert check(delivered).drift == {}
    assert delivered.calls("GET /subscribers/{list}") == 1


@pytest.mark.parametrize("repair", [False, True])
def test_an_option_of_a_stranger_is_reported_and_left(delivered, repair):
    delivered.act("subscribe", DAN, values={FIELD: ["vip"]})

    result = check(delivered, repair=repair)
    delivered.deliver_until_rest()

    assert (result.drift, drifts(delivered)) == ({"extra": 1}, {DAN: ("extra", "reported")})
    assert delivered.held(DAN) == ["vip"]


def test_an_option_of_somebody_we_know_and_never_sent_is_reported_and_left(delivered):
    delivered.happen(("enter", DAN, "another"))
    delivered.deliver()
    delivered.act("subscribe", DAN, values={FIELD: ["gold"]})

    assert check(delivered, repair=True).drift == {"extra": 1}
    delivered.deliver_until_rest()

    assert delivered.held(DAN) == ["gold"]


def test_who_came_back_by_themselves_is_known_and_delivered_again(delivered):
    delivered.act("unsubscribe", ANN)
    delivered.tell_status(ANN)
    delivered.deliver()
    delivered.account.clock.advance(120)
    delivered.act("subscribe", ANN)
    delivered.happen(("enter", ANN, "gold"))

    result = check(delivered)
    delivered.folder.run()
    delivered.deliver_until_rest()

    assert (result.drift, result.learned) == ({"returned": 1}, 1)
    assert delivered.held(ANN) == ["gold", "vip"]


def test_the_old_row_of_a_changed_address_is_a_duplicate(export):
    export.made = export.create("vip", existing_users=True, email_field="work")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.act("subscribe", BOB)
    export.happen(("enter", ANN, "vip", {"fields": {"work": BOB}}))
    export.deliver()
    assert (export.held(ANN), export.held(BOB)) == ([], ["vip"])
    assert check(export).drift == {}
    export.act("update", ANN, values={FIELD: ["vip"]})

    result = check(export, repair=True)
    export.deliver_until_rest()

    assert result.drift == {"duplicate": 1}
    assert drifts(export)[ANN] == ("duplicate", "reported")


def test_what_is_under_way_is_no_drift(delivered):
    store, list_id = delivered.context.store, delivered.list.list_id
    for email in (ANN, BOB):
        delivered.act("update", email, values={FIELD: []})
    raise_doubt(store, list_id, [ANN], now_ms() + 60_000)
    delivered.happen(("enter", BOB, "gold"))

    assert check(delivered).drift == {}


def test_what_a_delivery_under_way_has_just_told_is_no_drift(delivered):
    delivered.act("update", ANN, values={FIELD: []})
    store = delivered.context.store
    store.client.set(keys.lease(bell_of(delivered.list.list_id)), "a deliverer", px=60_000)

    assert check(delivered).drift == {}


def test_a_row_that_was_told_after_its_page_was_read_is_no_drift(delivered, monkeypatch):
    """The page of the reader is older than the delivery that follows it."""
    reading = job.patient_list_reader

    def late(*args):
        reader = reading(*args)
        people = reader.people

        def some(*given):
            for page in people(*given):
                delivered.happen(("enter", ANN, "gold"))
                delivered.deliver()
                yield page

        reader.people = some
        return reader

    monkeypatch.setattr(job, "patient_list_reader", late)

    assert check(delivered, repair=True).drift == {}


def test_options_of_others_are_noted_so_that_a_repair_keeps_them(delivered):
    audience = next(each for each in delivered.list.fields if each.key == FIELD)
    audience.options.append("theirs")
    delivered.act("update", ANN, values={FIELD: ["theirs"]})

    check(delivered, repair=True)
    delivered.deliver_until_rest()

    assert sorted(delivered.held(ANN)) == ["theirs", "vip"]
    assert delivered_to(delivered.context.store, delivered.list.list_id, [ANN])[ANN].others == ("theirs",)


def test_a_repair_sends_no_switch(export):
    export.made = export.create(
        "vip",
        existing_users=True,
        queue_autoresponders=True,
        queue_autoresponders_on_backfill=True,
        resubscribe="when_opted_in_later",
        restart_autoresponders=True,
    )
    export.happen(("enter", ANN, "vip", {"opted_in_at": audiences.now()}))
    export.deliver()
    queued = len(export.account.automations)
    export.act("update", ANN, values={FIELD: []})

    check(export, repair=True)
    export.deliver_until_rest()

    assert export.held(ANN) == ["vip"]
    assert len(export.account.automations) == queued == 1


def test_who_opts_out_between_the_check_and_the_repair_stays_out(delivered):
    delivered.act("update", ANN, values={FIELD: []})
    check(delivered, repair=True)
    delivered.act("unsubscribe", ANN)

    delivered.deliver_until_rest()

    assert delivered.held(ANN) == "Unsubscribed"
    assert delivered.account.added_after_opt_out == []


def test_a_brake_holds_a_repair(export):
    """More rows than may be refused are held back by the delivery, like all others."""
    export.made = export.create("vip", existing_users=True, brakes={"refused": 0.3, "least_people": 1})
    for email in (ANN, BOB, CID):
        export.happen(("enter", email, "vip"))
    export.deliver()
    for email in (ANN, BOB, CID):
        export.act("update", email, values={FIELD: []})
    check(export, repair=True)
    for email in (ANN, BOB, CID):
        export.act("unsubscribe", email)

    export.deliver()
    export.deliver()

    assert registry.get(export.context.store, export.made.id).waits_for == "refused"


def test_a_repair_that_others_undo_is_not_made_again_at_the_next_check(delivered):
    delivered.act("update", ANN, values={CITY: ["Rome"]})
    check(delivered, repair=True)
    delivered.deliver_until_rest()
    delivered.act("update", ANN, values={CITY: ["Rome"]})

    assert check(delivered, repair=True).sent_again == 0
    (row,) = rows(delivered.context.store, delivered.list.list_id)
    assert "came back after a repair" in row["reason"]


def test_people_of_a_paused_export_are_repaired_when_it_goes_on(delivered):
    service.pause(delivered.context, delivered.made.id)
    delivered.act("update", ANN, values={FIELD: []})

    assert check(delivered, repair=True).sent_again == 1
    delivered.deliver()
    assert delivered.held(ANN) == []
    service.resume(delivered.context, delivered.made.id)
    delivered.deliver_until_rest()

    assert delivered.held(ANN) == ["vip"]


def test_an_adopted_row_is_as_it_should_be(export):
    export.list.fields.append(CustomField("Lytics Audiences", FIELD, "MultiSelectMany", ["vip", "theirs"]))
    export.act("subscribe", ANN, values={FIELD: ["vip", "theirs"]})
    export.made = export.create("vip", existing_users=True)
    export.deliver()

    assert check(export, repair=True).drift == {}
    assert export.calls() == 0


def test_a_list_that_was_told_nothing_is_not_checked(export):
    export.made = export.create("vip")

    with pytest.raises(NothingToCheck, match="deliver first"):
        check(export)


def test_two_checks_of_a_list_at_once_are_refused(delivered):
    store = delivered.context.store
    store.client.set(keys.lease(lease_of(delivered.list.list_id)), "a worker", px=60_000)

    with pytest.raises(UnderWay):
        check(delivered)


# Pages


@pytest.fixture
def large(export):
    """2,500 people who were delivered, the first, the 1,500th and the last changed by hand."""
    patient = replace(export.context.settings, api_read_timeout_seconds=10)
    export.context = replace(export.context, settings=patient)
    export.people = [f"p{number:04}@example.com" for number in range(2500)]
    export.made = export.create("vip", existing_users=True, brakes={"refused": None})
    export.happen(*(("enter", email, "vip") for email in export.people))
    export.deliver_until_rest()
    export.changed = [export.people[number] for number in (0, 1500, 2499)]
    for email in export.changed:
        export.act("update", email, values={FIELD: []})
    return export


def test_it_costs_a_call_for_each_thousand_people(large):
    result = check(large)

    assert (result.drift, result.in_list) == ({"changed": 3}, {"active": 2500})
    assert large.calls("GET /lists/{list}/active") == 3
    assert reads(large) == 3 + 4
    assert result.calls == reads(large) + 2, "the client's zone and the fields"


@pytest.mark.parametrize("people", [0, 1, 999, 1001, 2001, 3400])
def test_a_list_that_has_shrunk_or_grown_since_the_last_check_is_read_whole(large, people):
    check(large)
    for email in large.people[people:]:
        del large.list.subscribers[email]
    large.list.version += 1
    for number in range(len(large.people), people):
        large.act("subscribe", f"q{number}@example.com")

    result = check(large)

    assert result.in_list.get("active", 0) >= people
    assert result.drift.get("missing", 0) == max(2500 - people, 0)
    assert result.drift.get("changed", 0) == sum(int(email[1:5]) < people for email in large.changed)


def test_a_check_whose_reading_fails_goes_on_from_its_page(large):
    large.fault("500", match="active", after=1, times=1)

    with pytest.raises(Retriable):
        check(large)
    run = findings.run_of(large.context.store, large.list.list_id)
    assert run.people == {"active": 1000} or run.people == {"active": 500}
    assert run.wake_at > now_ms()
    before = large.calls("GET /lists/{list}/active")

    result = check(large)

    assert (result.drift, result.id) == ({"changed": 3}, run.id)
    assert result.in_list == {"active": 2500}
    assert large.calls("GET /lists/{list}/active") - before == 2
    assert findings.run_of(large.context.store, large.list.list_id) is None


CHECKING = """
import sys
import settings
from listbridge.context import build
from listbridge.jobs.reconcile import reconcile
held = settings.load(dict(__import__("os").environ))
reconcile(build(held, held.redis_url), sys.argv[1], repair=True)
"""


@pytest.mark.also_on_a_cluster
def test_a_check_whose_process_is_killed_goes_on_and_repairs_everybody_once(large):
    large.fault("slow", match="active", after=1, times=-1, seconds=30)
    process = start_python(CHECKING, large.made.id, settings=large.context.settings)
    store, list_id = large.context.store, large.list.list_id
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        run = findings.run_of(store, list_id)
        if run is not None and run.people.get("active", 0) > 0:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    run = findings.run_of(store, list_id)
    assert 0 < run.people["active"] < 2500
    large.server.simulator.faults.clear()
    # The dead process's lease runs out by itself; the test doesn't wait that long.
    store.client.delete(keys.lease(lease_of(list_id)))
    before = large.calls("GET /lists/{list}/active")

    result = check(large, repair=True)
    large.deliver_until_rest()

    assert result.id == run.id
    assert large.calls("GET /lists/{list}/active") - before <= 2, "what was read is not read again"
    assert (result.drift, result.sent_again) == ({"changed": 3}, 3)
    assert [large.held(email) for email in large.changed] == [["vip"]] * 3


# By itself


def make_due(export):
    long_ago = now_ms() - 25 * 3_600_000
    export.context.store.client.hset(keys.workflow(export.made.id), "started_at", long_ago)


def test_a_list_is_checked_once_a_day_by_itself(delivered):
    assert sweep(delivered.context).checks == ()
    make_due(delivered)
    delivered.act("update", ANN, values={FIELD: []})
    list_id = delivered.list.list_id
    assert sweep(delivered.context).checks == (list_id,)

    result = reconcile_due(delivered.context, list_id)

    assert (result.drift, result.sent_again) == ({"changed": 1}, 0)
    assert sweep(delivered.context).checks == ()
    assert reconcile_due(delivered.context, list_id) is None


def test_it_repairs_by_itself_only_where_all_exports_into_the_list_say_so(export):
    export.made = export.create("vip", existing_users=True, drift="repair")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    make_due(export)
    export.act("update", ANN, values={FIELD: []})
    other = export.create("gold")
    export.deliver()
    assert reconcile_due(export.context, export.list.list_id).sent_again == 0

    service.stop(export.context, other.id)
    export.deliver()
    export.context.store.client.delete(keys.reconciled(export.list.list_id))
    assert reconcile_due(export.context, export.list.list_id).sent_again == 1


def test_an_export_without_checks_is_not_checked_by_itself(export):
    export.made = export.create("vip", existing_users=True, reconcile_every=None)
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    make_due(export)

    assert sweep(export.context).checks == ()


def test_a_check_that_was_cut_off_is_due_when_its_rest_is_over(large):
    large.fault("500", match="active", after=1, times=1)
    make_due(large)
    list_id = large.list.list_id

    assert reconcile_due(large.context, list_id) is None
    assert sweep(large.context).checks == ()
    run = findings.run_of(large.context.store, list_id)
    findings.save_run(large.context.store, list_id, msgspec.structs.replace(run, wake_at=1))

    assert sweep(large.context).checks == (list_id,)
    assert reconcile_due(large.context, list_id).drift == {"changed": 3}


def test_a_check_that_can_not_be_finished_says_why_and_waits_for_the_next(delivered):
    make_due(delivered)
    delivered.account.api_key = "b" * 32
    list_id = delivered.list.list_id

    assert reconcile_due(delivered.context, list_id) is None

    assert "nvalid" in findings.result_of(delivered.context.store, list_id).problem
    assert sweep(delivered.context).checks == ()
    assert registry.get(delivered.context.store, delivered.made.id).state == "running"


def test_what_was_found_is_counted_and_logged(delivered):
    delivered.act("update", ANN, values={FIELD: []})

    check(delivered)

    assert log.progress(delivered.context.store, delivered.made.id)["drift_changed"] == 1
    line = log.read(delivered.context.store, delivered.made.id)[-1]
    assert (line["level"], "drift: 1 changed" in line["message"]) == ("warning", True)


# As people ask for it


@pytest.fixture
def command(delivered, monkeypatch):
    monkeypatch.setattr(cli.runtime, "settings", lambda: delivered.context.settings)
    return lambda *arguments: CliRunner().invoke(main, ["export", *arguments])


@pytest.fixture
def ask(delivered):
    app = create_app(delivered.context, lambda: None)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {delivered.context.settings.api_tokens[0]}"
    return lambda path: client.get(path)


def test_the_command_shows_what_is_otherwise_and_writes_all_of_it(delivered, command, tmp_path):
    delivered.act("update", ANN, values={CITY: ["Rome"]})
    delivered.act("unsubscribe", BOB)

    done = command("reconcile", delivered.made.id, "--csv", str(tmp_path / "drift.csv"))

    assert done.exit_code == 0, done.output
    assert "add --repair" in done.output
    with open(tmp_path / "drift.csv", encoding="utf-8") as file:
        found = {row["email"]: row for row in csv.DictReader(file)}
    assert json.loads(found[ANN]["held"]) == {CITY: ["Rome"]}
    assert json.loads(found[ANN]["wanted"]) == {CITY: ["Paris"]}
    assert (found[BOB]["kind"], found[BOB]["done"]) == ("opted_out", "state is known now")


def test_the_command_repairs_and_says_so_in_json(delivered, command):
    delivered.act("update", ANN, values={CITY: ["Rome"]})

    found = json.loads(command("reconcile", delivered.made.id, "--repair", "--json").stdout)

    assert (found["result"]["drift"], found["result"]["sent_again"]) == ({"changed": 1}, 1)
    assert found["result"]["samples"]["changed"][0]["email"] == ANN
    assert found["under_way"] is None


def test_a_list_as_it_should_be_is_told_in_one_line(delivered, command):
    assert "The list is as it should be: 3 people" in command("reconcile", delivered.made.id).output


def test_an_import_has_no_list_to_check(delivered, command):
    made = service.create_import(
        delivered.context, delivered.authorization.id, {"client_id": delivered.client.client_id}
    )

    done = command("reconcile", made.id)

    assert (done.exit_code, "only an export's list is checked" in done.output) == (1, True)


@pytest.mark.also_on_a_cluster
def test_the_last_check_is_shown_with_the_status_over_http_and_as_metrics(delivered, command, ask):
    url = f"/v1/workflows/{delivered.made.id}/drift"
    assert ask(url).json == {"result": None, "under_way": None}
    delivered.act("update", ANN, values={CITY: ["Rome"]})
    command("reconcile", delivered.made.id)

    found = ask(f"{url}?sample=1").json["result"]
    status = json.loads(command("status", delivered.made.id, "--json").output)
    counted = {
        sample.labels["kind"]: sample.value
        for sample in samples(delivered.context)
        if sample.name == "listbridge_export_drift_total"
    }

    assert (found["drift"], found["samples"]["changed"][0]["held"]) == ({"changed": 1}, {CITY: ["Rome"]})
    assert (status["drift"], status["list_checked"]) == ({"changed": 1}, found["finished_at"])
    assert counted == {
        "changed": 1,
        "extra": 0,
        "missing": 0,
        "opted_out": 0,
        "returned": 0,
        "duplicate": 0,
    }


def test_a_new_check_forgets_what_the_last_one_found(delivered):
    delivered.act("update", ANN, values={CITY: ["Rome"]})
    check(delivered)
    delivered.act("update", ANN, values={CITY: ["Paris"]})
    delivered.act("update", BOB, values={CITY: ["Rome"]})

    assert check(delivered).drift == {"changed": 1}
    assert drifts(delivered) == {BOB: ("changed", "reported")}
    store = delivered.context.store
    assert not [name for part in store.parts for name in store.client.scan_iter(part.listed("*"))]

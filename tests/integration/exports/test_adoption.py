"""A list that held the audience field before us: its people are read once, and only what differs is sent."""

import time

import pytest
from mortal import start_python
from simulated import IMPORT

from listbridge.errors import Retriable
from listbridge.exports import adoption
from listbridge.exports.history import unframed
from listbridge.exports.ledger import delivered_to, raise_doubt
from listbridge.exports.setup import change_setup, setup_of
from listbridge.jobs.deliver import bell_of
from listbridge.standing.why import why
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.workflows import log, service
from simulator.account import CustomField

ANN, BOB, CID, DAN = "ann@example.com", "bob@example.com", "cid@example.com", "dan@example.com"
FIELD = "[LyticsAudiences]"
ACTIVE = "GET /lists/{list}/active"


@pytest.fixture
def held(export):
    """The list's field, made by others, with an option of ours and one of theirs."""
    export.list.fields.append(
        CustomField("Lytics Audiences", FIELD, "MultiSelectMany", ["vip", "theirs", "lapsed"])
    )
    return export


@pytest.fixture(params=["replace", "append"], ids=["replaces", "appends"])
def either_reading(export, request):
    export.account.switches.change({"import_multi_select": request.param})


def subscribe(export, email, *options, name="", **values):
    export.act("subscribe", email, name=name, values={FIELD: list(options)} | values)


def create(export, *slugs, **settings):
    return export.create(*(slugs or ("vip",)), **({"existing_users": True} | settings))


def told(export, *people):
    return delivered_to(export.context.store, export.list.list_id, people)


def enter(export, *people, audience="vip"):
    export.happen(*(("enter", email, audience) for email in people))


@pytest.mark.usefixtures("either_reading")
def test_a_start_sends_only_what_differs(held):
    subscribe(held, ANN, "vip")
    subscribe(held, BOB)
    subscribe(held, CID, "vip", "lapsed")
    enter(held, ANN, BOB, CID)
    held.happen(("enter", CID, "lapsed"), ("exit", CID, "lapsed"))
    create(held, "vip", "lapsed")

    result = held.deliver()

    assert (result.sent, result.unchanged) == (2, 1)
    assert [held.held(email) for email in (ANN, BOB, CID)] == [["vip"]] * 3
    assert (held.calls(ACTIVE), held.calls()) == (1, 1)


def test_it_is_done_once(held):
    subscribe(held, ANN, "vip")
    made = create(held)
    held.deliver()
    assert not setup_of(held.context.store, held.list.list_id).adopting

    service.pause(held.context, made.id)
    service.resume(held.context, made.id)
    held.deliver()
    create(held, "lapsed")
    held.deliver()

    assert held.calls(ACTIVE) == 1


def test_a_list_without_the_field_is_not_read(export):
    export.act("subscribe", ANN)
    create(export)

    export.deliver()

    assert export.calls(ACTIVE) == 0


def test_people_known_by_another_address_than_their_key_can_not_be_adopted(held):
    subscribe(held, ANN, "vip")
    create(held, email_field="work_email")

    held.deliver()

    assert held.calls(ACTIVE) == 0


@pytest.mark.usefixtures("either_reading")
def test_options_of_others_stay_with_every_write(held):
    subscribe(held, ANN, "theirs")
    subscribe(held, BOB, "vip", "theirs")
    create(held)
    enter(held, ANN, BOB)
    held.deliver()
    assert (held.held(ANN), held.held(BOB)) == (["vip", "theirs"], ["vip", "theirs"])

    held.happen(("exit", ANN, "vip"), ("exit", BOB, "vip"))
    held.deliver()
    assert (held.held(ANN), held.held(BOB)) == (["theirs"], ["theirs"])

    enter(held, ANN)
    held.deliver()
    assert held.held(ANN) == ["vip", "theirs"]


@pytest.mark.usefixtures("either_reading")
def test_an_option_that_no_event_explains_stays_until_one_does(held):
    """An audience that is not loaded yet clears nobody."""
    subscribe(held, ANN, "vip")
    held.tell_status(ANN)
    create(held, "vip", "lapsed")
    held.deliver()
    assert (held.held(ANN), held.calls()) == (["vip"], 0)

    enter(held, ANN, audience="lapsed")
    held.deliver()
    assert held.held(ANN) == ["vip", "lapsed"]

    held.happen(("exit", ANN, "vip"))
    held.deliver()
    assert held.held(ANN) == ["lapsed"]


@pytest.mark.usefixtures("either_reading")
def test_who_has_left_the_audience_before_the_start_is_cleared(held):
    subscribe(held, ANN, "vip")
    enter(held, ANN)
    held.happen(("exit", ANN, "vip"))
    create(held)

    held.deliver()

    assert held.held(ANN) == []


def test_who_holds_nothing_of_ours_and_is_in_no_audience_is_not_written_to(held):
    held.list.fields.append(CustomField("City", "[City]", "Text", []))
    subscribe(held, ANN, "theirs")
    create(held, "vip", field_mappings={"town": "City"})
    held.happen(("enter", ANN, "other", {"fields": {"town": "Paris"}}))

    held.deliver()

    assert (held.calls(), held.list.find(ANN).values.get("[City]")) == (0, None)


def test_names_and_mapped_values_that_are_there_already_are_not_sent(held):
    held.list.fields.append(CustomField("City", "[City]", "Text", []))
    for email, city in ((ANN, "Paris"), (BOB, "Rome")):
        subscribe(held, email, "vip", name="A Name", **{"[City]": [city]})
    create(held, "vip", name_field="full", field_mappings={"town": "City"})
    for email in (ANN, BOB):
        held.happen(("enter", email, "vip", {"fields": {"full": "A Name", "town": "Paris"}}))

    result = held.deliver()

    assert (result.sent, held.list.find(BOB).values["[City]"]) == (1, ["Paris"])


def test_what_was_delivered_is_never_overwritten(held):
    create(held)
    enter(held, ANN)
    held.deliver()
    before = told(held, ANN)[ANN]
    held.act("update", ANN, values={FIELD: ["theirs"]})
    store, list_id = held.context.store, held.list.list_id
    change_setup(store, list_id, adopting=True)
    held.deliver()

    assert told(held, ANN)[ANN] == before


def test_an_adoption_that_is_cut_off_goes_on_where_it_was(held, monkeypatch):
    people = [f"p{number:04}@example.com" for number in range(2500)]
    for email in people:
        subscribe(held, email, "vip")
    enter(held, *people[:10])
    made = create(held)
    written = []

    def crash_at_second(*args):
        written.append(write(*args))
        if len(written) == 2:
            raise Retriable("the process is gone")
        return written[-1]

    write = adoption._write
    monkeypatch.setattr(adoption, "_write", crash_at_second)
    held.deliver()
    assert len(written) == 2
    assert held.context.store.client.get(keys.adoption(held.list.list_id))
    before = held.calls(ACTIVE)

    monkeypatch.setattr(adoption, "_write", write)
    held.deliver_until_rest()

    assert held.calls(ACTIVE) - before == 2
    assert len(told(held, *people)) == 2500
    assert (held.calls(), held.state(made)) == (0, "running")
    assert not held.context.store.client.exists(keys.adoption(held.list.list_id))
    assert any("list adopted" in line["message"] for line in log.read(held.context.store, made.id))


def test_whose_row_changes_during_the_adoption_is_sent_again(held, monkeypatch):
    subscribe(held, ANN, "vip")
    enter(held, ANN)
    create(held)
    write = adoption._write

    def edit_meanwhile(*args):
        held.act("update", ANN, values={FIELD: []})
        raise_doubt(held.context.store, held.list.list_id, [ANN], now_ms(), everybody=True)
        return write(*args)

    monkeypatch.setattr(adoption, "_write", edit_meanwhile)
    held.deliver_until_rest()

    assert held.held(ANN) == ["vip"]


def test_a_segment_with_the_same_title_and_another_rule_is_left_and_reported(held):
    held.create("vip")
    held.deliver()
    (segment,) = held.list.segments.values()
    segment.groups[0]["Rules"][0]["Clause"] = "EQUALS theirs"
    held.context.store.client.delete(keys.list_setup(held.list.list_id))

    made = held.create("lapsed")
    held.deliver()

    lines = [line["message"] for line in log.read(held.context.store, made.id) if line["level"] == "warning"]
    assert len(lines) == 1
    assert "'vip'" in lines[0]
    assert {each.title for each in held.list.segments.values()} == {"vip", "lapsed"}


def test_a_value_that_is_no_option_of_its_field_is_refused_until_it_is_one(held):
    tier = CustomField("Tier", "[Tier]", "MultiSelectOne", ["gold"])
    held.list.fields.append(tier)
    made = create(held, "vip", field_mappings={"tier": "Tier"})
    held.happen(("enter", ANN, "vip", {"fields": {"tier": "tin"}}))

    held.deliver()

    assert held.held(ANN) is None
    refusal = held.refusals()[ANN]
    assert (refusal.code, refusal.message) == (
        "unknown_option",
        "'tin' is not an option of [Tier]; it has 'gold'",
    )
    tier.options.append("tin")
    service.pause(held.context, made.id)
    service.resume(held.context, made.id)
    held.deliver()
    assert held.list.find(ANN).values["[Tier]"] == ["tin"]


def test_a_call_that_is_cut_after_an_adoption_keeps_the_options_of_others(held):
    subscribe(held, ANN, "theirs")
    create(held)
    enter(held, ANN)
    held.fault("drop-after", match=IMPORT)

    held.deliver_until_rest()

    assert held.held(ANN) == ["vip", "theirs"]


DELIVERING = """
import sys
import settings
from listbridge.context import build
from listbridge.jobs.deliver import deliver
from listbridge.campaign_monitor import destination
destination.MARGIN_SECONDS = 0.1
held = settings.load(dict(__import__("os").environ))
deliver(build(held, held.redis_url), sys.argv[1])
"""


def test_an_adoption_whose_process_is_killed_goes_on(held):
    people = [f"p{number:04}@example.com" for number in range(2500)]
    for email in people:
        subscribe(held, email, "vip")
    enter(held, *people[:10])
    create(held)
    held.fault("slow", match="active", after=2, times=-1, seconds=30)
    process = start_python(DELIVERING, held.list.list_id, settings=held.context.settings)
    name = keys.adoption(held.list.list_id)
    deadline = time.monotonic() + 20
    while not held.context.store.client.exists(name) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert 0 < len(told(held, *people)) < 2500
    held.server.simulator.faults.clear()
    # The dead process's lease runs out by itself; the test doesn't wait that long.
    held.context.store.client.delete(keys.lease(bell_of(held.list.list_id)))
    before = held.calls(ACTIVE)

    held.deliver_until_rest()

    assert held.calls(ACTIVE) - before <= 2, "the page that was read is not read again"
    assert len(told(held, *people)) == 2500
    assert held.calls() == 0


def test_what_was_found_in_the_list_is_told_as_that_and_never_as_delivered(held):
    subscribe(held, ANN, "vip")
    enter(held, ANN)
    made = create(held, "vip", "lapsed")
    held.deliver()
    before = [each["what"] for each in why(held.context, made, ANN)["events"]]

    enter(held, ANN, audience="lapsed")
    held.deliver()

    store = held.context.store
    kept = unframed(store.client.hget(store.part(ANN).history(held.list.list_id), ANN))
    assert "found in the list: vip" in before
    assert [(each.what, each.options) for each in kept] == [("stored", ("lapsed", "vip"))]
    after = [each["what"] for each in why(held.context, made, ANN)["events"]]
    assert "delivered: vip" not in before + after
    assert after[-1] == "delivered: lapsed, vip"

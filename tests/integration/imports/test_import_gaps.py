"""What happened while no delivery came is made up for, once, whatever comes late."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from listbridge.aggregation.fold import Folder
from listbridge.campaign_monitor import webhooks
from listbridge.campaign_monitor.gaps import beat, gaps_after
from listbridge.campaign_monitor.incoming import receive
from listbridge.campaign_monitor.webhooks import receiver
from listbridge.exports.delivered import Delivered, content, pack
from listbridge.exports.setup import Setup, save_setup
from listbridge.jobs.sweep import sweep
from listbridge.profiles.reading import profile_of
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.workflows import service
from listbridge.workflows.models import State
from simulator import changes
from simulator.account import CustomField
from simulator.webhooks import payload

PUBLIC_URL = "http://127.0.0.1:9"


@pytest.fixture
def importer(importer):
    importer.context = replace(
        importer.context, settings=replace(importer.context.settings, public_url=PUBLIC_URL)
    )
    return importer


@pytest.fixture
def workflow(importer):
    made = importer.create(keep_updated=True)
    importer.run(made)
    assert importer.state(made).state is State.SLEEPING
    return made


def target(importer):
    return importer.server.account.find_list(importer.list_ids[0])


def active(importer, count):
    return [each.email for each in target(importer).subscribers.values() if each.state == "Active"][:count]


def act(importer, action, email, **details):
    importer.server.simulator.act(action, importer.list_ids[0], email, **details)


def silence(importer, seconds=120):
    """The web service takes deliveries again, after a while in which it did not."""
    now = now_ms()
    importer.context.store.client.set(keys.RECEIVING, now - seconds * 1000)
    return beat(importer.context.store, now)


def deliver_late(importer, workflow, list_id=None):
    """All that the list's webhooks ever had to tell arrives."""
    known = receiver(importer.context.store, workflow.id).account
    wanted = list_id or importer.list_ids[0]
    told = [each.event for each in importer.server.account.webhook_events if each.list_id == wanted]
    return receive(importer.context.store, known, payload(wanted, told))


def reading(importer, workflow):
    """Run it if the sweep finds it due."""
    assert sweep(importer.context).imports == (workflow.id,)
    importer.run(workflow)
    assert importer.state(workflow).state is State.SLEEPING, importer.state(workflow).reason
    assert sweep(importer.context).imports == ()


def field_of(importer, email, name):
    Folder(importer.context.store, importer.context.program).run()
    found = profile_of(importer.context.store, importer.context.programs, email)
    return found["fields"].get(name)


def test_a_short_silence_is_no_gap(importer, workflow):
    assert not silence(importer, seconds=30)
    assert sweep(importer.context).imports == ()


def test_a_beat_that_is_repeated_or_late_makes_no_gap(store):
    assert not beat(store, 1_000_000)
    assert not beat(store, 1_000_000)
    assert beat(store, 1_100_000)
    assert not beat(store, 1_100_000)
    assert not beat(store, 1_050_000)
    assert not beat(store, 1_110_000)
    assert [(each.since, each.until) for each in gaps_after(store, "l1", 0)] == [(1_000_000, 1_100_000)]


def test_after_a_gap_the_states_are_read_and_tell_what_the_deliveries_would_have_told(importer, workflow):
    left, gone, dead = active(importer, 3)
    for action, email in (
        ("unsubscribe", left),
        ("delete", gone),
        ("bounce", dead),
        ("subscribe", "n@example.org"),
    ):
        act(importer, action, email, name="Name")
    assert silence(importer)
    reading(importer, workflow)
    words = {
        (each["email"].lower(), each["event"], each.get("status")) for each in importer.events("cm_activity")
    }
    for email, status in ((left, "unsubscribe"), (gone, "delete"), (dead, "bounce")):
        assert (email.lower(), "deactivate", status) in words
    assert ("n@example.org", "subscribe", None) in words
    before = importer.event_count()
    late = deliver_late(importer, workflow)
    assert late.accepted == 0, importer.event_count() - before
    assert field_of(importer, left, "cm_unsub_ts")


def test_a_changed_name_that_nobody_told_is_known_after_a_gap(importer, workflow):
    (email,) = active(importer, 1)
    clock = importer.server.account.clock
    clock.advance(-600)
    act(importer, "update", email, name="First")
    clock.advance(600)
    deliver_late(importer, workflow)
    assert field_of(importer, email, "cm_name") == "First"
    known = target(importer).find(email)
    known.name = "Second"
    assert silence(importer)
    reading(importer, workflow)
    assert field_of(importer, email, "cm_name") == "Second"
    before = importer.event_count()
    importer.run(service.resume(importer.context, workflow.id))
    assert importer.event_count() == before


def test_an_opt_out_in_the_last_minute_of_a_gap_stands(importer, workflow):
    (email,) = active(importer, 1)
    target(importer).find(email).name = "Another"
    assert silence(importer)
    reading(importer, workflow)
    act(importer, "unsubscribe", email)
    deliver_late(importer, workflow)
    assert field_of(importer, email, "cm_list_ids_status")[importer.list_ids[0]] == "unsubscribed"


def test_a_gap_is_read_once(importer, workflow):
    silence(importer)
    reading(importer, workflow)
    before = importer.server.simulator.calls.report()["by_endpoint"]
    importer.run(service.resume(importer.context, workflow.id))
    after = importer.server.simulator.calls.report()["by_endpoint"]
    assert after["GET /lists/{list}/active"] == before["GET /lists/{list}/active"]


def test_a_reading_after_a_gap_that_is_broken_off_goes_on_to_its_end(importer, workflow):
    left = active(importer, 30)[-1]
    act(importer, "unsubscribe", left)
    silence(importer)
    made = importer.server.simulator.calls
    while importer.state(workflow).state is not State.SLEEPING or sweep(importer.context).imports:
        sweep(importer.context)
        before = made.report()["total"]
        importer.run(workflow, stopping=lambda: made.report()["total"] >= before + 15)  # noqa: B023
    assert deliver_late(importer, workflow).accepted == 0


def test_a_webhook_that_was_switched_off_makes_a_gap_of_its_list(importer, workflow):
    (hook,) = target(importer).webhooks.values()
    hook.status = "Inactive"
    (email,) = active(importer, 1)
    act(importer, "unsubscribe", email)
    importer.run(service.resume(importer.context, workflow.id))
    assert hook.status == "Active"
    assert any("is active again; deliveries may be missing" in line for line in importer.log(workflow))
    words = {(each["email"], each["event"], each.get("status")) for each in importer.events("cm_activity")}
    assert (email, "deactivate", "unsubscribe") in words
    assert gaps_after(importer.context.store, importer.list_ids[1], 0) == []
    assert sweep(importer.context).imports == ()
    assert deliver_late(importer, workflow).accepted == 0


def test_another_public_address_makes_a_gap(importer, workflow):
    (email,) = active(importer, 1)
    act(importer, "unsubscribe", email)
    importer.context = replace(
        importer.context, settings=replace(importer.context.settings, public_url="http://127.0.0.1:10")
    )
    importer.run(service.resume(importer.context, workflow.id))
    assert any("replaced; deliveries may be missing" in line for line in importer.log(workflow))
    assert deliver_late(importer, workflow).accepted == 0


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_lost_late_or_doubled_each_change_is_told_once(importer, workflow, seed):
    """At the end every delivery has come, some of them twice; before that, gaps were made up for."""
    chance, account = Random(seed), importer.server.account
    account.clock.advance(-6 * 3600)
    people, heard = active(importer, 6), 0
    for _ in range(30):
        account.clock.advance(chance.choice([70, 200, 900]))
        email, step = chance.choice(people), chance.random()
        person = target(importer).find(email)
        if step < 0.5 and person.state == "Active":
            act(importer, chance.choice(["unsubscribe", "bounce", "delete"]), email)
        elif step < 0.8:
            act(importer, "subscribe", email, name=chance.choice("ABC"))
        elif step < 0.9:
            told = account.webhook_events[heard:]
            heard = len(account.webhook_events)
            tell(importer, workflow, chance.sample(told, len(told) // 2))
        else:
            silence(importer, seconds=8 * 3600)
            sweep(importer.context)
            importer.run(workflow)
    silence(importer, seconds=8 * 3600)
    sweep(importer.context)
    importer.run(workflow)
    for email in people:
        held = target(importer).find(email).state.lower()
        assert field_of(importer, email, "cm_list_ids_status")[importer.list_ids[0]] == held, email
    tell(importer, workflow, chance.sample(account.webhook_events, len(account.webhook_events)))
    told = {
        (
            each.event["EmailAddress"].lower(),
            each.event["Type"],
            each.event.get("State"),
            each.event["Date"][:16],
        )
        for each in account.webhook_events
        if each.event["Type"] != "Update" and each.list_id == importer.list_ids[0]
    }
    kinds = Counter(each["event"] for each in importer.events("cm_activity") if "campaign_id" not in each)
    assert kinds["deactivate"] == sum(kind == "Deactivate" for _, kind, _, _ in told)
    assert kinds["subscribe"] == sum(kind == "Subscribe" for _, kind, _, _ in told)
    for email in people:
        held = target(importer).find(email).state.lower()
        assert field_of(importer, email, "cm_list_ids_status")[importer.list_ids[0]] == held, email


def tell(importer, workflow, records):
    known = receiver(importer.context.store, workflow.id).account
    for each in records:
        receive(importer.context.store, known, payload(each.list_id, [each.event]))


def test_an_import_without_webhooks_is_not_woken(importer):
    made = importer.create(keep_updated=True, webhooks=False)
    importer.run(made)
    silence(importer)
    assert sweep(importer.context).imports == ()


def test_our_own_rows_in_a_gap_make_nobody_look_active(importer, workflow, monkeypatch):
    act(importer, "subscribe", "ours@example.org")
    monkeypatch.setattr("listbridge.campaign_monitor.repairs._written_by_us", lambda *_: {"ours@example.org"})
    silence(importer)
    reading(importer, workflow)
    (event,) = [each for each in importer.events("cm_activity") if each["email"] == "ours@example.org"]
    assert event["origin"] == "self"
    assert webhooks.receiver(importer.context.store, workflow.id).looked_at


def test_the_run_that_finds_a_webhook_switched_off_reads_all_that_it_may_have_missed(importer, workflow):
    (hook,) = target(importer).webhooks.values()
    hook.status = "Inactive"
    (email,) = active(importer, 1)
    target(importer).find(email).name = "Second"
    importer.run(service.resume(importer.context, workflow.id))
    assert field_of(importer, email, "cm_name") == "Second"
    before = importer.server.simulator.calls.report()["by_endpoint"]
    importer.run(service.resume(importer.context, workflow.id))
    after = importer.server.simulator.calls.report()["by_endpoint"]
    assert after["GET /lists/{list}/active"] == before["GET /lists/{list}/active"]


def test_a_clock_that_was_ahead_for_a_while_wakes_nobody_again_and_again(importer, workflow):
    now, day = now_ms(), 86_400_000
    beat(importer.context.store, now)
    beat(importer.context.store, now + day)
    importer.run(service.resume(importer.context, workflow.id))
    assert sweep(importer.context).imports == ()


def test_a_gap_is_noticed_though_the_clock_was_ahead_before(store):
    now, day = now_ms() - 10 * 86_400_000, 86_400_000
    beat(store, now)
    beat(store, now + day)
    beat(store, now + 15_000)
    assert beat(store, now + 615_000)


OURS = "[LyticsAudiences]"


def write(importer, email, *options):
    """A row of ours, as an export sends and records it."""
    store, list_id, owner = importer.context.store, importer.list_ids[0], target(importer)
    if not any(each.key == OURS for each in owner.fields):
        owner.fields.append(CustomField("Lytics Audiences", OURS, "MultiSelectMany", ["Gold", "Silver"]))
    save_setup(store, list_id, Setup(field_key=OURS, labels=("Gold", "Silver"), mapped={}, fingerprint="f"))
    person, account, key = owner.find(email), importer.server.account, email.lower()
    at = round(account.clock.now().timestamp() * 1000)
    person.values[OURS] = list(options)
    changes.updated(account, owner, person, account.moment(owner.client), "api")
    writes = ((at, content(None, options)),)
    row = Delivered(at=at, name=None, options=options, values={}, writes=writes)
    store.client.hset(store.part(key).delivered(list_id), key, pack(row))


def test_a_row_of_ours_whose_echo_came_is_not_told_again_after_a_gap(importer, workflow):
    (email,) = active(importer, 1)
    clock = importer.server.account.clock
    clock.advance(-1800)
    write(importer, email, "Gold")
    clock.advance(1800)
    deliver_late(importer, workflow)
    before = updated_at(importer, email)
    assert silence(importer)
    reading(importer, workflow)
    assert updated_at(importer, email) == before


def test_a_row_of_ours_in_a_gap_is_told_as_its_echo_would_have(importer, workflow):
    (email,) = active(importer, 1)
    clock = importer.server.account.clock
    clock.advance(-1800)
    write(importer, email, "Gold")
    clock.advance(1800)
    assert silence(importer, seconds=7200)
    reading(importer, workflow)
    told = updated_at(importer, email)
    late = deliver_late(importer, workflow)
    assert late.accepted == 1, "the activity, which a row can't tell; the state is known"
    assert updated_at(importer, email) == told


def test_a_name_that_others_changed_after_our_row_is_told_after_a_gap(importer, workflow):
    (email,) = active(importer, 1)
    clock = importer.server.account.clock
    clock.advance(-1800)
    write(importer, email, "Gold")
    act(importer, "update", email, name="First")
    clock.advance(1800)
    deliver_late(importer, workflow)
    target(importer).find(email).name = "Second"
    assert silence(importer)
    reading(importer, workflow)
    assert field_of(importer, email, "cm_name") == "Second"


def test_who_complains_after_they_unsubscribed_is_told_by_the_row_alone(importer, workflow):
    """No webhook comes, for the state was the same; should the system date the row anew, that counts."""
    (email,) = active(importer, 1)
    clock = importer.server.account.clock
    clock.advance(-1800)
    act(importer, "unsubscribe", email)
    clock.advance(1800)
    deliver_late(importer, workflow)
    sent = len(importer.server.account.webhook_events)
    before = target(importer).find(email).date
    act(importer, "spam", email)
    assert len(importer.server.account.webhook_events) == sent
    assert target(importer).find(email).date == before
    target(importer).find(email).date = importer.server.account.moment(target(importer).client).minute
    target(importer).version += 1
    assert silence(importer)
    reading(importer, workflow)
    left = [each for each in importer.events("cm_activity") if each["email"] == email]
    assert [each["status"] for each in left if each["event"] == "deactivate"] == ["unsubscribe"] * 2


def updated_at(importer, email):
    Folder(importer.context.store, importer.context.program).run()
    return profile_of(importer.context.store, importer.context.programs, email.lower())["updated_at"]

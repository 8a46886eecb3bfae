"""Tokens that rotate, lists that can't be seen for a while, zones that change."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

import settings as settings_module
from cli.main import main
from listbridge.campaign_monitor import webhooks
from listbridge.campaign_monitor.webhooks import receiver
from listbridge.jobs.sweep import sweep
from listbridge.standing.imports import import_standing
from listbridge.store import keys
from listbridge.workflows import care, service
from listbridge.workflows.holds import NotConfirmed
from listbridge.workflows.models import State
from listbridge.workflows.registry import NotAllowed
from simulator.faults import Fault
from webhooks.app import create_app

PUBLIC_URL = "http://127.0.0.1:9"
NEW_ZONE = "(GMT-08:00) Pacific Time (US & Canada)"


@pytest.fixture
def importer(importer):
    importer.context = replace(
        importer.context, settings=replace(importer.context.settings, public_url=PUBLIC_URL)
    )
    return importer


def kept_updated(importer, **config):
    made = importer.create(keep_updated=True, **config)
    importer.run(made)
    assert importer.state(made).state is State.SLEEPING, importer.state(made).reason
    return made


def again(importer, workflow):
    importer.run(service.resume(importer.context, workflow.id))


def lists(importer):
    return importer.server.account.clients[importer.client_id].lists


def tokens(importer, workflow):
    """The tokens of all webhooks in the account, by list."""
    path = f"{PUBLIC_URL}/webhooks/campaign-monitor/{workflow.id}/"
    return {
        list_id: [hook.url.removeprefix(path) for hook in each.webhooks.values()]
        for list_id, each in lists(importer).items()
    }


def admits(importer, workflow, token):
    return receiver(importer.context.store, workflow.id).admits(token)


# Tokens


def test_a_rotated_token_takes_the_place_of_the_old_one_which_stays_good_for_a_grace(importer, monkeypatch):
    workflow = kept_updated(importer)
    ((old,), *_) = tokens(importer, workflow).values()
    care.rotate_token(importer.context, workflow.id)
    assert admits(importer, workflow, old)
    importer.run(workflow)
    found = tokens(importer, workflow)
    new = found[importer.list_ids[0]][0]
    assert found == {each: [new] for each in importer.list_ids}
    assert new != old
    assert admits(importer, workflow, old)
    assert admits(importer, workflow, new)
    assert sweep(importer.context).imports == ()

    over = webhooks.now_ms() + webhooks.GRACE_MS + 1
    monkeypatch.setattr(webhooks, "now_ms", lambda: over)
    assert not admits(importer, workflow, old)
    assert admits(importer, workflow, new)
    again(importer, workflow)
    assert len(receiver(importer.context.store, workflow.id).tokens) == 1


def test_the_old_token_stays_good_while_a_webhook_with_it_could_not_be_replaced(importer, monkeypatch):
    workflow = kept_updated(importer)
    hidden = importer.list_ids[1]
    ((old,), *_) = tokens(importer, workflow).values()
    faults = importer.server.simulator.faults
    faults.add(Fault(kind="401-hidden", match=hidden, times=-1))
    care.rotate_token(importer.context, workflow.id)
    importer.run(workflow)
    over = webhooks.now_ms() + webhooks.GRACE_MS + 1
    monkeypatch.setattr(webhooks, "now_ms", lambda: over)
    assert tokens(importer, workflow)[hidden] == [old]
    assert admits(importer, workflow, old)
    faults.clear()
    again(importer, workflow)
    assert tokens(importer, workflow)[hidden] != [old]


def test_a_rotation_that_is_cut_off_leaves_no_webhook_whose_token_is_refused(importer):
    workflow = kept_updated(importer)
    faults = importer.server.simulator.faults
    for after in range(4):
        importer.context.store.client.hset(keys.workflow(workflow.id), mapping={"wake_at": 1, "failures": 0})
        care.rotate_token(importer.context, workflow.id)
        faults.add(Fault(kind="500", match=r"(POST|DELETE) .*/webhooks", after=after))
        importer.run(workflow)
        found = [each for each in tokens(importer, workflow).values() if each]
        assert len(found) == len(importer.list_ids)
        assert all(admits(importer, workflow, each) for one in found for each in one)
        importer.context.store.client.delete(keys.pace(importer.budget))
        faults.clear()
    again(importer, workflow)
    assert {len(found) for found in tokens(importer, workflow).values()} == {1}


def test_a_rotation_between_runs_wakes_the_import_and_makes_no_gap(importer):
    workflow = kept_updated(importer)
    webhooks.rotate(importer.context.store, importer.context.secrets, workflow.id)
    assert sweep(importer.context).imports == (workflow.id,)
    importer.run(workflow)
    assert not [line for line in importer.log(workflow) if "may be missing" in line]


def test_only_an_import_with_webhooks_has_a_token_to_rotate(importer):
    bare = importer.import_all(webhooks=False)
    with pytest.raises(NotAllowed, match="has no webhooks"):
        care.rotate_token(importer.context, bare.id)


def test_a_webhook_that_posts_xml_or_does_not_tell_everything_is_replaced(importer):
    workflow = kept_updated(importer)
    held = list(lists(importer).values())
    xml, deaf, fine = (next(iter(each.webhooks.values())) for each in held)
    xml.payload_format, deaf.events = "Xml", ["Deactivate"]
    again(importer, workflow)
    stays = [old.webhook_id in each.webhooks for each, old in zip(held, (xml, deaf, fine), strict=True)]
    assert stays == [False, False, True]
    assert [hook.payload_format for each in held for hook in each.webhooks.values()] == ["Json"] * 3


# Lists that can't be seen


def test_a_list_that_is_not_shown_is_set_aside_and_taken_up_again(importer):
    workflow = kept_updated(importer, lists=importer.list_ids)
    hidden = importer.list_ids[0]
    name = lists(importer)[hidden].title
    faults = importer.server.simulator.faults
    faults.add(Fault(kind="401-hidden", match=hidden, times=-1))
    again(importer, workflow)
    assert importer.state(workflow).state is State.SLEEPING
    assert any(f"webhook of {name} is set aside" in line for line in importer.log(workflow))
    assert any(line.startswith(f"skipped {name}") for line in importer.log(workflow))
    shown = import_standing(importer.context, importer.state(workflow))
    assert "not shown" in shown["set_aside"][name]
    assert hidden in receiver(importer.context.store, workflow.id).lists
    people = lists(importer)[hidden].subscribers.values()
    person = next(each.email for each in people if each.state == "Active")
    importer.server.simulator.act("unsubscribe", hidden, person)
    faults.clear()
    again(importer, workflow)
    assert any("the list is shown again" in line for line in importer.log(workflow))
    assert import_standing(importer.context, importer.state(workflow))["set_aside"] == {}
    told = {(each["email"], each["event"]) for each in importer.events("cm_activity")}
    assert (person, "deactivate") in told


def test_a_chosen_list_that_is_deleted_is_set_aside_and_the_others_go_on(importer):
    workflow = kept_updated(importer, lists=importer.list_ids[:2])
    gone, stays = importer.list_ids[:2]
    kept = lists(importer).pop(gone)
    importer.server.simulator.act("subscribe", stays, "new@example.org")
    again(importer, workflow)
    assert importer.state(workflow).state is State.SLEEPING
    assert any(each["email"] == "new@example.org" for each in importer.events("cm_user"))
    assert any("the client has no such list" in line for line in importer.log(workflow))
    lists(importer)[gone] = kept
    again(importer, workflow)
    assert import_standing(importer.context, importer.state(workflow))["set_aside"] == {}


# Zones


def test_a_changed_zone_stops_all_imports_of_the_client_until_it_is_confirmed(importer):
    first, second = kept_updated(importer), kept_updated(importer)
    importer.server.account.clients[importer.client_id].time_zone = NEW_ZONE
    before = importer.event_count()
    for workflow in (first, second):
        again(importer, workflow)
        held = importer.state(workflow)
        assert (held.state, held.waits_for) == (State.PAUSED, "zone")
        assert "was Australia/Sydney and is America/Los_Angeles now" in held.reason
        assert f"confirm-zone {workflow.id}" in service.shown(importer.context, held)["how_to_go_on"]
    with pytest.raises(NotConfirmed, match="confirm-zone"):
        service.resume(importer.context, first.id)
    with pytest.raises(NotConfirmed, match="America/Los_Angeles"):
        care.confirm_zone(importer.context, first.id, "Europe/Berlin")
    assert importer.event_count() == before
    changed = care.confirm_zone(importer.context, first.id, "America/Los_Angeles")
    assert {each.id for each in changed} == {first.id, second.id}
    for workflow in (first, second):
        importer.run(workflow)
        assert importer.state(workflow).state is State.SLEEPING
    assert receiver(importer.context.store, first.id).zone == "America/Los_Angeles"
    with pytest.raises(NotAllowed):
        care.confirm_zone(importer.context, first.id, "America/Los_Angeles")


def test_a_zone_that_was_set_back_is_gone_on_with_by_its_own_name(importer):
    workflow = kept_updated(importer)
    client = importer.server.account.clients[importer.client_id]
    was, client.time_zone = client.time_zone, NEW_ZONE
    again(importer, workflow)
    client.time_zone = was
    care.confirm_zone(importer.context, workflow.id, "Australia/Sydney")
    importer.run(workflow)
    assert importer.state(workflow).state is State.SLEEPING


def test_a_zone_is_confirmed_on_the_command_line_by_typing_it(importer, monkeypatch, tmp_path):
    workflow = kept_updated(importer)
    importer.server.account.clients[importer.client_id].time_zone = NEW_ZONE
    again(importer, workflow)
    for name, value in settings_module.as_environ(importer.context.settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    settings_module.current.cache_clear()
    command = ["import", "confirm-zone", workflow.id]
    wrong = CliRunner().invoke(main, command, input="Europe/Berlin\n")
    assert wrong.exit_code != 0
    assert importer.state(workflow).state is State.PAUSED
    right = CliRunner().invoke(main, command, input="America/Los_Angeles\n")
    assert right.exit_code == 0, right.output
    assert importer.state(workflow).state is State.RUNNING
    importer.run(workflow)
    rotated = CliRunner().invoke(main, ["import", "rotate-token", workflow.id])
    settings_module.current.cache_clear()
    assert rotated.exit_code == 0, rotated.output
    assert importer.state(workflow).state is State.RUNNING


def test_a_zone_is_confirmed_and_a_token_rotated_over_http(importer):
    workflow = kept_updated(importer)
    rung = []
    app = create_app(importer.context, lambda: None, ring_pull=rung.append)
    client, url = app.test_client(), f"/v1/workflows/{workflow.id}"
    headers = {"Authorization": "Bearer a-token-for-the-tests"}
    early = client.post(f"{url}/confirm-zone", json={"zone": "Europe/Berlin"}, headers=headers)
    assert early.status_code == 409
    importer.server.account.clients[importer.client_id].time_zone = NEW_ZONE
    again(importer, workflow)
    wrong = client.post(f"{url}/confirm-zone", json={"zone": "Europe/Berlin"}, headers=headers)
    assert (wrong.status_code, "America/Los_Angeles" in wrong.json["error"]["message"]) == (409, True)
    right = client.post(f"{url}/confirm-zone", json={"zone": "America/Los_Angeles"}, headers=headers)
    assert [each["id"] for each in right.json["workflows"]] == [workflow.id]
    assert rung == [workflow.id]
    importer.run(workflow)
    rotated = client.post(f"{url}/rotate-token", headers=headers)
    assert (rotated.status_code, rotated.json["state"]) == (200, "running")
    assert rung == [workflow.id] * 2


def test_an_unknown_zone_says_what_to_do(importer):
    importer.server.account.clients[importer.client_id].time_zone = "(GMT+12:00) Atlantis, Lyonesse"
    workflow = importer.create(webhooks=False)
    importer.run(workflow)
    assert "give the client another zone and resume the import" in importer.state(workflow).reason

"""Every person has an outcome that can be asked for, and the story that led to it."""

import random

import pytest
from simulated import IMPORT, minutes_from_now

from listbridge.campaign_monitor import incoming
from listbridge.campaign_monitor.events import Account as Feed
from listbridge.campaign_monitor.timezones import zone
from listbridge.exports import ledger
from listbridge.exports.history import KEPT, unframed
from listbridge.standing.why import NoAddress, why
from listbridge.systems import campaign_monitor_client
from listbridge.workflows import registry, service
from simulator.faults import Fault

ANN, BOB = "ann@example.com", "bob@example.com"


def told(export, workflow, email=ANN):
    return why(export.context, registry.get(export.context.store, workflow.id), email)


def words(story):
    return [each["what"] for each in story["events"]]


def history(export, email=ANN):
    store = export.context.store
    return store.client.hget(store.part(email).history(export.list.list_id), email)


def test_who_was_delivered_is_told_with_the_row_and_the_time(export):
    only = export.create("vip", labels={"vip": "Very important"})
    export.happen(("enter", ANN, "vip"))
    export.deliver()

    story = told(export, only)

    assert (story["outcome"], story["why"]) == ("delivered", "the list holds: Very important")
    assert story["last_row"]["options"] == ["Very important"]
    assert story["since"] == story["events"][-1]["at"]
    assert words(story)[-1] == "delivered: Very important"
    assert words(story)[0] == "entered audience vip (Very important)"
    assert (story["retry_at"], story["opt_out"], story["audiences"]) == (None, None, ["vip"])


def test_a_plain_first_delivery_keeps_no_history(export):
    export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.deliver()

    assert history(export) is None


def test_the_deliveries_before_the_last_are_kept_and_few(export):
    only = export.create("vip", "lapsed")
    for step in range(KEPT + 3):
        export.happen(("enter" if step % 2 == 0 else "exit", ANN, "vip"), ("enter", ANN, "lapsed"))
        export.deliver()

    story = told(export, only)
    sent = [each for each in words(story) if each.startswith("delivered")]
    assert sent == ["delivered: lapsed", "delivered: lapsed, vip"] * (KEPT // 2)
    assert len(unframed(history(export))) == KEPT
    assert len(history(export)) < KEPT * 45


def test_what_was_entered_and_left_before_a_delivery_is_told_as_swallowed(export):
    only = export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.happen(("exit", ANN, "vip"))
    export.happen(("enter", ANN, "vip"))
    export.deliver()

    story = told(export, only)

    gone = "never sent: a later change came before the next delivery"
    assert story["changes_swallowed"] == 2
    assert words(story) == [
        f"entered audience vip, {gone}",
        f"left audience vip, {gone}",
        "entered audience vip",
        "delivered: vip",
    ]


def test_a_change_that_was_not_delivered_yet_is_pending_since_it_came(export):
    only = export.create("vip")
    service.pause(export.context, only.id)
    export.happen(("enter", ANN, "vip"))

    story = told(export, only)

    assert (story["outcome"], story["todo"]) == (
        "pending",
        "resume the export, or make another one if it has ended",
    )
    assert story["since"] >= story["events"][0]["at"]


def test_who_is_in_no_audience_is_told_so_and_since_when(export):
    only = export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.happen(("exit", ANN, "vip"))
    export.deliver()

    assert told(export, only)["outcome"] == "not in the audience"
    assert told(export, only)["since"] == told(export, only)["events"][-1]["at"]
    assert told(export, only, BOB)["outcome"] == "not in the audience"


def test_who_was_in_before_the_start_and_does_not_count_is_told_so(export):
    export.happen(("enter", ANN, "vip"))
    only = export.create("vip")
    export.deliver()

    story = told(export, only)

    assert story["outcome"] == "not counted"
    assert "--existing-users" in story["todo"]


def test_a_refusal_is_told_with_code_words_and_what_to_do(export):
    only = export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.act("unsubscribe", ANN)
    export.happen(("enter", ANN, "vip", {"fields": {"x": "1"}}), ("exit", ANN, "vip"))
    export.deliver()

    story = told(export, only)

    assert story["outcome"] == "refused"
    assert story["why"].startswith("unsubscribed: ")
    assert "opted out" in story["todo"]
    assert "by the list's answer" in story["opt_out"]
    assert "resubscribe is never" in story["opt_out"]
    assert words(story)[-1] == "refused: unsubscribed"


def test_who_was_refused_and_left_the_audience_is_not_in_it(export):
    only = export.create("vip")
    export.act("subscribe", ANN)
    export.act("unsubscribe", ANN)
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    assert told(export, only)["outcome"] == "refused"
    export.happen(("exit", ANN, "vip"))
    export.deliver()

    story = told(export, only)

    assert story["outcome"] == "not in the audience"
    assert story["why"] == "in no audience of the export; refused before (unsubscribed)"


def test_a_suppressed_person_is_told_so(export):
    api = campaign_monitor_client(export.context, export.authorization)
    api.suppress(export.client.client_id, [ANN])
    only = export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.deliver()

    story = told(export, only)

    assert (story["outcome"], story["why"].split(":")[0]) == ("refused", "suppressed")
    assert "suppression list" in story["opt_out"]
    assert story["last_row"] is None


@pytest.mark.parametrize(
    ("opted_in", "reason"),
    [(None, "no opt-in of theirs is known"), (-60, "is not in a later minute than the opt-out")],
)
def test_why_an_opt_out_stands_although_a_later_opt_in_would_count(export, opted_in, reason):
    only = export.create("vip", resubscribe="when_opted_in_later")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.act("unsubscribe", ANN)
    export.tell_status(ANN)
    values = {"opted_in_at": minutes_from_now(opted_in)} if opted_in else {}
    export.happen(("exit", ANN, "vip"))
    export.happen(("enter", ANN, "vip", values))
    export.deliver()

    assert reason in told(export, only)["opt_out"]


def test_a_webhook_that_told_of_the_opt_out_is_named(export):
    only = export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    export.act("unsubscribe", ANN)
    person = export.list.find(ANN)
    feed = Feed(
        export.client.client_id, "A client", zone(export.client.time_zone), {export.list.list_id: "A list"}
    )
    body = (
        f'{{"ListID": "{export.list.list_id}", "Events": [{{"Type": "Deactivate", "State": "Unsubscribed", '
        f'"Date": "{person.date}", "EmailAddress": "{ANN}", "Name": "", "CustomFields": []}}]}}'
    )
    incoming.receive(export.context.store, feed, body.encode())
    export.folder.run()
    export.deliver()

    story = told(export, only)

    assert any("as a webhook told" in each for each in words(story))
    assert "by webhook or import" in story["opt_out"]
    assert (story["outcome"], story["why"]) == (
        "opted out",
        "unsubscribed in the list since it was told last",
    )


def test_who_was_sent_without_an_answer_is_in_doubt_until_they_settle(export):
    only = export.create("vip")
    export.fault("drop-after")
    export.happen(("enter", ANN, "vip"))
    export.deliver()

    story = told(export, only)
    assert story["outcome"] == "in doubt"
    assert "no answer came" in story["why"]
    assert story["retry_at"] in story["why"]

    export.deliver_until_rest()
    story = told(export, only)
    assert story["outcome"] == "delivered"
    assert words(story)[-2:] == [
        "sent, and no answer came: nobody knew whether it was stored",
        "delivered: vip, sent again",
    ]
    assert story["retry_at"] is None


def test_switches_that_were_set_are_told(export):
    only = export.create("vip", queue_autoresponders=True, resubscribe="when_opted_in_later")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    assert words(told(export, only))[-1] == "delivered: vip (autoresponders)"

    export.act("unsubscribe", ANN)
    export.tell_status(ANN)
    export.deliver()
    later = minutes_from_now(2)
    export.happen(("exit", ANN, "vip"))
    export.deliver()
    export.happen(("enter", ANN, "vip", {"opted_in_at": later}))
    export.deliver()

    assert words(told(export, only))[-1] == "delivered: vip (resubscribed)"


def test_the_history_of_a_call_that_is_recorded_twice_holds_it_once(export):
    only = export.create("vip")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    store = export.context.store
    once = store.script

    def twice(source, keys, args):
        args = list(args)
        if source == ledger._RECORD:
            once(source, keys, args)
        return once(source, keys, args)

    store.script = twice
    export.happen(("exit", ANN, "vip"))
    export.deliver()

    assert [each.what for each in unframed(history(export))] == ["stored", "stored"]
    progress = service.shown(export.context, registry.get(store, only.id))["progress"]
    assert progress["delivered"] == 2


def test_imports_and_what_is_no_address_are_told(export):
    only = export.create("vip")
    with pytest.raises(NoAddress, match="no e-mail address"):
        told(export, only, "not an address")
    made = service.create_import(
        export.context, export.authorization.id, {"client_id": export.client.client_id}
    )
    with pytest.raises(registry.NotAllowed, match="is an import"):
        told(export, made)


def test_faults_are_of_the_kind_that_the_tests_mean():
    assert Fault(kind="drop-after", match=IMPORT).hit("POST /subscribers/1/import.json")


SETTLED = {"delivered", "refused", "opted out", "not in the audience", "not counted"}


@pytest.mark.parametrize("seed", range(6))
def test_at_rest_everybody_has_an_outcome_that_the_list_agrees_with(export, seed):
    chance = random.Random(seed)
    people = [f"p{number}@example.com" for number in range(8)]
    export.happen(*(("enter", email, "vip") for email in people[:2]))
    only = export.create("vip", "lapsed", queue_autoresponders=True)
    for _ in range(12):
        email = chance.choice(people)
        match chance.randrange(6):
            case 0 | 1:
                export.happen(("enter", email, chance.choice(["vip", "lapsed"])))
            case 2:
                export.happen(("exit", email, chance.choice(["vip", "lapsed"])))
            case 3:
                export.fault(chance.choice(["drop-after", "drop-before", "429", "500"]))
            case 4 if export.held(email) not in (None, "Unsubscribed"):
                export.act("unsubscribe", email)
                if chance.random() < 0.5:
                    export.tell_status(email)
            case _:
                export.deliver()
    export.server.simulator.faults.clear()
    export.deliver_until_rest()

    for email in people:
        story, held = told(export, only, email), export.held(email)
        assert story["outcome"] in SETTLED, (email, story)
        if story["outcome"] == "opted out":
            assert held == "Unsubscribed"
        elif story["outcome"] == "delivered":
            assert held in (story["last_row"]["options"], "Unsubscribed"), (email, story)
        elif story["outcome"] == "not in the audience":
            assert held is None, (email, story)
        times = [each["at"] for each in story["events"]]
        assert times == sorted(times)

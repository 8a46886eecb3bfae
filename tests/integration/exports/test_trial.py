"""Trials: one person is sent, read back, and put back as they were; who would be refused stays untouched."""

import json

import pytest
from click.testing import CliRunner

import cli.runtime
from cli.main import main
from listbridge import audiences
from listbridge.errors import Retriable
from listbridge.exports.ledger import delivered_to
from listbridge.exports.planning import Effect
from listbridge.exports.setup import setup_of
from listbridge.jobs import trial as job
from listbridge.jobs.deliver import bell_of
from listbridge.jobs.reconcile import reconcile
from listbridge.jobs.trial import Busy, NoTrial, NotUndone, try_out, undo
from listbridge.standing.why import why
from listbridge.store import keys
from listbridge.workflows import registry, service
from simulator.account import CustomField

ANN, BOB, CID = "ann@example.com", "bob@example.com", "cid@example.com"
FIELD, CITY = "[LyticsAudiences]", "[City]"


@pytest.fixture(params=["replace", "append"], ids=["replaces", "appends"])
def either_reading(export, request):
    export.account.switches.change({"import_multi_select": request.param})


@pytest.fixture
def paused(export):
    """An export before its start, with Ann and Bob in its audience."""
    export.list.fields.append(CustomField("City", CITY, "Text", []))
    made = export.create(
        "vip",
        existing_users=True,
        name_field="full",
        field_mappings={"town": "City"},
        queue_autoresponders=True,
        consent_to_track="Yes",
    )
    export.made = service.pause(export.context, made.id)
    for email in (ANN, BOB):
        export.happen(("enter", email, "vip", {"fields": {"full": "A Name", "town": "Paris"}}))
    return export


def attempt(export, email=ANN, **options):
    return try_out(export.context, export.made.id, email, **options)


def told(export, email=ANN):
    return delivered_to(export.context.store, export.list.list_id, [email]).get(email)


def row(export, email=ANN):
    """All that the list has of a person."""
    person = export.list.find(email)
    if person is None:
        return None
    values = {key: sorted(held) for key, held in person.values.items() if held}
    return person.state, person.name, values, export.client.consent[email]


def start(export):
    service.resume(export.context, export.made.id)
    export.deliver_until_rest()


def writes(export):
    by_endpoint = export.server.simulator.calls.report()["by_endpoint"]
    return {name: count for name, count in by_endpoint.items() if not name.startswith("GET ")}


@pytest.mark.usefixtures("either_reading")
def test_one_person_of_a_paused_export_is_sent_and_read_back(paused):
    trial = attempt(paused)

    assert (trial.plan.effect, trial.state, trial.before) == (Effect.ADDED, "stored", None)
    assert trial.now.values == {FIELD: ("vip",), CITY: ("Paris",)}
    assert row(paused) == ("Active", "A Name", {FIELD: ["vip"], CITY: ["Paris"]}, "Yes")
    assert (paused.calls(), paused.list.find(BOB)) == (1, None)
    assert registry.get(paused.context.store, paused.made.id).state == "paused"

    start(paused)
    assert (paused.calls(), paused.held(BOB)) == (2, ["vip"])
    assert told(paused).options == ("vip",)


def test_it_is_what_the_start_would_have_done(paused):
    trial = attempt(paused)
    start(paused)

    assert row(paused)[1:] == row(paused, BOB)[1:]
    assert (
        trial.send.flags.queue_autoresponders,
        [each["email"] for each in paused.account.automations],
    ) == (
        True,
        [ANN, BOB],
    )


def test_automations_of_a_backfill_stay_off(export):
    export.happen(("enter", ANN, "vip"))
    export.made = export.create("vip", existing_users=True, queue_autoresponders=True)
    service.pause(export.context, export.made.id)

    trial = attempt(export)

    assert (trial.state, trial.send.flags.queue_autoresponders, export.account.automations) == (
        "stored",
        False,
        [],
    )


@pytest.mark.usefixtures("either_reading")
def test_who_was_in_the_list_is_put_back_as_they_were(paused):
    paused.list.fields.append(CustomField("Lytics Audiences", FIELD, "MultiSelectMany", ["theirs", "vip"]))
    paused.act("subscribe", ANN, name="Ann", values={CITY: ["Rome"], FIELD: ["theirs"]})
    paused.client.consent[ANN] = "No"
    before = row(paused)

    trial = attempt(paused, for_undo=True)
    assert row(paused) == ("Active", "A Name", {FIELD: ["theirs", "vip"], CITY: ["Paris"]}, "Yes")
    now = undo(paused.context, trial)

    assert row(paused) == before
    assert now.values == trial.before.values
    assert "trial was undone" in why(paused.context, paused.made, ANN)["events"][-1]["what"]
    start(paused)
    assert row(paused) == ("Active", "A Name", {FIELD: ["theirs", "vip"], CITY: ["Paris"]}, "Yes")
    assert row(paused, BOB)[0] == "Active"


@pytest.mark.usefixtures("either_reading")
def test_empty_fields_are_empty_again(paused):
    paused.act("subscribe", ANN)
    before = row(paused)

    undo(paused.context, attempt(paused, for_undo=True))

    assert row(paused) == before
    assert told(paused) is None
    start(paused)
    assert paused.held(ANN) == ["vip"]


@pytest.mark.parametrize("before", ["", "+14155550123"], ids=["none", "another"])
def test_a_mobile_number_is_put_back_or_taken_away_again(export, before):
    export.act("subscribe", ANN)
    export.list.find(ANN).mobile = before
    export.made = export.create("vip", existing_users=True, mobile_field="phone")
    service.pause(export.context, export.made.id)
    export.happen(("enter", ANN, "vip", {"fields": {"phone": "+4915112345678"}}))

    trial = attempt(export, for_undo=True)
    assert export.list.find(ANN).mobile == "+4915112345678"
    undo(export.context, trial)

    assert export.list.find(ANN).mobile == before


@pytest.mark.parametrize(
    ("take_out", "state", "code"),
    [("delete", "Deleted", "deleted"), ("unsubscribe", "Unsubscribed", "unsubscribed")],
)
def test_who_was_added_is_taken_out_again_and_the_delivery_knows_it(paused, take_out, state, code):
    trial = attempt(paused, for_undo=True)

    now = undo(paused.context, trial, take_out)

    assert (paused.list.find(ANN).state, now.status) == (state, code)
    assert told(paused) is None
    assert paused.refusals()[ANN].code == code
    start(paused)
    assert (paused.list.find(ANN).state, paused.held(BOB)) == (state, ["vip"])
    assert paused.account.added_after_opt_out == []
    assert why(paused.context, paused.made, ANN)["outcome"] == "refused"
    assert reconcile(paused.context, paused.made.id).drift == {}


def test_an_unsubscribe_that_would_take_them_off_all_lists_is_refused(paused):
    trial = attempt(paused, for_undo=True)
    paused.list.unsubscribe_setting = "AllClientLists"

    with pytest.raises(Exception, match="off all lists"):
        undo(paused.context, trial, "unsubscribe")

    assert paused.held(ANN) == ["vip"]
    start(paused)
    assert paused.held(ANN) == ["vip"]


@pytest.mark.parametrize(
    ("prepare", "effect", "code"),
    [
        (lambda e: (e.act("subscribe", ANN), e.act("unsubscribe", ANN)), Effect.REFUSED, "unsubscribed"),
        (lambda e: (e.act("subscribe", ANN), e.act("delete", ANN)), Effect.REFUSED, "deleted"),
        (lambda e: (e.act("subscribe", ANN), e.act("bounce", ANN)), Effect.REFUSED, "bounced"),
        (
            lambda e: (
                e.server.simulator.act("subscribe", e.account.add_list(e.client, "2").list_id, ANN),
                [e.server.simulator.act("spam", each, ANN) for each in [*e.client.lists][1:]],
            ),
            Effect.REFUSED,
            "suppressed",
        ),
        (lambda e: e.happen(("exit", ANN, "vip")), Effect.LEFT, ""),
        (
            lambda e: e.happen(("enter", ANN, "vip", {"fields": {"town": "x" * 251}})),
            Effect.REFUSED,
            "invalid",
        ),
    ],
    ids=["unsubscribed", "deleted", "bounced", "suppressed", "left", "too long"],
)
def test_who_would_be_refused_is_told_so_and_nothing_is_changed(paused, prepare, effect, code):
    prepare(paused)
    before, calls = row(paused), writes(paused)

    trial = attempt(paused)

    assert (trial.plan.effect, trial.plan.code, trial.send) == (effect, code, None)
    assert (row(paused), writes(paused)) == (before, calls)
    assert (told(paused), setup_of(paused.context.store, paused.list.list_id)) == (None, None)


def test_a_later_opt_in_counts_as_in_a_delivery(export):
    export.made = export.create("vip", existing_users=True, resubscribe="when_opted_in_later")
    service.pause(export.context, export.made.id)
    export.act("subscribe", ANN)
    export.act("unsubscribe", ANN)
    export.happen(("enter", ANN, "vip"))

    assert (attempt(export).plan.code, export.list.find(ANN).state) == ("unsubscribed", "Unsubscribed")
    assert export.account.added_after_opt_out == []


def test_who_opts_out_before_the_undo_is_left_alone(paused):
    trial = attempt(paused, for_undo=True)
    paused.act("unsubscribe", ANN)
    before = row(paused)

    with pytest.raises(NotUndone, match="unsubscribed by now"):
        undo(paused.context, trial)

    assert row(paused) == before


def test_an_undo_of_an_export_that_runs_is_refused_before_anything_is_sent(export):
    export.made = export.create("vip", existing_users=True)
    export.happen(("enter", ANN, "vip"))

    with pytest.raises(NotUndone, match="pause it first"):
        attempt(export, for_undo=True)

    assert export.list.find(ANN) is None


def test_an_unsubscribing_is_not_undone_and_so_not_begun(export):
    export.made = export.create("vip", existing_users=True, on_exit="unsubscribe")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    service.pause(export.context, export.made.id)
    export.happen(("exit", ANN, "vip"))

    with pytest.raises(NotUndone, match="can't be undone"):
        attempt(export, for_undo=True)
    assert export.held(ANN) == ["vip"]

    assert attempt(export).plan.effect is Effect.UNSUBSCRIBED
    assert export.held(ANN) == "Unsubscribed"


def test_who_was_brought_back_is_out_again_after_the_undo(export):
    export.made = export.create("vip", existing_users=True, resubscribe="when_opted_in_later")
    service.pause(export.context, export.made.id)
    export.act("subscribe", ANN)
    export.act("unsubscribe", ANN)
    export.account.clock.advance(-600)
    export.list.find(ANN).date = export.account.moment(export.client).minute
    export.account.clock.advance(600)
    export.happen(("enter", ANN, "vip", {"opted_in_at": audiences.now()}))

    trial = attempt(export, for_undo=True)
    assert (trial.plan.effect, export.held(ANN)) == (Effect.RETURNED, ["vip"])
    now = undo(export.context, trial)

    assert (now.status, export.list.find(ANN).values) == ("unsubscribed", {})
    assert export.refusals()[ANN].code == "unsubscribed"


def test_what_was_told_already_is_not_sent_again(export):
    export.made = export.create("vip", existing_users=True)
    export.happen(("enter", ANN, "vip"))
    export.deliver()

    trial = attempt(export)

    assert (trial.plan.effect, trial.send, export.calls()) == (Effect.UNCHANGED, None, 1)


def test_a_row_that_was_changed_since_is_not_put_back(paused):
    trial = attempt(paused, for_undo=True)
    paused.happen(("enter", ANN, "vip", {"fields": {"town": "Oslo"}}))
    start(paused)
    service.pause(paused.context, paused.made.id)

    with pytest.raises(NotUndone, match="changed since"):
        undo(paused.context, trial)

    assert row(paused)[2][CITY] == ["Oslo"]


def test_who_subscribes_before_the_trial_is_sent_is_not_taken_out_by_its_undo(paused, monkeypatch):
    prepare = job.prepare_list

    def subscribed_meanwhile(*args):
        paused.act("subscribe", ANN, name="Ann")
        return prepare(*args)

    monkeypatch.setattr(job, "prepare_list", subscribed_meanwhile)

    with pytest.raises(NoTrial, match="changed"):
        attempt(paused)
    assert row(paused)[:3] == ("Active", "Ann", {})


def test_it_waits_for_a_delivery_that_is_under_way(paused, monkeypatch):
    monkeypatch.setattr(job, "LEASE_SECONDS", 0.2)
    paused.context.store.client.set(keys.lease(bell_of(paused.list.list_id)), "a deliverer", px=60_000)

    with pytest.raises(Busy):
        attempt(paused)

    assert paused.list.find(ANN) is None


def test_an_answer_that_is_lost_leaves_the_person_in_doubt(paused):
    paused.fault("drop-after")
    with pytest.raises(Retriable):
        attempt(paused)

    with pytest.raises(Busy, match="on its way"):
        attempt(paused)
    start(paused)

    assert (paused.held(ANN), len(paused.account.automations)) == (["vip"], 2)


def test_an_undo_that_fails_leaves_the_person_in_doubt(paused):
    paused.act("subscribe", ANN)
    trial = attempt(paused, for_undo=True)
    paused.fault("500", match="PUT")

    with pytest.raises(Retriable):
        undo(paused.context, trial)
    assert why(paused.context, paused.made, ANN)["outcome"] == "in doubt"
    start(paused)

    assert paused.held(ANN) == ["vip"]


def test_an_import_has_nobody_to_try(paused):
    made = service.create_import(
        paused.context, paused.authorization.id, {"client_id": paused.client.client_id}
    )

    with pytest.raises(registry.NotAllowed):
        try_out(paused.context, made.id, ANN)
    with pytest.raises(NoTrial, match="no e-mail address"):
        attempt(paused, "nobody")


@pytest.fixture
def command(paused, monkeypatch):
    monkeypatch.setattr(cli.runtime, "settings", lambda: paused.context.settings)
    return lambda *arguments: CliRunner().invoke(main, ["export", *arguments])


def test_the_command_shows_before_sent_and_now_side_by_side_and_undoes(paused, command):
    paused.act("subscribe", ANN, values={CITY: ["Rome"]})
    before = row(paused)

    done = command("try", paused.made.id, ANN, "--undo")

    assert done.exit_code == 0, done.output
    city = next(line.split() for line in done.output.splitlines() if line.startswith(CITY))
    assert city == [CITY, "Rome", "Paris", "Paris"]
    assert "holds what it held before" in done.output
    assert row(paused) == before


def test_an_undo_without_a_trial_of_its_own_is_refused(paused, command):
    paused.act("subscribe", ANN, values={CITY: ["Rome"]})
    assert command("try", paused.made.id, ANN).exit_code == 0
    sent = row(paused)

    done = command("try", paused.made.id, ANN, "--undo")

    assert done.exit_code == 1
    assert "takes back what its own trial sends" in " ".join(done.output.split())
    assert row(paused) == sent


def test_the_command_says_why_somebody_would_be_refused(paused, command):
    paused.act("subscribe", ANN)
    paused.act("unsubscribe", ANN)

    done = command("try", paused.made.id, ANN)
    told = json.loads(command("try", paused.made.id, ANN, "--json").output)

    assert "refused (unsubscribed)" in done.output
    assert "nothing was changed" in done.output
    assert (told["outcome"], told["code"], told["sent"]) == ("not sent", "unsubscribed", None)


def test_the_command_says_what_becomes_of_who_was_added(paused, command):
    done = command("try", paused.made.id, ANN, "--undo")

    assert "keeps the address as deleted" in done.output
    assert paused.list.find(ANN).state == "Deleted"

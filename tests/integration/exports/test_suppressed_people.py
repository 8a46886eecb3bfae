"""Who is on the suppression list and was never in the list is not added, whatever the API would do."""

import pytest
from mortal import Killed

from listbridge.campaign_monitor import suppression as suppression_module
from listbridge.campaign_monitor.suppression import NEWEST, SuppressionList
from listbridge.exports.ledger import lags
from listbridge.store import keys
from listbridge.store.store import now_ms
from listbridge.systems import campaign_monitor_client
from listbridge.workflows.models import State

ANN, BOB = "ann@example.com", "bob@example.com"
READ = "GET /clients/{client}/suppressionlist"


@pytest.fixture
def api(export):
    return campaign_monitor_client(export.context, export.authorization)


@pytest.fixture
def suppression(export, api):
    return SuppressionList(export.context.store, api, export.client.client_id)


def test_a_suppressed_person_who_was_never_in_the_list_is_refused_without_a_call(export, api):
    export.account.switches.change({"suppressed_never_in_list": "added"})
    api.suppress(export.client.client_id, [ANN.upper()])
    export.create("vip")
    export.happen(("enter", ANN, "vip"), ("enter", BOB, "vip"))

    export.deliver()

    assert (export.held(ANN), export.held(BOB)) == (None, ["vip"])
    assert export.refusals()[ANN].code == "suppressed"
    assert export.account.added_after_opt_out == []


def test_who_is_suppressed_between_two_deliveries_is_not_added_by_the_second(export, api):
    export.create("vip")
    export.happen(("enter", BOB, "vip"))
    export.deliver()
    api.suppress(export.client.client_id, [ANN])
    export.happen(("enter", ANN, "vip"))

    export.deliver()

    assert export.held(ANN) is None


def test_who_is_found_suppressed_while_another_reads_the_whole_list_is_not_forgotten(
    export, api, suppression, monkeypatch
):
    """The other's reading is older: it ends without them, and must not take its place for all."""
    client_id = export.client.client_id
    api.suppress(client_id, [BOB])
    suppression.refresh()
    api.unsuppress(client_id, BOB)
    other = SuppressionList(export.context.store, api, client_id)
    run = suppression._store.script

    def ended_later(script, *arguments):
        if script != suppression_module._REPLACE:
            return run(script, *arguments)
        monkeypatch.undo()
        api.suppress(client_id, [ANN])
        assert other.among([ANN]) == {ANN}
        return run(script, *arguments)

    monkeypatch.setattr(type(suppression._store), "script", lambda _, *arguments: ended_later(*arguments))
    suppression.refresh()
    held = export.context.store.client.smembers(keys.suppressed(client_id, "addresses"))
    assert held == {ANN.encode()}
    before = export.calls(READ)
    assert other.among([ANN, BOB]) == {ANN}
    assert export.calls(READ) == before + 1


def test_who_was_taken_off_the_suppression_list_is_added_after_the_next_import(export, api, suppression):
    only = export.create("vip")
    api.suppress(export.client.client_id, [ANN])
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    api.unsuppress(export.client.client_id, ANN)

    suppression.refresh()

    assert any(lags(export.context.store, export.list.list_id, now_ms()))
    export.deliver()
    assert export.held(ANN) == ["vip"]
    assert export.refusals() == {}
    assert export.state(only) is State.RUNNING


def test_who_was_taken_off_the_suppression_list_is_added_though_the_import_was_killed(
    export, api, suppression, monkeypatch
):
    export.create("vip")
    api.suppress(export.client.client_id, [ANN])
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    api.unsuppress(export.client.client_id, ANN)

    def killed(*_):
        raise Killed

    monkeypatch.setattr(suppression_module, "touch", killed)
    with pytest.raises(Killed):
        suppression.refresh()
    monkeypatch.undo()
    suppression.refresh()

    export.deliver()
    assert export.held(ANN) == ["vip"]
    assert not export.context.store.client.exists(keys.suppressed(export.client.client_id, "left"))


def test_a_known_member_of_the_list_is_told_without_reading_the_suppression_list(export):
    export.create("vip", "lapsed")
    export.happen(("enter", ANN, "vip"))
    export.deliver()
    before = export.calls(READ)
    export.happen(("enter", ANN, "lapsed"))

    export.deliver()

    assert export.held(ANN) == ["lapsed", "vip"]
    assert export.calls(READ) == before


def test_the_copy_follows_the_list_with_one_small_call(export, api, suppression):
    people = [f"person.{n}@example.com" for n in range(NEWEST * 2 + 50)]
    api.suppress(export.client.client_id, people)
    assert suppression.among([people[0], ANN]) == {people[0]}
    export.account.clock.advance(1)
    before = export.calls(READ)

    api.suppress(export.client.client_id, [ANN])

    assert suppression.among([ANN, BOB]) == {ANN}
    assert export.calls(READ) - before == 1


def test_somebody_of_a_second_in_which_many_were_suppressed_is_found(export, api, suppression):
    people = [f"person.{n}@example.com" for n in range(NEWEST * 2 + 50)]
    api.suppress(export.client.client_id, people)
    assert suppression.among([ANN]) == set()

    api.suppress(export.client.client_id, [ANN])

    assert suppression.among([ANN, BOB]) == {ANN}


def test_a_reading_during_which_somebody_left_is_made_again(export, api, suppression, monkeypatch):
    people = [f"person.{n:04}@example.com" for n in range(25)]
    api.suppress(export.client.client_id, people)
    monkeypatch.setattr(suppression_module, "MAX_PAGE_SIZE", 10)
    fetch, pages = suppression._client.suppression_list, []

    def leaving(*args, **kwargs):
        page = fetch(*args, **kwargs)
        pages.append(page)
        if len(pages) == 1:
            api.unsuppress(export.client.client_id, page.results[0].email_address)
        return page

    monkeypatch.setattr(suppression._client, "suppression_list", leaving)

    suppression.refresh()

    held = suppression.among(people)
    assert held == set(people) - {pages[0].results[0].email_address}


def test_a_reading_that_breaks_off_leaves_the_copy_as_it_was(export, api, suppression):
    api.suppress(export.client.client_id, [ANN])
    assert suppression.among([ANN]) == {ANN}
    api.unsuppress(export.client.client_id, ANN)
    export.fault("500", match="suppressionlist", after=1)

    with pytest.raises(Exception, match="500"):
        suppression.refresh()

    held = export.context.store.client.smembers(keys.suppressed(export.client.client_id, "addresses"))
    assert held == {ANN.encode()}

"""A changed address links two profiles: whoever reads one sees both, whatever dies on the way."""

import itertools
import json

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from links_helpers import (
    ACCOUNT,
    A,
    B,
    C,
    changed,
    fold,
    membership,
    opened,
    seen,
    subscribed,
    text,
    webhook,
)
from mortal import Killed, MortalStore

from cli.main import main
from listbridge.aggregation.fold import Folder
from listbridge.archive.passes import run_pass
from listbridge.campaign_monitor.events import status
from listbridge.campaign_monitor.incoming import receive
from listbridge.jobs.rebuild import rebuild
from listbridge.mappings.sources import configured
from listbridge.mappings.versions import establish
from listbridge.streams.log import append, tail
from listbridge.streams.schemas import LINKS
from settings import as_environ


def told(context, *events):
    return receive(context.store, ACCOUNT, webhook(*events))


def test_the_addresses_of_the_tests_are_of_different_partitions(store):
    assert len({store.part(key).number for key in (A, B, C)}) == 3


def test_either_address_shows_the_person(context):
    append(context.store, [opened(A, 1), opened(A, 2), membership(A, 3), opened(B, 30)])
    told(context, changed(A, B, 20))
    told(context, changed(A, B, 20))
    fold(context)

    found = seen(context, A)

    assert found == seen(context, B)
    assert (found["key"], found["linked"], found["audiences"]) == (B, [A], ["vip"])
    assert (found["fields"]["email"], found["fields"]["cm_openct"]) == (B, 3)
    assert found["fields"]["email_domain"] == "new.example"
    assert not {"moved_to", "moved_from", "link_key", "subscribed_at"} & found["fields"].keys()


@pytest.mark.also_on_a_cluster
def test_whoever_was_at_three_addresses_is_one_person(context):
    append(context.store, [opened(A, 1), opened(B, 15), opened(C, 25)])
    told(context, changed(B, C, 20))
    told(context, changed(A, B, 10))
    fold(context)

    for address in (A, B, C):
        found = seen(context, address)
        assert (found["key"], found["linked"], found["fields"]["cm_openct"]) == (C, sorted([A, B]), 3)


def test_whoever_goes_back_is_under_the_first_address_again(context):
    append(context.store, [opened(A, 1)])
    told(context, changed(A, B, 10), changed(B, A, 20))
    fold(context)

    assert (seen(context, B)["key"], seen(context, B)["linked"]) == (A, [B])


@pytest.mark.parametrize(
    ("events", "inside"),
    [
        ([(A, 1, "enter"), (B, 2, "exit")], []),
        ([(A, 2, "enter"), (B, 1, "exit")], ["vip"]),
        ([(A, 2, "exit"), (B, 1, "enter")], []),
        # A snapshot with the new address in place of the old one.
        ([(A, 1, "enter"), (A, 9, "exit"), (B, 9, "enter")], ["vip"]),
    ],
)
def test_the_latest_event_of_an_audience_counts_at_whatever_address(context, events, inside):
    append(context.store, [membership(*event) for event in events])
    told(context, changed(A, B, 5))
    fold(context)

    assert seen(context, A)["audiences"] == seen(context, B)["audiences"] == inside


def test_who_subscribes_at_an_address_that_was_left_is_somebody_else(context):
    append(context.store, [opened(A, 1), opened(B, 2)])
    told(context, changed(A, B, 10))
    told(context, subscribed(A, 11))
    fold(context)

    assert [seen(context, each)["key"] for each in (A, B)] == [A, B]
    assert "linked" not in seen(context, A)


def test_a_list_row_that_joined_later_is_somebody_else_s(context):
    told(context, changed(A, B, 10))
    row = {"address": A, "state": "Active", "name": None, "fields": {}}
    append(context.store, [status(ACCOUNT, "l2", A, date=text(9), joined_at=1, **row)])
    fold(context)
    assert seen(context, A)["key"] == B

    later = {"date": text(30), "joined_at": 1_709_300_000_000}
    append(context.store, [status(ACCOUNT, "l2", A, **row, **later)])
    fold(context)
    assert seen(context, A)["key"] == A


def test_an_update_at_the_old_address_of_another_list_keeps_the_link(context):
    told(context, changed(A, B, 10))
    receive(context.store, ACCOUNT, webhook(changed(A, A, 50), list_id="l2"))
    fold(context)

    assert seen(context, A)["key"] == B


@pytest.mark.parametrize("old", [B, "ANN@new.example", "", "not an address"])
def test_an_update_without_another_address_links_nothing(context, old):
    told(context, changed(old, B, 10))
    assert tail(context.store, "stream", LINKS, 5) == []


EVENTS = (
    changed(A, B, 10),
    changed(B, C, 20),
    changed(C, A, 30),
    subscribed(A, 15),
    subscribed(B, 40),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(EVENTS), max_size=5, unique_by=json.dumps).flatmap(
        lambda events: st.tuples(st.just(events), st.permutations(events))
    ),
    st.integers(0, 5),
)
def test_who_is_who_does_not_depend_on_the_order_of_deliveries(context, orders, folded_at):
    found = []
    for order in orders:
        context.store.client.flushdb()
        context.store.prepare()
        establish(context.store, configured(context.settings))
        context.programs.current(renew=True)
        append(context.store, [opened(A, 1), opened(B, 2), opened(C, 3)], received=1)
        for number, event in enumerate(order):
            told(context, event)
            if number == folded_at:
                fold(context)
        fold(context)
        people = [seen(context, each) for each in (A, B, C)]
        found.append([(each["key"], each.get("linked"), each["fields"]["cm_openct"]) for each in people])

    assert found[0] == found[1]
    assert sum({each[0]: each[2] for each in found[0]}.values()) == 3


def test_a_delivery_that_dies_half_way_is_whole_when_it_comes_again(context):
    body = webhook(changed(A, B, 10))
    for life in itertools.count(1):
        try:
            receive(MortalStore(context.store, life), ACCOUNT, body)
            break
        except Killed:
            fold(context)
    assert life > 2
    fold(context)

    assert seen(context, A) == seen(context, B)
    assert (seen(context, A)["key"], seen(context, A)["linked"]) == (B, [A])
    assert len(tail(context.store, "stream", LINKS, 9)) == 2
    assert receive(context.store, ACCOUNT, body).accepted == 0


def test_a_fold_that_dies_between_two_partitions_is_gone_on_with(context):
    append(context.store, [opened(A, 1), opened(B, 2), membership(A, 3)])
    told(context, changed(A, B, 10))
    for life in itertools.count(1):
        try:
            Folder(MortalStore(context.store, life), context.programs).run()
            break
        except Killed:
            for part in context.store.parts:
                context.store.client.delete(part.fold_lease, part.attempts)
            found = [person for each in (A, B) if (person := seen(context, each)) is not None]
            assert all(person["fields"].get("cm_openct", 0) <= 2 for person in found)
    assert life > 3

    assert seen(context, A) == seen(context, B)
    assert (seen(context, A)["key"], seen(context, A)["fields"]["cm_openct"]) == (B, 2)


def test_a_rebuild_from_the_archive_keeps_the_links(context):
    append(context.store, [opened(A, 1), opened(B, 2), opened(C, 3)])
    told(context, changed(A, B, 10))
    fold(context)
    run_pass(context.archive, context.program.streams)
    assert not any(context.store.client.xlen(part.stream(LINKS)) for part in context.store.parts)
    told(context, changed(B, C, 20))
    fold(context)
    before = seen(context, A)
    assert (before["key"], before["linked"], before["fields"]["cm_openct"]) == (C, sorted([A, B]), 3)
    context.store.client.hdel(context.store.part(B).profiles, B)

    assert rebuild(context).complete
    assert [seen(context, each) for each in (A, B, C)] == [before] * 3


def test_a_damaged_profile_of_another_address_is_made_anew(context):
    append(context.store, [opened(A, 1), opened(B, 2)])
    told(context, changed(A, B, 10))
    fold(context)
    before = seen(context, B)
    context.store.client.hset(context.store.part(A).profiles, A, b"damaged")

    assert seen(context, B) == before
    assert seen(context, A) == before


def test_the_command_names_the_other_addresses(context, monkeypatch):
    for name, value in as_environ(context.settings).items():
        monkeypatch.setenv(name, value)
    append(context.store, [opened(A, 1)])
    told(context, changed(A, B, 10))
    fold(context)

    shown = CliRunner().invoke(main, ["profiles", "show", A, "--json"])
    assert json.loads(shown.stdout)["linked"] == [A]
    assert A in CliRunner().invoke(main, ["profiles", "show", B]).output


def test_a_change_that_another_list_tells_too_is_the_same_change(context):
    append(context.store, [opened(A, 1)])
    told(context, changed(A, B, 10))
    receive(context.store, ACCOUNT, webhook(changed(A, B, 11), list_id="l2"))
    fold(context)

    assert seen(context, B)["fields"]["cm_openct"] == 1
    assert len(tail(context.store, "stream", LINKS, 9)) == 4

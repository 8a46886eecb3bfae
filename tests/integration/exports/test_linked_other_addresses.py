"""Linked keys in lists whose rows go to the address in another field."""

import pytest
from addressed import BOB, CAT, C, changes, codes, create, delivered, offer_options, others_write, states
from test_linked_addresses import told_elsewhere, told_keys, webhooks_arrive

from simulator.account import Webhook

KEY, NEWER_KEY = "ann@key.example", "ann@newer.example"
W1, W2 = "w1@work.example", "w2@work.example"


@pytest.fixture
def export(export):
    offer_options(export)
    events = ["Subscribe", "Update", "Deactivate"]
    export.list.webhooks["h"] = Webhook("h", export.list.list_id, events, "http://127.0.0.1:9", "Json")
    return export


def test_an_address_that_was_left_under_the_old_key_is_the_person_s_under_the_new_one(export):
    create(export)
    delivered(export, (KEY, W1))
    webhooks_arrive(export)
    delivered(export, (KEY, W2))
    webhooks_arrive(export)
    told_elsewhere(export, KEY, NEWER_KEY)
    export.deliver_until_rest()
    webhooks_arrive(export)

    changes(export, (NEWER_KEY, W1))
    export.deliver_until_rest()

    assert (codes(export), states(export)) == ({}, {W1: ["vip"]})
    assert told_keys(export) == {NEWER_KEY}


def test_what_others_write_at_the_row_is_known_to_be_the_person_s(export):
    create(export)
    delivered(export, (KEY, W1))
    webhooks_arrive(export)
    told_elsewhere(export, KEY, NEWER_KEY)
    export.deliver_until_rest()
    webhooks_arrive(export)

    others_write(export, W1, "theirs")
    webhooks_arrive(export)
    export.deliver_until_rest()

    assert states(export) == {W1: ["theirs", "vip"]}


def test_an_opt_out_at_the_row_holds_for_the_newer_key(export):
    create(export)
    delivered(export, (KEY, W1))
    webhooks_arrive(export)
    export.act("unsubscribe", W1)
    webhooks_arrive(export)
    told_elsewhere(export, KEY, NEWER_KEY)
    export.deliver_until_rest()
    changes(export, (NEWER_KEY, W2))
    export.deliver_until_rest()
    changes(export, (KEY, NEWER_KEY))
    export.deliver_until_rest()

    assert states(export) == {W1: "Unsubscribed"}


def test_the_row_of_a_key_is_not_taken_from_who_gets_its_address(export):
    """Another person's row goes to what was the first one's key."""
    create(export)
    delivered(export, (KEY, W1), ("bob@key.example", KEY))
    webhooks_arrive(export)
    told_elsewhere(export, KEY, NEWER_KEY)
    changes(export, (NEWER_KEY, NEWER_KEY))
    export.deliver_until_rest()
    webhooks_arrive(export)
    export.deliver_until_rest()

    assert states(export) == {NEWER_KEY: ["vip"], KEY: ["vip"]}


def test_who_changes_the_row_s_address_in_the_list_is_not_added_again_at_the_one_they_left(export):
    create(export, "vip", "gold")
    delivered(export, (KEY, W1))
    webhooks_arrive(export)
    export.act("change-email", W1, new_email=W2)
    webhooks_arrive(export)
    changes(export, (KEY, W1), audience="gold")
    export.deliver_until_rest()
    assert W1 not in states(export)
    assert codes(export) == {KEY: "deleted"}

    export.act("unsubscribe", W2)
    webhooks_arrive(export)
    changes(export, (KEY, W1), audience="vip")
    export.deliver_until_rest()
    assert states(export) == {W2: "Unsubscribed"}


def test_who_subscribes_again_at_the_address_that_they_changed_in_the_list_gets_their_row(export):
    create(export, "vip", "gold")
    delivered(export, (KEY, W1))
    webhooks_arrive(export)
    export.account.clock.advance(-600)
    export.act("change-email", W1, new_email=W2)
    export.account.clock.advance(600)
    export.act("subscribe", W1)
    webhooks_arrive(export)
    changes(export, (KEY, W1), audience="gold")
    export.deliver_until_rest()
    assert states(export)[W1] == ["gold", "vip"]


def test_who_goes_back_to_an_address_is_moved_there_though_our_own_move_was_taken_for_theirs(export):
    create(export)
    delivered(export, (KEY, W1))
    webhooks_arrive(export)
    export.account.clock.advance(-120)
    export.act("change-email", W1, new_email=W2)
    export.account.clock.advance(120)
    changes(export, (KEY, W2))
    export.deliver_until_rest()
    webhooks_arrive(export)
    changes(export, (KEY, W1))
    export.deliver_until_rest()
    assert (codes(export), states(export)) == ({}, {W1: ["vip"]})


def test_who_had_vacated_an_address_and_inherits_a_row_is_cleared_there_when_they_leave(export):
    create(export)
    delivered(export, (NEWER_KEY, W1), (CAT, C), (KEY, W2))
    webhooks_arrive(export)
    changes(export, (NEWER_KEY, C))
    export.deliver_until_rest()
    changes(export, (BOB, W1))
    export.deliver_until_rest()
    assert (codes(export), states(export)) == (
        {NEWER_KEY: "duplicate_address"},
        {W1: ["vip"], C: ["vip"], W2: ["vip"]},
    )
    told_elsewhere(export, KEY, NEWER_KEY)
    export.deliver_until_rest()
    export.happen(("exit", NEWER_KEY, "vip"), ("exit", KEY, "vip"))
    export.deliver_until_rest()

    assert states(export) == {W1: ["vip"], C: ["vip"], W2: []}

"""A changed address moves the subscriber, against a simulated list."""

import pytest
from simulated import Export, minutes_from_now

UPDATE = "PUT /subscribers/{list}"
LOOK = "GET /subscribers/{list}"
ANN, BOB, CAT = "ann@example.com", "bob@example.com", "cat@example.com"
OLD, NEW, NEWER = "old@work.example", "new@work.example", "newer@work.example"
B, C = "b@work.example", "c@work.example"


def enters(email, mail, audience="vip", **more):
    return ("enter", email, audience, {"fields": {"mail": mail}, **more})


def create(export: Export, *slugs, **settings):
    return export.create(*(slugs or ("vip",)), email_field="mail", **settings)


def delivered(export, *people):
    """The people, given as (key, address), stand in the list."""
    export.happen(*(enters(key, mail) for key, mail in people))
    export.deliver()


def changes(export, key, mail, audience="vip"):
    export.happen(enters(key, mail, audience))


def states(export):
    return {person.email: export.held(person.email) for person in export.list.subscribers.values()}


def test_a_changed_address_moves_the_subscriber_and_leaves_no_duplicate(export):
    create(export)
    delivered(export, (ANN, OLD), (BOB, B))
    export.act("update", OLD, name="Ann", values={})
    before = export.calls()

    changes(export, ANN, NEW)
    result = export.deliver()

    assert states(export) == {NEW: ["vip"], B: ["vip"]}
    assert export.list.find(NEW).name == "Ann"
    assert (result.moved, result.sent, result.refused) == (1, 1, 0)
    assert (export.calls(UPDATE), export.calls(LOOK), export.calls() - before) == (1, 1, 0)
    assert export.deliver().calls == 0

"""Exports whose rows go to the address in the profile field `mail`."""

from simulator.account import CustomField

UPDATE = "PUT /subscribers/{list}"
LOOK = "GET /subscribers/{list}"
PUT = r"PUT .*/subscribers/"
ANN, BOB, CAT = "ann@example.com", "bob@example.com", "cat@example.com"
OLD, NEW, NEWER = "old@work.example", "new@work.example", "newer@work.example"
B, C = "b@work.example", "c@work.example"
FIELD = "[LyticsAudiences]"


def offer_options(export):
    """The list has the audience field already, with an option of another tool."""
    options = ["gold", "theirs", "vip"]
    export.list.fields.append(CustomField("Lytics Audiences", FIELD, "MultiSelectMany", options))
    return export


def create(export, *slugs, **settings):
    return export.create(*(slugs or ("vip",)), email_field="mail", **settings)


def enters(email, mail, audience="vip", **more):
    return ("enter", email, audience, {"fields": {"mail": mail}, **more})


def changes(export, *people, audience="vip"):
    """The people, given as (key, address), have these addresses now."""
    export.happen(*(enters(key, mail, audience) for key, mail in people))


def delivered(export, *people):
    """The people stand in the list."""
    changes(export, *people)
    export.deliver()


def states(export):
    """The options of everybody in the list, or the state of who is not active."""
    return {person.email: export.held(person.email) for person in export.list.subscribers.values()}


def codes(export):
    return {key: refused.code for key, refused in export.refusals().items()}


def rested(export, key):
    """The person's rest is over, if there is one."""
    name = export.context.store.part(key).retry(export.list.list_id)
    export.context.store.client.zadd(name, {key: 1}, xx=True)


def others_write(export, email, *options, name=None):
    export.act("update", email, name=name, values={FIELD: list(options)})

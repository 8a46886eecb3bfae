"""Names are accepted wherever ids are."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from listbridge import authorizations
from listbridge.authorizations import Authorization
from listbridge.campaign_monitor import CampaignMonitor
from listbridge.context import Context
from listbridge.errors import Fatal
from listbridge.systems import campaign_monitor_client


class NotFound(Fatal):
    """Nothing of that name or id, or more than one."""


def choose(wanted: str, known: Mapping[str, str], what: str) -> str:
    """The id of what is called `wanted` (an id or a name, case aside) among `known` (id -> name)."""
    if wanted in known:
        return wanted
    found = [each for each, name in known.items() if name.casefold() == wanted.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(f"{len(found)} {what}s are called {wanted!r}; give the id: {', '.join(found)}")
    near = difflib.get_close_matches(wanted, known.values(), n=1, cutoff=0.4)
    names = ", ".join(f"{name!r}" for name in known.values()) or "none"
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise NotFound(f"no {what} is called {wanted!r}{hint} There are: {names}")


def authorization(context: Context, wanted: str | None) -> Authorization:
    """The authorization of that id or description; the only one there is when nothing is said."""
    held = authorizations.list_all(context.store)
    if wanted is None:
        if len(held) == 1:
            return held[0]
        if not held:
            raise NotFound(
                "there is no authorization yet: `listbridge authorization add`, or `listbridge init`"
            )
        names = ", ".join(f"{a.description!r} ({a.id})" for a in held)
        raise NotFound(f"say which with --authorization: {names}")
    chosen = choose(wanted, {a.id: a.description for a in held}, "authorization")
    return next(a for a in held if a.id == chosen)


def client_id(api: CampaignMonitor, wanted: str | None) -> str:
    """The client of that id or name; the only one there is when nothing is said."""
    known = {each.client_id: each.name for each in api.clients()}
    if wanted is None:
        if len(known) == 1:
            return next(iter(known))
        names = ", ".join(repr(name) for name in known.values())
        raise NotFound(f"say which client with --client: {names}")
    return choose(wanted, known, "client")


def list_id(api: CampaignMonitor, client: str, wanted: str) -> str:
    return choose(wanted, {each.list_id: each.name for each in api.lists(client)}, "list")


def api_of(context: Context, wanted: str | None) -> tuple[Authorization, CampaignMonitor]:
    """The authorization and a client that uses it."""
    held = authorization(context, wanted)
    return held, campaign_monitor_client(context, held)

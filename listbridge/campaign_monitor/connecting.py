"""Connecting an account by OAuth: a grant that was asked for, and the authorization that comes of it."""

from __future__ import annotations

import secrets
from typing import cast

import msgspec

from listbridge import authorizations
from listbridge.authorizations import OAUTH, Authorization
from listbridge.campaign_monitor import oauth
from listbridge.campaign_monitor.tokens import pack
from listbridge.context import Context
from listbridge.errors import Fatal
from listbridge.store import keys

CALLBACK = "/oauth/campaign-monitor/callback"
ASKED_SECONDS = 900


class NothingAsked(Fatal):
    """No such grant was asked for, it was used, or it is older than 15 minutes: begin again."""


class NoWayBack(Fatal):
    """The person has to come back to an address of ours: set LISTBRIDGE_PUBLIC_URL, or give the one that
    is registered with the application."""


class DescriptionTaken(Fatal):
    """An API key is stored under this description: choose another one, or delete that authorization."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A grant that a person was sent for. `client_secret` is encrypted."""

    description: str
    base_url: str
    client_id: str
    client_secret: str
    redirect_uri: str


_decode = msgspec.json.Decoder(Asked).decode


def begin(
    context: Context,
    *,
    description: str,
    client_id: str,
    client_secret: str,
    base_url: str = "",
    redirect_uri: str = "",
) -> tuple[str, str]:
    """-> where the person grants access, and the state that comes back.

    Raises `NoWayBack`, and `DescriptionTaken` because a key that works is not replaced by the way.
    """
    settings = context.settings
    if not redirect_uri and not settings.public_url:
        raise NoWayBack(" ".join((NoWayBack.__doc__ or "").split()))
    base_url = base_url or settings.api_base_url
    for held in authorizations.list_all(context.store):
        taken = (held.description, held.base_url) == (description, base_url)
        if taken and held.credential != OAUTH:
            raise DescriptionTaken(f"{description!r}: {DescriptionTaken.__doc__}")
    asked = Asked(
        description=description,
        base_url=base_url,
        client_id=client_id,
        client_secret=context.secrets.encrypt(client_secret),
        redirect_uri=redirect_uri or settings.public_url + CALLBACK,
    )
    state = secrets.token_urlsafe(32)
    context.store.client.set(keys.oauth_state(state), msgspec.json.encode(asked), ex=ASKED_SECONDS)
    return oauth.authorize_url(asked.base_url, client_id, asked.redirect_uri, state), state


def finish(context: Context, state: str, code: str) -> Authorization:
    """Exchange the code that came back, once, and store what it gives.

    An authorization by OAuth of the same description and address gets the new tokens. Raises
    `NothingAsked`, and as `oauth.exchange`.
    """
    held = cast(bytes | None, context.store.client.getdel(keys.oauth_state(state)))
    if held is None:
        raise NothingAsked(NothingAsked.__doc__)
    asked, settings = _decode(held), context.settings
    tokens = oauth.exchange(
        asked.base_url,
        client_id=asked.client_id,
        client_secret=context.secrets.decrypt(asked.client_secret),
        redirect_uri=asked.redirect_uri,
        code=code,
        timeouts=(settings.api_connect_timeout_seconds, settings.api_read_timeout_seconds),
    )
    return authorizations.put(
        context.store,
        context.secrets,
        secret=pack(tokens),
        description=asked.description,
        base_url=asked.base_url,
        credential=OAUTH,
    )


def forget(context: Context, state: str) -> None:
    """The person said no."""
    context.store.client.delete(keys.oauth_state(state))

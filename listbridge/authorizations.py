"""Authorizations: the credentials of the systems that we act on, kept encrypted."""

from __future__ import annotations

import secrets
from typing import cast

import msgspec

from listbridge.errors import Fatal
from listbridge.secrets import Secrets
from listbridge.store import keys
from listbridge.store.store import Store, now_ms


class NoSuchAuthorization(Fatal):
    """The authorization was deleted, or its id is misspelt: `listbridge authorization list` shows all."""


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """One account of one system. `secret` is encrypted; for Campaign Monitor it is the API key."""

    id: str
    kind: str
    description: str
    base_url: str
    secret: str
    created_at: int

    def public(self) -> dict[str, object]:
        """Everything but the secret."""
        shown = cast(dict[str, object], msgspec.to_builtins(self))
        shown.pop("secret")
        return shown


_decode = msgspec.json.Decoder(Authorization).decode


def create(
    store: Store,
    box: Secrets,
    *,
    secret: str,
    description: str,
    base_url: str,
    kind: str = "campaign_monitor",
) -> Authorization:
    """Store a credential. Raises `NoEncryptionKey` when there is nothing to encrypt it with."""
    made = Authorization(
        id=secrets.token_hex(6),
        kind=kind,
        description=description,
        base_url=base_url,
        secret=box.encrypt(secret),
        created_at=now_ms(),
    )
    # The set first: a credential that no list shows could not be found and deleted.
    store.client.sadd(keys.AUTHORIZATIONS, made.id)
    store.client.set(keys.authorization(made.id), msgspec.json.encode(made))
    return made


def put(store: Store, box: Secrets, *, secret: str, description: str, base_url: str) -> Authorization:
    """Store a credential in the place of the one with this description and address, or as a new one."""
    for held in list_all(store):
        if (held.description, held.base_url) == (description, base_url):
            changed = msgspec.structs.replace(held, secret=box.encrypt(secret))
            store.client.set(keys.authorization(held.id), msgspec.json.encode(changed))
            return changed
    return create(store, box, secret=secret, description=description, base_url=base_url)


def change_secret(store: Store, box: Secrets, authorization_id: str, secret: str) -> Authorization:
    """Put another credential in the place of the stored one. Raises `NoSuchAuthorization`."""
    changed = msgspec.structs.replace(get(store, authorization_id), secret=box.encrypt(secret))
    store.client.set(keys.authorization(authorization_id), msgspec.json.encode(changed))
    return changed


def get(store: Store, authorization_id: str) -> Authorization:
    held = cast(bytes | None, store.client.get(keys.authorization(authorization_id)))
    if held is None:
        raise NoSuchAuthorization(f"no authorization {authorization_id!r}: {NoSuchAuthorization.__doc__}")
    return _decode(held)


def list_all(store: Store) -> list[Authorization]:
    """Oldest first."""
    ids = cast(set[bytes], store.client.smembers(keys.AUTHORIZATIONS))
    held = [cast(bytes | None, store.client.get(keys.authorization(each.decode()))) for each in ids]
    return sorted((_decode(each) for each in held if each), key=lambda a: (a.created_at, a.id))


def delete(store: Store, authorization_id: str) -> None:
    get(store, authorization_id)
    store.client.delete(keys.authorization(authorization_id))
    store.client.srem(keys.AUTHORIZATIONS, authorization_id)

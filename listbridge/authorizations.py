"""Authorizations: the credentials of the systems that we act on, kept encrypted."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Literal, cast

import msgspec

from listbridge.errors import Fatal
from listbridge.learned import Learned
from listbridge.secrets import Secrets
from listbridge.store import keys
from listbridge.store.store import Store, now_ms

Credential = Literal["api_key", "oauth"]
API_KEY: Credential = "api_key"
OAUTH: Credential = "oauth"


class NoSuchAuthorization(Fatal):
    """The authorization was deleted, or its id is misspelt: `listbridge authorization list` shows all."""


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """One account of one system. `secret` is encrypted: an API key, or tokens as the system keeps them.

    `learned` is what `listbridge doctor` found out about the system; None before it did.
    """

    id: str
    kind: str
    description: str
    base_url: str
    secret: str
    created_at: int
    credential: Credential = API_KEY
    learned: Learned | None = None

    def public(self) -> dict[str, object]:
        """Everything but the secret and what was learned."""
        shown = cast(dict[str, object], msgspec.to_builtins(self))
        del shown["secret"], shown["learned"]
        return shown


# KEYS: the authorization; ARGV: what it was, what it becomes. Repeated, it finds that it is done.
_REPLACE = """
local held = redis.call('GET', KEYS[1])
if held == ARGV[2] then return 1 end
if held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""

_decode = msgspec.json.Decoder(Authorization).decode


def create(
    store: Store,
    box: Secrets,
    *,
    secret: str,
    description: str,
    base_url: str,
    kind: str = "campaign_monitor",
    credential: Credential = API_KEY,
) -> Authorization:
    """Store a credential. Raises `NoEncryptionKey` when there is nothing to encrypt it with."""
    made = Authorization(
        id=secrets.token_hex(6),
        kind=kind,
        description=description,
        base_url=base_url,
        secret=box.encrypt(secret),
        created_at=now_ms(),
        credential=credential,
    )
    # The set first: a credential that no list shows could not be found and deleted.
    store.client.sadd(keys.AUTHORIZATIONS, made.id)
    store.client.set(keys.authorization(made.id), msgspec.json.encode(made))
    return made


def put(
    store: Store,
    box: Secrets,
    *,
    secret: str,
    description: str,
    base_url: str,
    credential: Credential = API_KEY,
) -> Authorization:
    """Store a credential in the place of the one with this description and address, or as a new one."""
    for held in list_all(store):
        if (held.description, held.base_url) == (description, base_url):
            return _change(store, held.id, _with_secret(box.encrypt(secret), credential))
    return create(
        store, box, secret=secret, description=description, base_url=base_url, credential=credential
    )


def change_key(store: Store, box: Secrets, authorization_id: str, key: str) -> Authorization:
    """Put an API key in the place of what is stored. Raises `NoSuchAuthorization`."""
    return _change(store, authorization_id, _with_secret(box.encrypt(key), API_KEY))


def replace_secret(store: Store, box: Secrets, held: Authorization, secret: str) -> bool:
    """Put another secret in the place of the one in `held`; False when another was stored meanwhile.

    Nobody who read the credential before another one was stored may put theirs in its place.
    """
    encrypted = box.encrypt(secret)

    def change(stored: Authorization) -> Authorization:
        ours = stored.secret == held.secret
        return msgspec.structs.replace(stored, secret=encrypted) if ours else stored

    return _change(store, held.id, change).secret == encrypted


def learn(store: Store, authorization_id: str, learned: Learned) -> Authorization:
    """Add what was found out; what was known and is unknown now stays. Raises `NoSuchAuthorization`."""

    def change(held: Authorization) -> Authorization:
        return msgspec.structs.replace(held, learned=learned.over(held.learned))

    return _change(store, authorization_id, change)


def _with_secret(encrypted: str, credential: Credential) -> Callable[[Authorization], Authorization]:
    return lambda held: msgspec.structs.replace(held, secret=encrypted, credential=credential)


def _change(
    store: Store, authorization_id: str, change: Callable[[Authorization], Authorization]
) -> Authorization:
    """Compare and set, so that of two changes at once neither undoes the other. Raises
    `NoSuchAuthorization`."""
    while True:
        held = _packed(store, authorization_id)
        changed = change(_decode(held))
        packed = msgspec.json.encode(changed)
        if store.script(_REPLACE, [keys.authorization(authorization_id)], [held, packed]):
            return changed


def get(store: Store, authorization_id: str) -> Authorization:
    return _decode(_packed(store, authorization_id))


def _packed(store: Store, authorization_id: str) -> bytes:
    held = cast(bytes | None, store.client.get(keys.authorization(authorization_id)))
    if held is None:
        raise NoSuchAuthorization(f"no authorization {authorization_id!r}: {NoSuchAuthorization.__doc__}")
    return held


def list_all(store: Store) -> list[Authorization]:
    """Oldest first."""
    ids = cast(set[bytes], store.client.smembers(keys.AUTHORIZATIONS))
    held = [cast(bytes | None, store.client.get(keys.authorization(each.decode()))) for each in ids]
    return sorted((_decode(each) for each in held if each), key=lambda a: (a.created_at, a.id))


def delete(store: Store, authorization_id: str) -> None:
    get(store, authorization_id)
    store.client.delete(keys.authorization(authorization_id))
    store.client.srem(keys.AUTHORIZATIONS, authorization_id)

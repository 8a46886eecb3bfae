"""Authorizations: the credentials of the systems that we act on, kept encrypted."""

from __future__ import annotations

import secrets
from typing import Literal, cast

import msgspec

from listbridge.errors import Fatal
from listbridge.secrets import Secrets
from listbridge.store import keys
from listbridge.store.store import Store, now_ms

Credential = Literal["api_key", "oauth"]
API_KEY: Credential = "api_key"
OAUTH: Credential = "oauth"


class NoSuchAuthorization(Fatal):
    """The authorization was deleted, or its id is misspelt: `listbridge authorization list` shows all."""


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """One account of one system. `secret` is encrypted: an API key, or tokens as the system keeps them."""

    id: str
    kind: str
    description: str
    base_url: str
    secret: str
    created_at: int
    credential: Credential = API_KEY

    def public(self) -> dict[str, object]:
        """Everything but the secret."""
        shown = cast(dict[str, object], msgspec.to_builtins(self))
        shown.pop("secret")
        return shown


# Nobody who read the credential before another one was stored may put theirs in its place.
_REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
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
            changed = msgspec.structs.replace(held, secret=box.encrypt(secret), credential=credential)
            store.client.set(keys.authorization(held.id), msgspec.json.encode(changed))
            return changed
    return create(
        store, box, secret=secret, description=description, base_url=base_url, credential=credential
    )


def change_key(store: Store, box: Secrets, authorization_id: str, key: str) -> Authorization:
    """Put an API key in the place of what is stored. Raises `NoSuchAuthorization`."""
    held = get(store, authorization_id)
    changed = msgspec.structs.replace(held, secret=box.encrypt(key), credential=API_KEY)
    store.client.set(keys.authorization(authorization_id), msgspec.json.encode(changed))
    return changed


def replace_secret(store: Store, box: Secrets, held: Authorization, secret: str) -> bool:
    """Put another secret in the place of the one in `held`; False when another was stored meanwhile."""
    changed = msgspec.structs.replace(held, secret=box.encrypt(secret))
    packed = [msgspec.json.encode(held), msgspec.json.encode(changed)]
    return bool(store.script(_REPLACE, [keys.authorization(held.id)], packed))


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

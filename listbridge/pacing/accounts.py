"""Which account a credential belongs to, as far as is known: no call of the API tells its id.

A credential that was seen to work on a client belongs to that client's account, and so does every
other credential that works on it. Names are digests, so that the store shows no key.
"""

from __future__ import annotations

import hashlib
from typing import cast

from listbridge.store import keys
from listbridge.store.store import Store

# KEYS: accounts, a map from a name to the name that stands for it; who is in no pair stands for itself.
# ARGV: a name[, a name of the same account] -> the name that stands for the account, that of the first.
_ACCOUNT = """
local function standing_for(name)
  local next = redis.call('HGET', KEYS[1], name)
  while next do
    name = next
    next = redis.call('HGET', KEYS[1], name)
  end
  return name
end
local account = standing_for(ARGV[1])
if ARGV[2] then
  local other = standing_for(ARGV[2])
  if other ~= account then redis.call('HSET', KEYS[1], other, account) end
end
return account
"""


def name_of(base_url: str, what: str) -> str:
    """The name of a credential or a client of the service at `base_url`."""
    return hashlib.blake2b(f"{base_url}\n{what}".encode(), digest_size=12).hexdigest()


def account_of(store: Store, credential: str) -> str:
    """The account of a credential, by name."""
    return cast(bytes, store.script(_ACCOUNT, [keys.ACCOUNTS], [credential])).decode()


def join(store: Store, credential: str, client: str) -> str:
    """The credential works on the client, so they are of one account; -> that account."""
    return cast(bytes, store.script(_ACCOUNT, [keys.ACCOUNTS], [credential, client])).decode()

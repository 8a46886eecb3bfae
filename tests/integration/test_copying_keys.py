"""Keys are copied whole, also to a server that takes no dump of the source's."""

import pytest
import redis

from listbridge.backup.copying import Copier
from listbridge.store.store import StoreError

pytestmark = pytest.mark.on_one_server


@pytest.fixture
def other(store):
    """Another database of the store's server."""
    options = store.client.connection_pool.connection_kwargs | {"db": 9}
    client = redis.Redis(
        **{k: v for k, v in options.items() if k in ("host", "port", "username", "password", "db")}
    )
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


class Refusing:
    """A server that doesn't know the form of our dumps."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        return getattr(self._client, name)

    def restore(self, *_, **__):
        raise redis.ResponseError("DUMP payload version or checksum are wrong")


@pytest.fixture
def filled(store):
    client = store.client
    client.set("lb:string", b"\x00\xff\n")
    client.set("lb:passing", "1", px=90_000)
    client.hset("lb:hash", mapping={b"\xff%d" % n: b"\x00%d" % n for n in range(1200)})
    client.sadd("lb:set", *[b"\x00%d" % n for n in range(1200)])
    client.zadd("lb:zset", {"a": 1_793_491_200_000_123, "b": -0.1, "c": float("inf")})
    for n in range(1, 1202):
        client.xadd("lb:stream", {"n": 1, "e": b"\xff", "t": n}, id=f"5-{n}")
    client.xdel("lb:stream", "5-1201")
    client.xadd("lb:empty", {"n": 1}, id="7-3")
    client.xdel("lb:empty", "7-3")
    return client


NAMES = ["lb:string", "lb:passing", "lb:hash", "lb:set", "lb:zset", "lb:stream", "lb:empty"]


def content(client, name):
    kind = client.type(name)
    if kind == b"string":
        return client.get(name)
    if kind == b"hash":
        return client.hgetall(name)
    if kind == b"set":
        return client.smembers(name)
    if kind == b"zset":
        return client.zrange(name, 0, -1, withscores=True)
    return kind, client.xrange(name), client.xinfo_stream(name)["last-generated-id"]


@pytest.mark.parametrize("refusing", [False, True])
def test_every_kind_is_copied_and_may_be_copied_again(filled, other, refusing):
    copier = Copier(filled, Refusing(other) if refusing else other)
    other.set("lb:hash", "of a restore that was cut off")
    for _ in range(2):
        for name in NAMES:
            copier.copy(name.encode())
    assert {name: content(other, name) for name in NAMES} == {name: content(filled, name) for name in NAMES}
    assert 0 < other.pttl("lb:passing") <= 90_000
    assert other.pttl("lb:string") == -1
    with pytest.raises(redis.ResponseError):
        other.xadd("lb:empty", {"n": 1}, id="7-3")


def test_what_is_not_there_and_what_is_none_of_ours(filled, other):
    copier = Copier(filled, Refusing(other))
    copier.copy(b"lb:nothing")
    assert not other.exists("lb:nothing")
    copier.copy(b"lb:string")
    copier.copy(b"lb:nothing")
    assert not other.exists("lb:nothing")
    filled.rpush("lb:list", "x")
    with pytest.raises(StoreError, match="lb:list is a list"):
        copier.copy(b"lb:list")

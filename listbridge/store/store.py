"""The connection to the store: one object that every effect of the domain goes through."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, cast

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ClusterCrossSlotError, ExecAbortError, MovedError, NoScriptError
from redis.retry import Retry

from listbridge.store import keys
from listbridge.store.cluster import ClusterClient
from listbridge.store.upgrades import STEPS, upgrade
from settings import is_cluster

SCHEMA_VERSION = 2

# Several calls of one script. KEYS: those of all calls; ARGV: how many calls, and for each the number of its
# keys, of its arguments, and these -> what each answered
_ONE_AFTER_ANOTHER = """
local function call(KEYS, ARGV)
%s
end
local answers, key, at = {}, 0, 1
for i = 1, tonumber(ARGV[1]) do
  local names, args, k, n = {}, {}, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  for j = 1, k do names[j] = KEYS[key + j] end
  for j = 1, n do args[j] = ARGV[at + 2 + j] end
  key, at = key + k, at + 2 + n
  local answer = call(names, args) or false
  if type(answer) == 'table' and answer.err then return answer end
  answers[i] = answer
end
return answers
"""


@lru_cache(maxsize=64)
def _one_after_another(source: str) -> str:
    return _ONE_AFTER_ANOTHER % source


class StoreError(Exception):
    """The store can't be used as it is; the message says what it holds and what it should."""


class Store:
    """A Redis or Valkey server, or a cluster, with the partition layout that it was created with."""

    one_command = True
    """May one command touch several partitions?"""

    def __init__(self, client: redis.Redis, partitions: int, *, stream_limit_events: int = 0) -> None:
        """`stream_limit_events`: how many events all streams may hold together; 0: any number."""
        self.client = client
        self.partitions = partitions
        self.stream_limit_events = stream_limit_events
        self.erasure_key: bytes | None = None
        """The key of the hashes of who was erased, once somebody was: see `streams.tombstones`."""
        self.told: dict[str, int] = {}
        """List -> when this process last wrote down that a webhook told something of it (epoch ms)."""
        self._shas: dict[str, str] = {}

    @cached_property
    def parts(self) -> tuple[keys.PartitionKeys, ...]:
        return tuple(keys.PartitionKeys(number, self.partitions) for number in range(self.partitions))

    def part(self, person: str) -> keys.PartitionKeys:
        """The partition of a person's key."""
        return self.parts[keys.partition_of(person.encode(), self.partitions)]

    def by_part(self, people: Iterable[str]) -> list[tuple[keys.PartitionKeys, list[str]]]:
        """These people by their partitions, in the order given; partitions of nobody are left out."""
        grouped: dict[int, list[str]] = {}
        for person in people:
            grouped.setdefault(keys.partition_of(person.encode(), self.partitions), []).append(person)
        return [(self.parts[number], found) for number, found in grouped.items()]

    @property
    def cluster(self) -> ClusterClient | None:
        """The client, where the store is a cluster."""
        client: Any = self.client
        return client if isinstance(client, ClusterClient) else None

    @property
    def servers(self) -> list[redis.Redis]:
        """A client of each server that holds a part of the store."""
        return self.cluster.nodes() if self.cluster else [self.client]

    def ping(self) -> None:
        """Raises `redis.RedisError` when a server doesn't answer."""
        for server in self.servers:
            server.ping()

    def script(self, source: str, keys: Sequence[str], args: Iterable[Any]) -> Any:
        """Run one Lua script; all its keys must be of one partition."""
        sha = self._sha(source)
        if self.cluster:
            return self.cluster.run(source, sha, [(keys, list(args))])[0]
        call = ("EVALSHA", sha, len(keys), *keys, *args)
        try:
            return self.client.execute_command(*call)
        except NoScriptError:
            self.client.script_load(source)
            return self.client.execute_command(*call)

    def scripts(
        self, source: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]], *, at_once: bool = False
    ) -> list[Any]:
        """Run one script for several partitions, in one round trip where the server allows it.

        Every script is safe to repeat: when a reply is lost, all of them may run again. `at_once`: a single
        server is kept from others meanwhile, and writes all of it to its disk together.
        """
        if self.cluster:
            return self.cluster.run(source, self._sha(source), calls)
        if len(calls) == 1:
            return [self.script(source, *calls[0])]
        at_once = at_once and self.one_command
        try:
            return self._pipelined(source, calls, at_once)
        except NoScriptError:
            self.client.script_load(source)
            return self._pipelined(source, calls, at_once)
        except (ClusterCrossSlotError, ExecAbortError):  # a cluster of one server
            if not at_once:
                raise
            self.one_command = False
            return self.scripts(source, calls)

    def small_scripts(self, source: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
        """The same for calls that take the server no time worth speaking of: they are one command there.

        The first error ends it; what was called before it is done.
        """
        if self.cluster or len(calls) < 2 or not self.one_command:
            return self.scripts(source, calls)
        names = [name for own, _ in calls for name in own]
        args: list[Any] = [len(calls)]
        for own, given in calls:
            args += (len(own), len(given), *given)
        try:
            answers: list[Any] = self.script(_one_after_another(source), names, args)
        except ClusterCrossSlotError:  # a cluster of one server
            self.one_command = False
            return self.scripts(source, calls)
        return answers

    def _pipelined(
        self, source: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]], at_once: bool
    ) -> list[Any]:
        sha = self._sha(source)
        pipe = self.client.pipeline(transaction=at_once)
        for names, args in calls:
            pipe.execute_command("EVALSHA", sha, len(names), *names, *args)
        return pipe.execute()

    def _sha(self, source: str) -> str:
        if source not in self._shas:
            self._shas[source] = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        return self._shas[source]

    def prepare(self) -> None:
        """Write the layout on first use; an older schema is upgraded, any other layout refused."""
        self._reach()
        wanted = {"schema": str(SCHEMA_VERSION), "partitions": str(self.partitions)}
        for name, value in wanted.items():
            self.client.hsetnx(keys.META, name, value)
        held = {
            k.decode(): v.decode()
            for k, v in cast(dict[bytes, bytes], self.client.hgetall(keys.META)).items()
        }
        schema = held["schema"]
        if not schema.isdecimal():
            raise StoreError(
                f"a backup is being restored into this store ({schema}): wait, or restore it again"
            )
        if int(schema) > SCHEMA_VERSION:
            raise StoreError(
                f"the store has schema {schema}, of a newer program; this one knows {SCHEMA_VERSION}: start "
                "the newer program"
            )
        if not upgrade(self, int(schema), SCHEMA_VERSION):
            raise StoreError(
                f"the store has schema {schema}, and this program upgrades to {SCHEMA_VERSION} only from "
                f"{min([*STEPS, SCHEMA_VERSION])} on: start the program that made it"
            )
        if held["partitions"] != wanted["partitions"]:
            raise StoreError(
                f"the store was created with {held['partitions']} partitions and LISTBRIDGE_PARTITIONS is "
                f"{wanted['partitions']}; set it to {held['partitions']}"
            )

    def _reach(self) -> None:
        pipe = self.client.pipeline(transaction=False)
        for part in self.parts:
            pipe.get(part.version)
        try:
            pipe.execute()
        except MovedError as error:
            raise StoreError(
                "the store's address is that of one node of a cluster, which holds only a part: write "
                "redis+cluster:// instead of redis://, or rediss+cluster:// instead of rediss://"
            ) from error


def connect(
    url: str,
    partitions: int,
    *,
    timeout_seconds: float = 10.0,
    retries: int = 3,
    stream_limit_events: int = 0,
) -> Store:
    """Connect to a server or a cluster. Raises `StoreError` for an address that can't be one, and
    `redis.ConnectionError` where no master of a cluster can be reached; a server is called on first use.

    Every write that goes through the store is safe to repeat, so the client repeats what got no answer
    within `timeout_seconds`.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": min(timeout_seconds, 3),
        "health_check_interval": 15,
        "retry": Retry(ExponentialBackoff(cap=1.0, base=0.05), retries),
    }
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    try:
        client = _client(url, options)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the store's address can't be used: {error}") from error
    return Store(client, partitions, stream_limit_events=stream_limit_events)


def _client(url: str, options: dict[str, Any]) -> redis.Redis:
    if is_cluster(url):
        return cast(redis.Redis, ClusterClient(url, **options))
    client = redis.Redis.from_url(url, **options)
    client.connection_pool.make_connection()
    return client


def now_ms() -> int:
    """Epoch milliseconds, UTC."""
    return time.time_ns() // 1_000_000

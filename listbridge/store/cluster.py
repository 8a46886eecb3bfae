"""The store's client for a Redis or Valkey Cluster: what redis-py's own lacks for us.

redis-py (8.1) repeats a command that a dead master didn't answer without a pause, says in an error of
another family than `RedisError` that no master can be reached, and repeats each command of a pipeline
alone. Here a command or a whole pipeline is repeated, with the pauses of a single server's client, and
what was in vain is a `redis.ConnectionError` as anywhere else. Everything that goes through the store is
safe to repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, ClusterPipeline, RedisCluster
from redis.connection import parse_url
from redis.exceptions import ClusterDownError, NoScriptError, RedisClusterException, SlotNotCoveredError
from redis.retry import Retry

from settings import cluster_addresses

Answer = TypeVar("Answer")

PASSING = (redis.ConnectionError, redis.TimeoutError, ClusterDownError)
"""Errors of a master that is not there just now."""


class NoCluster(redis.ConnectionError):
    """No master can be reached, or nobody answers for some of the slots."""


class ClusterClient(RedisCluster):
    """All masters of a cluster, as one client; commands for no key in particular go to any of them."""

    def __init__(self, url: str, *, retry: Retry, **options: Any) -> None:
        """Connects. Raises `NoCluster`, and ValueError for an address that can't be a cluster's.

        `url` is as `settings.cluster_addresses` takes it; `options` are those of a single server's client.
        """
        self._patience = retry
        retry.update_supported_errors([ClusterDownError])
        addresses = [parse_url(each) for each in cluster_addresses(url)]
        others = [ClusterNode(each["host"], each.get("port", 6379)) for each in addresses[1:]]
        try:
            super().__init__(
                url=cluster_addresses(url)[0],
                startup_nodes=others,
                require_full_coverage=False,
                retry=Retry(NoBackoff(), 0),
                **options,
            )
        except RedisClusterException as error:
            if isinstance(error.__cause__, RedisClusterException):
                raise ValueError("the server there is no node of a cluster: write redis://") from error
            raise NoCluster(str(error)) from error

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        return self.patiently(lambda: super(ClusterClient, self).execute_command(*args, **kwargs))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close the connections; redis-py leaves those that were made by a URL to the garbage collector."""
        self.disconnect_connection_pools()  # type: ignore[no-untyped-call]
        super().close()

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        """Commands that go to each master in one go. Those of one slot keep their order."""
        if transaction or shard_hint:
            raise ValueError("there are no transactions over a cluster: use a script")
        return _Pipeline(
            self,
            nodes_manager=self.nodes_manager,
            commands_parser=self.commands_parser,
            startup_nodes=self.nodes_manager.startup_nodes,
            result_callbacks=self.result_callbacks,
            cluster_response_callbacks=self.cluster_response_callbacks,
            reinitialize_steps=self.reinitialize_steps,
            retry=self.retry,
            lock=self._lock,
            transaction=False,
            event_dispatcher=self._event_dispatcher,
        )

    def run(self, script: str, sha: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]) -> list[Any]:
        """Run one script for the keys and arguments of each call, on all masters at a time.

        The keys of one call are of one slot. Raises the error of the first call that failed. Where a master
        does not know the script, only its calls are sent again: one that has run would find its own work.
        """
        answers = self._each("EVALSHA", sha, calls)
        unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            again = self._each("EVAL", script, [calls[place] for place in unknown])  # which the master keeps
            for place, answer in zip(unknown, again, strict=True):
                answers[place] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def _each(
        self, command: str, text: str, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> list[Any]:
        """What each call answered, or the error of the server instead."""
        if len(calls) == 1:
            names, args = calls[0]
            try:
                return [self.execute_command(command, text, len(names), *names, *args)]
            except NoScriptError as error:
                return [error]
        pipe = self.pipeline()
        for names, args in calls:
            pipe.execute_command(command, text, len(names), *names, *args)
        return pipe.execute(raise_on_error=False)

    def nodes(self) -> list[redis.Redis]:
        """A client of each master."""
        return [self.get_redis_connection(node) for node in self.get_primaries()]  # type: ignore[no-untyped-call]

    def patiently(self, effect: Callable[[], Answer]) -> Answer:
        """Repeat what a master that is not there just now didn't answer, after a pause."""

        def once() -> Answer:
            try:
                return effect()
            except SlotNotCoveredError as error:
                raise NoCluster(str(error)) from error
            except RedisClusterException as error:
                if error.__cause__ is None:
                    raise  # a command that no cluster takes
                raise NoCluster(str(error)) from error

        return self._patience.call_with_retry(once, self._failed)

    def _failed(self, _error: Exception) -> None:
        self.replace_default_node()


def _is_answer(error: Exception) -> bool:
    """Is it what a master said of a command, and not that there is none just now?"""
    return isinstance(error, redis.ResponseError) and not isinstance(error, PASSING)


class _Pipeline(ClusterPipeline):
    """A pipeline that is repeated as a whole."""

    def __init__(self, client: ClusterClient, **options: Any) -> None:
        super().__init__(**options)
        self._client = client
        self._broken: Exception | None = None
        self._alone = self.parent_execute_command
        self.parent_execute_command = self._again

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Without `raise_on_error` what a master refused is among the answers; that one is away is raised."""
        queued = [(each.args, each.options) for each in self._execution_strategy.command_queue]
        self.reset()  # type: ignore[no-untyped-call]

        def once() -> list[Any]:
            self._broken = None
            for args, options in queued:
                self.execute_command(*args, **options)  # type: ignore[no-untyped-call]
            return super(_Pipeline, self).execute(raise_on_error=False)

        def whole() -> list[Any]:
            answers = once()
            # redis-py would name the command with its arguments, and these are people's addresses.
            for answer in answers:
                if isinstance(answer, Exception) and (raise_on_error or not _is_answer(answer)):
                    raise answer
            return answers

        return self._client.patiently(whole)

    def _again(self, *args: Any, **options: Any) -> Any:
        """Follow a slot that has moved; where a master is gone, one try stands for all."""
        if self._broken is not None:
            raise self._broken
        try:
            return self._alone(*args, **options)  # type: ignore[no-untyped-call]
        except PASSING as error:
            self._broken = error
            raise

"""The import engine over a source of this test's own."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from listbridge.errors import Fatal, Retriable, Skippable
from listbridge.imports import engine
from listbridge.imports.cursors import Cursor, cursors, save
from listbridge.imports.engine import Puller
from listbridge.imports.protocol import Batch, Resource
from listbridge.store.store import Store, now_ms
from listbridge.streams.events import Event, Unreadable

STEPS = 3


def event(name: str, step: int) -> Event:
    return Event("cm_activity", "ann@example.com", step, (name, step), {"event": "open"})


@dataclass
class Numbers:
    """Resources of `STEPS` steps each; `problems` maps a resource and step to what is raised there."""

    names: tuple[str, ...] = ("a", "b", "c")
    problems: dict[tuple[str, int], Exception] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    read_names: list[str] = field(default_factory=list)
    account: str = "account"
    began: int = 0
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each resource tells of itself before it is read."""

    def resources(self, positions: Mapping[str, str], began: int) -> Iterator[Resource]:
        self.given = dict(positions)
        self.began = began
        for name in self.names:
            yield Resource(name, (name,), positions.get(name), **self.known.get(name, {}))

    def read(self, resource: Resource) -> Iterator[Batch]:
        self.read_names.append(resource.name)
        for step in range(int(resource.position or 0), STEPS):
            if problem := self.problems.pop((resource.name, step), None):
                raise problem
            bad = [Unreadable("cm_activity", resource.name.encode(), "bad")] if step == 0 else []
            yield Batch(str(step + 1), [event(resource.name, step)], bad, rows=2)

    def prepare(self) -> list[str]:
        return []

    def close(self) -> None:
        return None


class Pull:
    """Runs the engine and notes the order of its steps."""

    def __init__(self, store: Store, source: Numbers) -> None:
        self.store = store
        self.source = source
        self.steps: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def run(self, *, most: int = 1000, started_at: int | None = None, in_flight: int = 1):
        def note(resource: Resource, batch: Batch, _counts: object) -> None:
            self.steps.append((resource.name, batch.position))

        puller = Puller(
            self.store,
            self.source,
            stop=lambda: len(self.steps) >= most,
            on_batch=note,
            started_at=now_ms() if started_at is None else started_at,
            in_flight=in_flight,
        )
        return puller.run()

    def positions(self) -> dict[str, str]:
        return {name: cursor.position for name, cursor in cursors(self.store, "account").items()}


@pytest.fixture
def pull(fake_store) -> Pull:
    return Pull(fake_store, Numbers())


@pytest.mark.parametrize("in_flight", [1, 3])
def test_all_resources_are_read_to_their_end(pull, in_flight):
    result = pull.run(in_flight=in_flight)
    assert (result.resources, result.rows, result.accepted, result.quarantined) == (3, 18, 9, 3)
    assert pull.positions() == {"a": "3", "b": "3", "c": "3"}


def test_a_run_that_is_stopped_goes_on_from_its_last_step(pull):
    began = now_ms()
    pull.run(most=4, started_at=began)
    assert pull.positions() == {"a": "3", "b": "1"}
    pull.run(started_at=began)
    assert pull.steps == [(name, str(step)) for name in "abc" for step in (1, 2, 3)]
    assert pull.source.given == {"a": "3", "b": "1"}


def test_what_was_finished_by_a_clock_that_was_ahead_is_read_by_the_next_run(pull, monkeypatch):
    began = now_ms()
    with monkeypatch.context() as ahead:
        ahead.setattr(engine, "now_ms", lambda: began + 600_000)
        pull.run(started_at=began)
    pull.run(started_at=began + 1)
    assert pull.source.read_names == ["a", "b", "c"] * 2


def test_what_this_run_has_finished_is_not_read_again_but_the_next_run_looks(pull):
    began = now_ms()
    pull.source.problems = {("b", 1): Retriable("busy")}
    with pytest.raises(Retriable):
        pull.run(started_at=began)
    pull.run(started_at=began)
    assert pull.source.read_names == ["a", "b", "b", "c"]
    pull.run(started_at=now_ms() + 1)
    assert pull.source.read_names[4:] == ["a", "b", "c"]


@pytest.mark.parametrize("problem", [Fatal("gone"), Retriable("busy"), KeyError("bug")])
@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_problem_is_raised_and_what_was_read_before_is_kept(pull, problem, in_flight):
    pull.source.problems = {("b", 2): problem}
    with pytest.raises(type(problem)):
        pull.run(in_flight=in_flight)
    assert pull.positions()["b"] == "2"
    assert pull.run(started_at=0, in_flight=in_flight).duplicates == 0


def test_a_problem_of_one_resource_ends_the_others_at_their_next_step(fake_store):
    failed = threading.Event()

    class Slow(Numbers):
        def read(self, resource: Resource) -> Iterator[Batch]:
            if resource.name == "a":
                failed.set()
                raise Retriable("busy")
            assert failed.wait(5)
            for step in range(10_000):
                yield Batch(str(step))

    pull = Pull(fake_store, Slow(names=("a", "b")))
    with pytest.raises(Retriable):
        pull.run(in_flight=2)
    assert len(pull.steps) < 1000


def test_a_problem_while_resources_are_looked_for_ends_the_run(fake_store):
    class Cut(Numbers):
        def resources(self, positions: Mapping[str, str], began: int) -> Iterator[Resource]:
            yield from super().resources(positions, began)
            raise Retriable("busy")

    with pytest.raises(Retriable):
        Pull(fake_store, Cut()).run()


def test_a_resource_that_is_skipped_is_named_and_the_others_are_read(pull):
    pull.source.problems = {("b", 1): Skippable("not shown")}
    result = pull.run()
    assert result.skipped == ("b: not shown",)
    assert pull.positions() == {"a": "3", "b": "1", "c": "3"}


def test_events_are_stored_before_the_position_moves(pull, monkeypatch):
    def lost(*_: object) -> None:
        raise ConnectionError("no store")

    with monkeypatch.context() as patch:
        patch.setattr("listbridge.imports.engine.save", lost)
        with pytest.raises(ConnectionError):
            pull.run()
    assert pull.positions() == {}
    result = pull.run()
    assert (result.accepted, result.duplicates) == (8, 2)


def test_a_resource_of_several_lists_keeps_one_cursor_for_each(fake_store):
    save(fake_store, "account", Resource("r", ("x", "y"), None), Cursor("5", 9))
    assert cursors(fake_store, "account") == {"x": Cursor("5", 9), "y": Cursor("5", 9)}


def test_a_resource_without_rows_has_no_position_but_is_finished(fake_store):
    class Empty(Numbers):
        def read(self, resource: Resource) -> Iterator[Batch]:
            self.read_names.append(resource.name)
            yield from ()

    pull = Pull(fake_store, Empty(names=("a",)))
    began = now_ms()
    pull.run(started_at=began)
    pull.run(started_at=began)
    assert pull.source.read_names == ["a"]
    assert pull.source.given == {}


def test_what_cannot_have_changed_is_not_read_again(pull):
    pull.source.known = {name: {"basis": "7", "rest_ms": 60_000} for name in "ab"}
    assert pull.run().unchanged == []
    pull.source.read_names.clear()
    pull.source.known["b"] = {"basis": "8", "rest_ms": 60_000}
    result = pull.run(started_at=now_ms() + 1)
    assert [each.name for each in result.unchanged] == ["a"]
    assert pull.source.read_names == ["b", "c"]


def test_a_reading_that_was_broken_off_is_not_taken_for_a_complete_one(pull):
    pull.source.known = {"b": {"basis": "7", "rest_ms": 60_000}}
    pull.run()
    pull.source.known["b"]["basis"] = "8"
    pull.source.names = ("b",)
    save(fake := pull.store, "account", Resource("b", ("b",), None), cursor_at(fake, "0"))
    pull.run(most=len(pull.steps) + 1, started_at=now_ms() + 1)
    assert cursors(pull.store, "account")["b"].basis == ""
    assert pull.run(started_at=now_ms() + 1).unchanged == []
    assert cursors(pull.store, "account")["b"].basis == "8"


def test_a_reading_that_goes_on_is_as_old_as_its_beginning(pull):
    """Lists' states are read from the end: who left while it was broken off comes with the next reading."""
    pull.source.names = ("a",)
    pull.run(most=1)
    broken_off = now_ms()
    time.sleep(0.005)
    pull.run()
    assert 0 < cursors(pull.store, "account")["a"].complete_from <= broken_off
    time.sleep(0.005)
    before = now_ms()
    pull.run()
    assert cursors(pull.store, "account")["a"].complete_from >= before


def cursor_at(store: Store, position: str) -> Cursor:
    return replace(cursors(store, "account")["b"], position=position)


def test_a_whole_reading_begins_at_the_beginning_and_is_done_once(pull):
    pull.source.names = ("a",)
    pull.run()
    turn = now_ms() + 1
    pull.source.known = {"a": {"basis": "7", "rest_ms": 60_000, "whole_after": turn}}
    time.sleep(0.005)
    pull.source.problems = {("a", 1): Retriable("busy")}
    with pytest.raises(Retriable):
        pull.run(started_at=now_ms())
    pull.steps.clear()
    assert pull.run(started_at=now_ms()).duplicates == 2
    assert pull.steps == [("a", "2"), ("a", "3")]
    assert cursors(pull.store, "account")["a"].whole_from >= turn
    assert [each.name for each in pull.run(started_at=now_ms() + 1).unchanged] == ["a"]


def test_what_the_source_says_is_gone_is_named_and_not_read(pull):
    pull.source.known = {"b": {"problem": "deleted"}}
    assert pull.run().skipped == ("b: deleted",)
    assert pull.source.read_names == ["a", "c"]

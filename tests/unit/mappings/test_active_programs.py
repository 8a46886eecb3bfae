"""A process takes up new mappings by itself, and asks for them seldom."""

import threading
import time

import pytest

from listbridge.mappings import active as active_module
from listbridge.mappings.active import ActivePrograms
from listbridge.mappings.versions import NoActiveMappings

A, B = "count(event) AS mine KIND int", "max(epochms()) AS mine KIND date"


@pytest.fixture
def asked(monkeypatch):
    """How often the store was asked which version is active."""
    times = []
    real = active_module.active_number

    def count(store):
        times.append(time.monotonic())
        return real(store)

    monkeypatch.setattr(active_module, "active_number", count)
    return times


@pytest.fixture
def compiled(monkeypatch):
    """The versions that were compiled."""
    numbers = []
    real = active_module.program_of

    def note(held):
        numbers.append(held.number)
        return real(held)

    monkeypatch.setattr(active_module, "program_of", note)
    return numbers


def test_the_store_is_asked_once_a_second_and_nothing_is_compiled_again(any_store, become, asked, compiled):
    become(A)
    programs = ActivePrograms(any_store)
    first = programs.current()

    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        assert programs.current() is first

    assert len(asked) <= 1
    assert compiled == [1]


def test_new_mappings_are_current_within_about_a_second(any_store, become):
    become(A)
    programs = ActivePrograms(any_store)
    programs.current()
    become(B)
    since = time.monotonic()

    while programs.current().version == 1:
        time.sleep(0.01)

    assert time.monotonic() - since < 2.5
    assert programs.current().fields["mine"].kind.name == "date"


def test_new_mappings_are_current_at_once_for_who_asks_for_them(any_store, become, monkeypatch):
    monkeypatch.setattr(active_module, "ASK_SECONDS", 600.0)
    become(A)
    programs = ActivePrograms(any_store)
    programs.current()
    become(B)

    assert programs.current().version == 1
    assert programs.current(renew=True).version == 2
    assert programs.current().version == 2


def test_threads_share_one_program_of_each_version(any_store, become, compiled):
    become(A)
    programs = ActivePrograms(any_store)
    seen, stop = [[] for _ in range(8)], threading.Event()

    def look(mine):
        while not stop.is_set():
            program = programs.current(renew=len(mine) % 50 == 0)
            if not mine or mine[-1] is not program:
                mine.append(program)
            time.sleep(0.001)

    threads = [threading.Thread(target=look, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    for columns in (B, A, B):
        become(columns)
        time.sleep(0.05)
    time.sleep(1.1)
    stop.set()
    for thread in threads:
        thread.join()

    assert compiled == sorted(set(compiled)), "none was compiled twice"
    assert {mine[-1].version for mine in seen} == {4}
    assert len({id(mine[-1]) for mine in seen}) == 1


def test_a_store_without_mappings_is_told(any_store):
    with pytest.raises(NoActiveMappings):
        ActivePrograms(any_store).current()

"""The order of the rounds and what the table adds up."""

from __future__ import annotations

import time
from dataclasses import replace

import faults.__main__  # noqa: F401 - enters all faults
from faults import report, running
from faults.catalogue import FAULTS, Fault
from faults.comparing import Verdict
from faults.disks import NoDisk
from faults.running import Round, Terms
from faults.world import Plan

TERMS = Terms(time.monotonic() + 86_400, print)
CLEAN = Verdict(acknowledged=100, lost=0, doubled=0, people=0, rows=0, undone=0)


def a_fault(name, plan=None, *, alone=False):
    return Fault(name, "what", lambda *_: None, plan or Plan(), "", frozenset(), alone)


def test_rounds_of_one_fault_are_one_row_with_the_median_recovery():
    rounds = [Round("a", n, 100, CLEAN, s, 9.4 + n) for n, s in enumerate((1.0, 9.0, 2.0), -1)]
    rounds.append(Round("b", 1, 50, replace(CLEAN, lost=3, doubled=1, raced=2), 4.0, 12.3))
    assert report.rows(rounds) == [
        ("a", "3", "300", "0", "0", "0", "0", "0", "0", "2.0", "9"),
        ("b", "1", "50", "3", "1", "0", "0", "0", "2", "4.0", "12"),
    ]


def test_the_documentations_table_has_a_row_for_each_fault():
    name = "power-cut-everysec"
    table = report.markdown([Round(name, 1, 100, replace(CLEAN, lost=3), 4.0)]).splitlines()
    assert len(table) == 3
    assert len({line.count("|") for line in table}) == 1
    cells = [cell.strip() for cell in table[2].split("|")]
    assert cells[1] == f"`{name}`"
    assert cells[3:6] == ["1", "100", "3"]
    assert cells[-2] == FAULTS[name].gives_up


def test_only_what_a_setting_gives_up_is_excused():
    verdict = replace(CLEAN, lost=3, undone=1)
    assert not verdict.is_clean
    assert verdict.differences() == {"lost": 3, "undone": 1}
    assert verdict.differences({"lost", "people"}) == {"undone": 1}
    assert CLEAN.is_clean
    assert all(each.gives_up and "undone" not in each.excused for each in FAULTS.values() if each.excused)


def test_a_round_that_did_not_end_is_told_and_is_not_good():
    rounds = [Round("a", 1, 100, CLEAN), Round("a", 2, problems=["NeverQuiet: x"])]
    assert report.rows(rounds)[0][1] == "1 of 2"
    assert running.failed(rounds) == rounds[1:]


def test_every_fault_runs_as_often_as_asked_and_equal_plans_share(monkeypatch):
    shared: list[list[str]] = []

    def in_one(waiting, plan, terms):
        shared.append([each.name for each, _ in waiting])
        while waiting:
            each, number = waiting.pop(0)
            yield Round(each.name, number, verdict=CLEAN)

    monkeypatch.setattr(running, "_in_one", in_one)
    proxied = Plan(proxied=True)
    faults = [a_fault("a"), a_fault("p", proxied), a_fault("b"), a_fault("own", alone=True)]
    rounds = list(running.run(faults, TERMS, seed=5, runs=2))
    assert shared == [["a", "b", "a", "b"], ["p", "p"], ["own", "own"]]
    assert sorted((each.fault, each.seed) for each in rounds) == sorted(
        (each.name, seed) for each in faults for seed in (5, 6)
    )


def test_what_the_time_did_not_reach_is_told():
    rounds = list(running.run([a_fault("a")], Terms(0, print), seed=1, runs=1))
    assert [each.problems for each in rounds] == [["not run: the time was over"]]


def test_without_a_small_disk_its_faults_are_left_out(monkeypatch):
    def in_one(*_):
        raise NoDisk("not allowed")
        yield

    monkeypatch.setattr(running, "_in_one", in_one)
    rounds = list(running.run([a_fault("a", Plan(tmpfs_mb=1))], TERMS, seed=1, runs=1))
    assert [each.skipped for each in rounds] == ["not allowed"]
    assert running.failed(rounds) == []


def test_every_fault_says_what_happens():
    assert len(FAULTS) > 40
    assert all(each.what and each.name == name for name, each in FAULTS.items())

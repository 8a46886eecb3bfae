"""Running faults: load and fault together, a probe for the recovery, rest, and the comparison."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from queue import Empty, Queue, SimpleQueue
from threading import Thread

from faults.catalogue import Fault
from faults.comparing import Verdict, compare
from faults.disks import NoDisk
from faults.installation import world
from faults.keeping import keep
from faults.ledger import AUDIENCES
from faults.load import Load
from faults.world import NeverQuiet, Plan, World

LOAD_SECONDS = 3.0
ROUND_SECONDS = 40.0
"""A round is begun only if so much of the whole time is left."""
PROBE_SECONDS = 120.0
MANY = 8
"""So many rounds that may share an installation are dealt out to as many as stand at a time."""


@dataclass
class Round:
    """What came of one fault, once."""

    fault: str
    seed: int
    acknowledged: int = 0
    verdict: Verdict | None = None
    recovery_seconds: float = 0.0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    skipped: str = ""
    """Why it could not be run here."""
    parts: dict[str, float] = field(default_factory=dict)
    """Seconds that each part of it took."""

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """The block is this part."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.parts[part] = time.monotonic() - began

    @property
    def is_good(self) -> bool:
        """Did it end, and with equal ledgers, unless its setting gives that up?"""
        return bool(self.skipped) or (not self.problems and self.verdict is not None)


@dataclass(frozen=True)
class Terms:
    """How rounds are run. `deadline`: by the monotonic clock; `keep_in`: the folder for what is kept of
    those who differ, excused too (empty: only what is wrong, among the temporary files)."""

    deadline: float
    say: Callable[[str], None]
    load_seconds: float = LOAD_SECONDS
    keep_in: str = ""

    @property
    def has_time(self) -> bool:
        """Is there time for another round?"""
        return time.monotonic() + ROUND_SECONDS < self.deadline


Due = list[tuple[Fault, int]]
"""Faults and seeds that wait for an installation."""


def run(faults: Sequence[Fault], terms: Terms, *, seed: int, runs: int, at_once: int = 1) -> Iterator[Round]:
    """Run each fault `runs` times; faults that allow it share an installation, and `at_once` installations
    stand at a time. The same seed, the same load and moments, as far as the machine allows."""
    groups = SimpleQueue[Due]()
    for group in sorted(_groups(faults, seed, runs, at_once), key=len, reverse=True):
        groups.put(group)
    found: Queue[Round | BaseException | None] = Queue()

    def work() -> None:
        try:
            while group := _next(groups):
                for done in _of_group(group, terms):
                    found.put(done)
        except BaseException as problem:
            found.put(problem)
        finally:
            found.put(None)

    workers = [Thread(target=work, name=f"installation-{number}") for number in range(at_once)]
    for each in workers:
        each.start()
    at_work = len(workers)
    try:
        while at_work:
            done = found.get()
            if isinstance(done, Round):
                yield done
            elif done is None:
                at_work -= 1
            else:
                raise done
    finally:
        while _next(groups):
            pass
        for each in workers:
            each.join()


def _next(groups: SimpleQueue[Due]) -> Due:
    try:
        return groups.get_nowait()
    except Empty:
        return []


def _groups(faults: Sequence[Fault], seed: int, runs: int, parts: int) -> list[Due]:
    """The rounds that may share an installation; where many may, dealt out to several."""
    numbered = [(each, seed + number) for number in range(runs) for each in faults]
    order = {each.plan: place for place, each in reversed(list(enumerate(faults)))}
    numbered.sort(key=lambda pair: (pair[0].alone, order[pair[0].plan]))
    found: list[Due] = []
    for _, group in groupby(numbered, key=lambda pair: (pair[0].name * pair[0].alone, pair[0].plan)):
        together = list(group)
        dealt = parts if len(together) >= MANY else 1
        found += [together[number::dealt] for number in range(dealt)]
    return found


def _of_group(waiting: Due, terms: Terms) -> Iterator[Round]:
    plan = waiting[0][0].plan
    while waiting and terms.has_time:
        try:
            yield from _in_one(waiting, plan, terms)
        except NoDisk as problem:
            yield from (Round(each.name, number, skipped=str(problem)) for each, number in waiting)
            waiting.clear()
    for each, number in waiting:
        yield Round(each.name, number, problems=["not run: the time was over"])


def _in_one(waiting: Due, plan: Plan, terms: Terms) -> Iterator[Round]:
    """Rounds on one installation, until one goes wrong or was to be alone; takes from `waiting`."""
    with installation(plan, waiting[0][1], terms.say) as made:
        acknowledged = compare(made).acknowledged
        while waiting and terms.has_time:
            each, number = waiting.pop(0)
            done = one(made, each, number, terms.load_seconds)
            if done.verdict:
                done.acknowledged = done.verdict.acknowledged - acknowledged
                acknowledged = done.verdict.acknowledged
            keep_what_is_needed(made, done, terms)
            yield done
            if each.alone or done.verdict is None or not done.verdict.is_clean:
                return


@contextmanager
def installation(plan: Plan, seed: int, say: Callable[[str], None]) -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="listbridge-faults-"))
    log_path = directory / "faults.log"
    began = time.monotonic()
    try:
        with log_path.open("a", encoding="utf-8") as log, world(directory, plan, log, log_path, seed) as made:
            say(f"an installation is up and at rest after {time.monotonic() - began:.1f} s ({plan})")
            yield made
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def one(made: World, each: Fault, seed: int, load_seconds: float) -> Round:
    """Load and fault, then rest, then the ledgers."""
    done = Round(each.name, seed)
    chance, began = random.Random(f"{seed} {each.name}"), time.monotonic()
    try:
        with done.timed("load"), Load(made, chance) as load:
            each.act(made, chance)
            over = time.monotonic()
            time.sleep(max(0.0, load_seconds - (over - began)) if not each.alone else 0.0)
        load.check()
        with done.timed("mending"):
            while made.afterwards:
                made.afterwards.pop(0)()
        with done.timed("recovery"):
            done.recovery_seconds = probe(made)
        with done.timed("rest"):
            made.wait_until_quiet()
        with done.timed("reading"):
            made.read_again()
            made.wait_until_quiet()
        with done.timed("comparison"):
            done.verdict = compare(made)
            done.problems += [problem for check in made.checks if (problem := check())]
    except (NeverQuiet, TimeoutError, RuntimeError, OSError, subprocess.SubprocessError) as problem:
        done.problems.append(f"{type(problem).__name__}: {problem}")
    if done.verdict and (differences := done.verdict.differences(each.excused)):
        done.problems.append(", ".join(f"{count} {name}" for name, count in differences.items()))
    made.checks.clear()
    made.afterwards.clear()
    done.seconds = time.monotonic() - began
    return done


def probe(made: World) -> float:
    """Seconds until a change that is posted now is in the list."""
    began = time.monotonic()
    feed, ledger = made.feeds[0], made.ledger
    email = f"probe.{len(ledger.events)}@example.org"
    event = ledger.event(email, AUDIENCES[0], "enter")
    made.until_answered("POST", "/audiences/events", {"events": [event]})
    ledger.events.append(event)
    while AUDIENCES[0] not in made.values_of(feed, email):
        if time.monotonic() - began > PROBE_SECONDS:
            raise TimeoutError(
                f"waited {PROBE_SECONDS:.0f} s for a change to be in the list: {made.unrest()}"
            )
        time.sleep(0.1)
    return time.monotonic() - began


def keep_what_is_needed(made: World, done: Round, terms: Terms) -> None:
    """What somebody needs who looks for the reason: the log, and all that is known of who differed."""
    if not done.is_good:
        kept = (
            Path(terms.keep_in or tempfile.gettempdir()) / f"listbridge-faults-{done.fault}-{done.seed}.log"
        )
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made.log_path, kept)
        terms.say(f"the log of the processes is kept: {kept}")
    if done.verdict and done.verdict.kept and (terms.keep_in or not done.is_good):
        path = keep(terms.keep_in, done.fault, done.seed, done.verdict.kept)
        terms.say(f"who differed, and what should be: {path}")


def failed(rounds: Iterable[Round]) -> list[Round]:
    """Those that did not end as they should."""
    return [each for each in rounds if not each.is_good]

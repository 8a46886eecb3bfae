"""What an examination found, step by step."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeVar

import redis

from listbridge.errors import Retriable, SystemProblem

PATIENCE_SECONDS = 20.0
FIRST_REST_SECONDS = 0.5

T = TypeVar("T")


class Outcome(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says: how it went, what was found, what to do."""

    outcome: Outcome
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One step of an examination; `subject` is what was looked at."""

    check: str
    subject: str
    outcome: Outcome
    found: str
    remedy: str = ""

    @property
    def passed(self) -> bool:
        """May steps that need this one be tried?"""
        return self.outcome in (Outcome.OK, Outcome.WARNING)

    def as_row(self) -> dict[str, Any]:
        return asdict(self)


def fine(found: str) -> Verdict:
    return Verdict(Outcome.OK, found)


def warning(found: str, remedy: str) -> Verdict:
    return Verdict(Outcome.WARNING, found, remedy)


def failed(found: str, remedy: str) -> Verdict:
    return Verdict(Outcome.FAILED, found, remedy)


class Examination:
    """Runs checks one after the other and keeps what they found; `on_finding` hears of each at once."""

    def __init__(self, on_finding: Callable[[Finding], None] = lambda _: None) -> None:
        self.findings: list[Finding] = []
        self._on_finding = on_finding

    @property
    def healthy(self) -> bool:
        """Did nothing fail?"""
        return all(each.outcome is not Outcome.FAILED for each in self.findings)

    def step(
        self, check: str, subject: str, look: Callable[[], Verdict], *, needs: Sequence[Finding] = ()
    ) -> Finding:
        """Run one check, unless one that it needs did not pass. Problems of the system and of the store are
        failures; others are raised."""
        missing = [each for each in needs if not each.passed]
        if missing:
            first = missing[0]
            verdict = Verdict(Outcome.SKIPPED, f"needs {_name(first)}, which {_went(first)}")
        else:
            verdict = _tried(look)
        return self.note(Finding(check, subject, verdict.outcome, verdict.found, verdict.remedy))

    def note(self, finding: Finding) -> Finding:
        self.findings.append(finding)
        self._on_finding(finding)
        return finding


def _name(finding: Finding) -> str:
    return f"{finding.check} ({finding.subject})" if finding.subject else finding.check


def _went(finding: Finding) -> str:
    return "was skipped" if finding.outcome is Outcome.SKIPPED else "failed"


def _tried(look: Callable[[], Verdict]) -> Verdict:
    try:
        return patiently(look)
    except SystemProblem as problem:
        return failed(str(problem), remedy_of(problem))
    except redis.RedisError as problem:
        return failed(f"the store can't be used: {type(problem).__name__}", "Start the store again.")


def remedy_of(problem: SystemProblem) -> str:
    """What to do about a problem, in one line."""
    return " ".join((getattr(problem, "remedy", "") or inspect.getdoc(type(problem)) or "").split())


def patiently(call: Callable[[], T], seconds: float | None = None) -> T:
    """Call again after passing problems, for so many seconds at most (`PATIENCE_SECONDS`); then raise the
    last one.

    For calls that may be repeated.
    """
    end = time.monotonic() + (PATIENCE_SECONDS if seconds is None else seconds)
    rest = FIRST_REST_SECONDS
    while True:
        try:
            return call()
        except Retriable as problem:
            wait = max(rest, problem.retry_after_seconds or 0)
            if time.monotonic() + wait > end:
                raise
            time.sleep(wait)
            rest *= 2

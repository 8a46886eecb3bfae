"""What to do about an error of another system, whichever system it is.

    SystemProblem
    ├── Fatal       stop the workflow; a person has to act
    │   └── Waits       not until they have said that they know of something
    ├── Retriable   wait and repeat; nothing is wrong with what was sent
    └── Skippable   set this one row or page aside and go on
        └── Deferred    not for good: this one row rests and is tried again

Each system's own errors derive from these, so that the engines know no vendor's name.
"""

from __future__ import annotations


class SystemProblem(Exception):
    """Another system did not do what it was asked."""


class Fatal(SystemProblem):
    """Stop the workflow and read the message: it can't go on until a person has acted."""


class Waits(Fatal):
    """The workflow is paused until a person says what `waits_for` stands for; the message tells of it."""

    waits_for = ""


class Retriable(SystemProblem):
    """Nothing to do: the workflow sleeps and repeats. `retry_after_seconds` is None when nobody said."""

    retry_after_seconds: float | None = None
    may_have_been_applied: bool = False


class Skippable(SystemProblem):
    """One row or page can't be handled; it is set aside with this message and the rest goes on."""


class Deferred(Skippable):
    """One row was written too often in a short time; it rests and is tried again, the others go on."""


def told(problem: SystemProblem) -> str:
    """The problem, and what to do about it where its kind says that."""
    remedy = " ".join(getattr(problem, "remedy", "").split())
    return f"{problem}. {remedy}" if remedy else str(problem)

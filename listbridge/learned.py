"""What was found out about a system that its documentation does not say; kept with the authorization."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

VERSION = 1
"""Of the questions: answers to questions that have changed since are not used."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one question was answered with; `value` is empty when it is unknown, `detail` says why or how.

    `at` is when it was found out (epoch ms).
    """

    value: str
    detail: str = ""
    at: int = 0

    @property
    def words(self) -> str:
        """The answer, or that it is unknown and why."""
        return self.value or f"unknown: {self.detail}"


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """The answers by question, and when the last of them were looked for (epoch ms)."""

    version: int
    at: int
    answers: Mapping[str, Answer]

    def over(self, before: Learned | None) -> Learned:
        """These answers, and of those from before what is not known otherwise now."""
        if before is None or before.version != self.version:
            return self
        kept = {name: each for name, each in before.answers.items() if each.value}
        known = {name: each for name, each in self.answers.items() if each.value or name not in kept}
        return Learned(version=self.version, at=self.at, answers=kept | known)


def value_of(learned: Learned | None, question: str) -> str:
    """The answer to a question; empty when it is unknown."""
    if learned is None or learned.version != VERSION:
        return ""
    answer = learned.answers.get(question)
    return answer.value if answer else ""

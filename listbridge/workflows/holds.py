"""What an export can wait for until a person says so, and how that is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from listbridge.exports.brakes import CANARY, WINDOWS_MS
from listbridge.store.store import now_ms
from listbridge.workflows.models import Workflow
from listbridge.workflows.registry import NotAllowed

PEOPLE = "people"
"""An export that brings everybody back waits until somebody has confirmed how many those are."""

RESTORED = "restored"
"""A workflow of a restored store waits until somebody has seen what it would do now."""

ZONE = "zone"
"""An import of a client whose time zone has changed waits until that is confirmed."""

NOT_CONFIRMED = "waits until it is confirmed how many people it brings back"
NOT_READ = "the store was restored from a backup, and the list was not read since"


class NotConfirmed(NotAllowed):
    """It waits for a person, and what was said is not what it waits for."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a person says when an export goes on: the `brake` they know of, that the canary is `confirmed`,
    how many `people` are brought back; and after how many people to stop again (`canary`)."""

    brake: str = ""
    confirmed: bool = False
    people: int | None = None
    canary: int | None = None


NOTHING_SAID = Acknowledgement()


def how_to_go_on(workflow: Workflow) -> str:
    """The command for what a workflow waits for; empty when it waits for nothing."""
    command = f"listbridge workflow resume {workflow.id}"
    if workflow.waits_for == ZONE:
        return f"listbridge import confirm-zone {workflow.id}"
    if workflow.waits_for == PEOPLE:
        return f"{command} --confirm-people NUMBER"
    if workflow.waits_for == CANARY:
        return f"{command} --confirm"
    if workflow.waits_for == RESTORED and _never_confirmed(workflow):
        return f"{command} --acknowledge {RESTORED} --confirm-people NUMBER"
    return f"{command} --acknowledge {workflow.waits_for}" if workflow.waits_for else ""


def accept(workflow: Workflow, said: Acknowledgement, count: Callable[[], int]) -> dict[str, Any]:
    """The fields that change when the workflow goes on. `count` says how many would be brought back.

    Raises `NotConfirmed` with what would be right.
    """
    now = now_ms()
    fields: dict[str, Any] = {"waits_for": ""}
    if workflow.waits_for == PEOPLE:
        _compare(workflow, said.people, count())
        fields["confirmed_at"] = now
    elif workflow.waits_for == CANARY:
        if not (said.confirmed or said.canary):
            raise NotConfirmed(f"{workflow.reason}; then say so: {how_to_go_on(workflow)}")
        fields["canary"] = 0
    elif workflow.waits_for:
        if said.brake != workflow.waits_for:
            raise NotConfirmed(f"{workflow.reason}; if that is right, say so: {how_to_go_on(workflow)}")
        if said.brake == RESTORED and _never_confirmed(workflow):
            _compare(workflow, said.people, count())
            fields["confirmed_at"] = now
        if said.brake in WINDOWS_MS:
            fields["released"] = workflow.released | {said.brake: now + WINDOWS_MS[said.brake]}
    if said.canary:
        fields |= {"canary": said.canary, "canary_since": now}
    return fields


def confirms_people(workflow: Workflow) -> bool:
    """Does whoever lets it go on confirm who is brought back?"""
    return workflow.waits_for == PEOPLE or (workflow.waits_for == RESTORED and _never_confirmed(workflow))


def _never_confirmed(workflow: Workflow) -> bool:
    """Was it restored as it waited for `PEOPLE`?"""
    always = workflow.kind == "export" and workflow.export.resubscribe == "always"
    return always and not workflow.confirmed_at


def _compare(workflow: Workflow, said: int | None, counted: int) -> None:
    if said != counted:
        told = f", not {said}" if said is not None else ""
        raise NotConfirmed(
            f"a start of {workflow.id} would bring back {counted} people who opted out{told}: confirm that "
            f"number ({how_to_go_on(workflow)})"
        )

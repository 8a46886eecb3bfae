"""A list, as an export needs it: settings, the audience field, its options, segments, people. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec

from listbridge.campaign_monitor import InvalidRequest
from listbridge.campaign_monitor.list_setup import ALL_LISTS, MANY, Offer, look, named
from listbridge.campaign_monitor.models import CustomField, ListDetails
from listbridge.context import Context
from listbridge.doctor.account import SMALL_PAGE, Account, permitted
from listbridge.doctor.findings import Examination, Finding, Verdict, failed, fine, warning
from listbridge.exports.setup import setup_of
from listbridge.jobs.preparing import wanted_setup
from listbridge.workflows.models import State, Workflow


@dataclass
class ListExam:
    """One list and the exports that feed it, oldest first."""

    exam: Examination
    context: Context
    account: Account
    list_id: str
    name: str
    feeds: Sequence[Workflow]
    verb: str

    def run(self, shown: Finding) -> None:
        there = self._step("list", self._settings, [shown])
        self._step("people", self._people, [there])
        fields = self._step("custom fields", self._fields, [there])
        if not self.feeds:
            return
        audience = self._step("audience field", self._audience_field, [fields])
        mapped = self._step("mapped fields", self._mapped, [audience])
        self._step("options", self._options, [mapped])
        self._step("segments", self._segments, [mapped])

    def _step(self, check: str, look_at: Callable[[], Verdict], needs: Sequence[Finding]) -> Finding:
        return self.exam.step(check, self.name, permitted(look_at), needs=needs)

    def _settings(self) -> Verdict:
        details = self.account.api.list(self.list_id)
        said = _worth_knowing(details, self.feeds)
        if said:
            return warning(f"{details.title}: {'; '.join(said)}", "Change the list's settings if unwanted.")
        return fine(f"{details.title}: single opt-in, unsubscribing: {details.unsubscribe_setting}")

    def _people(self) -> Verdict:
        page = self.account.api.subscribers(self.list_id, "active", page_size=SMALL_PAGE)
        return fine(f"readable, {page.total_number_of_records} active")

    def _fields(self) -> Verdict:
        self._held = self.account.api.custom_fields(self.list_id)
        keyless = [each.field_name for each in self._held if not each.key.strip("[]")]
        if keyless:
            return warning(
                f"without a key: {', '.join(keyless)}", "Such a field can't be written; rename it."
            )
        return fine(f"{len(self._held)} fields")

    def _audience_field(self) -> Verdict:
        wanted = self.feeds[0].export.field_name
        found = named(self._held, wanted)
        started = setup_of(self.context.store, self.list_id) is not None
        if found is None and started:
            remedy = "Pause and resume the export: it makes the field again and sends everybody again."
            return failed(f"{wanted!r} was deleted", remedy)
        if found is None:
            return fine(f"{wanted!r} is not there yet; the export makes it when it starts")
        if found.data_type != MANY:
            remedy = f"Make an export with another field_name, or make the field anew as {MANY}."
            return failed(f"{wanted!r} is {found.data_type}, not {MANY}", remedy)
        shown = "shown" if found.visible_in_preference_center else "hidden"
        return fine(f"{found.key} is {found.data_type}, {shown} in the preference centre")

    def _options(self) -> Verdict:
        missing, to_make = self._in_time(self._offer.missing_options)
        if missing:
            remedy = "Pause and resume the export: missing options are made at the next look."
            return failed(f"missing: {', '.join(missing)}", remedy)
        if to_make:
            return fine(f"to be made when an export starts: {', '.join(to_make)}")
        return fine("all are there")

    def _mapped(self) -> Verdict:
        try:
            offer = self._offer
        except InvalidRequest as problem:
            return failed(problem.message, "The export fails until this is so.")
        to_make = [each.name for each in offer.missing_fields]
        if to_make:
            return fine(f"to be made: {', '.join(to_make)}")
        return fine(f"{len(offer.mapped)} mapped, all there" if offer.mapped else "none are mapped")

    def _segments(self) -> Verdict:
        offer = self._offer
        if offer.strange:
            names = ", ".join(offer.strange)
            remedy = "Journeys on these start for other people: delete or rename the segment, then resume."
            return warning(f"other rules than an audience's: {names}", remedy)
        missing, to_make = self._in_time(offer.missing_segments)
        if missing:
            remedy = "Pause and resume the export to have them made (was the account's limit reached?)."
            return warning(f"missing: {', '.join(missing)}", remedy)
        if to_make:
            return fine(f"to be made when an export starts: {', '.join(to_make)}")
        return fine("all are there")

    @cached_property
    def _offer(self) -> Offer:
        """What the exports need and what of it is missing; every segment is looked at."""
        as_begun = [msgspec.structs.replace(each, not_begun=0) for each in self.feeds]
        ask = wanted_setup(as_begun, setup_of(self.context.store, self.list_id))
        return look(self.account.api, self.list_id, replace(ask, checked=()), verb=self.verb)

    def _in_time(self, labels: Sequence[str]) -> tuple[list[str], list[str]]:
        """Of the labels without an option or segment those that should have one, and those that are to."""
        setup = setup_of(self.context.store, self.list_id)
        if setup is None or all(each.state is not State.RUNNING for each in self.feeds):
            return [], list(labels)
        begun = [each.export.audiences.values() for each in self.feeds if not each.not_begun]
        due = {*setup.labels}.union(*begun)
        return [each for each in labels if each in due], [each for each in labels if each not in due]

    _held: tuple[CustomField, ...] = ()


def _worth_knowing(details: ListDetails, feeds: Sequence[Workflow]) -> list[str]:
    said = []
    if details.confirmed_opt_in:
        said.append("new people are asked by mail to confirm")
    if details.unsubscribe_setting == ALL_LISTS and any(
        each.export.on_exit == "unsubscribe" or each.export.opt_out_scope == "client" for each in feeds
    ):
        said.append("who an export unsubscribes leaves all lists of the client")
    if details.unsubscribe_setting != ALL_LISTS and feeds:
        said.append("it does not heed the suppression list; the export does, for people who are new")
    return said

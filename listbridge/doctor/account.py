"""The account: is the credential valid, what does it show, what may it do. Every call here only reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from listbridge.campaign_monitor import CallRecord, CampaignMonitor, NotVisible, PermissionMissing, zone
from listbridge.campaign_monitor.answers import quota_of
from listbridge.campaign_monitor.models import NamedClient, NamedList, Page, SuppressedAddress
from listbridge.doctor.findings import Examination, Finding, Verdict, failed, fine, warning
from listbridge.doctor.scratch import is_scratch, leftovers

FAR_MS, TOO_FAR_MS = 5_000, 300_000
SMALL_PAGE = 10
SCOPES = "ManageLists and ImportSubscribers"
REPORT_SCOPES = "ViewReports and ViewSubscribersInReports"


@dataclass
class Headers:
    """What the answers' headers say of a limit of calls."""

    answers: int = 0
    told: tuple[int, int, float] | None = None

    def watch(self, call: CallRecord) -> None:
        self.answers += call.status is not None
        self.told = quota_of(call.headers) or self.told

    def verdict(self) -> Verdict:
        if self.told is None:
            found = f"none in {self.answers} answers"
            return fine(f"{found}: the pace is found by what is refused")
        limit, left, seconds = self.told
        found = f"{limit} calls a window, {left} left for {seconds:.0f} s"
        if left * 10 < limit:
            return warning(found, "Little is left: other programs use the account's calls as well.")
        return fine(found)


@dataclass
class Account:
    """What the credential shows."""

    _api: CampaignMonitor | None = None
    clients: tuple[NamedClient, ...] = ()
    lists: dict[str, tuple[NamedList, ...]] = field(default_factory=dict)
    """By client."""

    @property
    def api(self) -> CampaignMonitor:
        assert self._api is not None, "the stored key could not be read"
        return self._api

    def connect(self, api: CampaignMonitor) -> None:
        self._api = api

    def client_of(self, list_id: str) -> str | None:
        return next(
            (client for client, held in self.lists.items() if any(each.list_id == list_id for each in held)),
            None,
        )

    def names(self) -> dict[str, str]:
        """Every list's name by id."""
        return {each.list_id: each.name for held in self.lists.values() for each in held}


def examine_credential(exam: Examination, account: Account, name: str, stored: Finding) -> Finding:
    """Is the key or token valid? Fills in the clients."""

    def look() -> Verdict:
        account.clients = account.api.clients()
        if not account.clients:
            return failed("valid, and shows no client", "Use the key of an account or client that has lists.")
        return fine(f"valid, shows {_counted(len(account.clients), 'client')}")

    return exam.step("credential", name, look, needs=[stored])


def examine_clock(exam: Examination, account: Account, credential: Finding) -> Finding:
    """Our clock against the service's `Date` header, which is of whole seconds."""

    def look() -> Verdict:
        account.api.system_date()
        offset = account.api.clock_offset_ms
        if offset is None:
            return warning("the service sends no readable Date", "Keep this machine's clock right (NTP).")
        found = f"{abs(offset) / 1000:.1f} s {'behind' if offset > 0 else 'ahead of'} the service's"
        if abs(offset) > TOO_FAR_MS:
            return failed(found, "Set this machine's clock (NTP): times of opt-outs can't be compared.")
        if abs(offset) > FAR_MS:
            return warning(found, "Set this machine's clock (NTP).")
        return fine(found)

    return exam.step("clock", "", look, needs=[credential])


def examine_client(exam: Examination, account: Account, client: NamedClient, credential: Finding) -> Finding:
    """What of a client can be read; -> the finding about its lists, which those of each list need."""
    client_id = client.client_id

    def lists() -> Verdict:
        found = account.lists[client_id] = account.api.lists(client_id)
        if not found:
            return warning("no list", "Make a list in Campaign Monitor.")
        return fine(_counted(len(found), "list"))

    def time_zone() -> Verdict:
        label = account.api.client(client_id).basic_details.time_zone
        return fine(f"{label} is {zone(label).key}")

    shown = exam.step("lists", client.name, permitted(lists), needs=[credential])
    exam.step("time zone", client.name, time_zone, needs=[credential])
    exam.step(
        "suppression list",
        client.name,
        permitted(lambda: _readable(account.api.suppression_list(client_id, page_size=SMALL_PAGE))),
        needs=[credential],
    )
    exam.step("campaigns", client.name, lambda: _campaigns(account.api, client_id), needs=[credential])
    return shown


def _readable(page: Page[SuppressedAddress]) -> Verdict:
    return fine(f"readable, {_counted(page.total_number_of_records, 'address')}")


def _campaigns(api: CampaignMonitor, client_id: str) -> Verdict:
    """The newest campaign's report, as imports read it."""
    remedy = f"Imports of campaigns need {REPORT_SCOPES}; exports and lists work without."
    try:
        page = api.campaigns(client_id, page_size=SMALL_PAGE, order_direction="desc")
        for each in page.results[:1]:
            api.campaign_summary(each.campaign_id)
            api.report(each.campaign_id, "opens", page_size=SMALL_PAGE)
    except (PermissionMissing, NotVisible) as problem:
        return warning(str(problem), remedy)
    return fine(f"readable, {page.total_number_of_records} sent")


def permitted(look: Callable[[], Verdict]) -> Callable[[], Verdict]:
    """The same, where a lack of permission is said with the OAuth scopes that a sync needs."""

    def looked() -> Verdict:
        try:
            return look()
        except PermissionMissing as problem:
            return failed(str(problem), f"Grant {SCOPES}, or use the account's API key.")

    return looked


def examine_leftovers(exam: Examination, account: Account, client: NamedClient, shown: Finding) -> None:
    """Did a killed run leave a scratch list? Told only if so."""
    if not shown.passed or not any(is_scratch(each.name) for each in account.lists[client.client_id]):
        return
    remedy = "A run that was killed left this (or one is at work): `--scratch-list` offers to remove it."
    exam.step(
        "left over",
        client.name,
        lambda: warning(leftovers(account.api, client.client_id).in_words(), remedy),
    )


def _counted(number: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number} {what if number == 1 else plural}"


def examined_clients(
    account: Account, used: Sequence[str], wanted: str | None
) -> tuple[list[NamedClient], list[str]]:
    """The clients to look at: the one that is wanted, or those that workflows use, or the only one.
    Beside: the ids that workflows use and that are not shown."""
    by_id = {each.client_id: each for each in account.clients}
    ids = [wanted] if wanted else list(dict.fromkeys(used))
    if not ids and len(by_id) == 1:
        ids = list(by_id)
    return [by_id[each] for each in ids if each in by_id], [each for each in ids if each not in by_id]

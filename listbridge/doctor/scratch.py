"""A list that is made to try things in and deleted whatever happens, and what killed runs left over."""

from __future__ import annotations

import re
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from listbridge.campaign_monitor import CampaignMonitor
from listbridge.campaign_monitor.calls.lists import UnsubscribeSetting
from listbridge.campaign_monitor.errors import AlreadyExists, NotVisible, RowRefused
from listbridge.campaign_monitor.models import NamedList
from listbridge.doctor.findings import patiently
from listbridge.errors import SystemProblem

_TITLE = re.compile(r"Listbridge doctor [0-9a-f]{8} \(delete me\)")
_ADDRESS = re.compile(r"listbridge-doctor-[0-9a-f]{8}-[^@]*@[^@]+", re.IGNORECASE)
CLEANING_SECONDS = 60.0

Say = Callable[[str], None]


@dataclass
class Scratch:
    """One scratch list. `token` is in its title and in all its addresses."""

    api: CampaignMonitor
    client_id: str
    domain: str
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    list_id: str = ""
    suppressed: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"Listbridge doctor {self.token} (delete me)"

    def address(self, label: str) -> str:
        return f"listbridge-doctor-{self.token}-{label}@{self.domain}"

    def suppress(self, address: str) -> None:
        """Suppress an address until the scratch list goes."""
        self.suppressed.append(address)
        patiently(lambda: self.api.suppress(self.client_id, [address]))


@contextmanager
def scratch_list(
    api: CampaignMonitor, client_id: str, domain: str, setting: UnsubscribeSetting, say: Say
) -> Iterator[Scratch]:
    """A list as long as this lasts. Single opt-in, without automations: nobody in it is mailed.

    What could not be cleared up is said, with the id.
    """
    scratch = Scratch(api, client_id, domain)
    try:
        scratch.list_id = patiently(lambda: _create(scratch, setting))
        yield scratch
    finally:
        with undisturbed():
            clear_up(scratch, say)


def _create(scratch: Scratch, setting: UnsubscribeSetting) -> str:
    try:
        return scratch.api.create_list(scratch.client_id, scratch.title, unsubscribe_setting=setting)
    except AlreadyExists:
        return _id_of(scratch)  # a call before was applied and its answer lost


def clear_up(scratch: Scratch, say: Say) -> bool:
    """Lift the suppressions and delete the list; -> was all of it done? What was not is said."""
    done = all([_lift(scratch.api, scratch.client_id, each, say) for each in scratch.suppressed])  # noqa: C419 - all of them
    try:
        found = scratch.list_id or _id_of(scratch)
        if found:
            patiently(lambda: _delete(scratch.api, found), CLEANING_SECONDS)
    except SystemProblem as problem:
        known = f"{scratch.list_id} " if scratch.list_id else ""
        say(
            f"the scratch list {known}{scratch.title!r} could not be deleted ({problem}): delete it in "
            "Campaign Monitor, or have `listbridge doctor --scratch-list` do it later"
        )
        return False
    return done


def _id_of(scratch: Scratch) -> str:
    """The list's id when the answer to its creation never came."""
    found = patiently(lambda: scratch.api.lists(scratch.client_id), CLEANING_SECONDS)
    return next((each.list_id for each in found if each.name == scratch.title), "")


def _delete(api: CampaignMonitor, list_id: str) -> None:
    try:
        api.delete_list(list_id)
    except NotVisible:
        return  # a call before was applied and its answer lost


def _lift(api: CampaignMonitor, client_id: str, address: str, say: Say) -> bool:
    try:
        patiently(lambda: _unsuppress(api, client_id, address), CLEANING_SECONDS)
    except SystemProblem as problem:
        say(f"{address} is still on the suppression list ({problem}): take it off in Campaign Monitor")
        return False
    return True


def _unsuppress(api: CampaignMonitor, client_id: str, address: str) -> None:
    try:
        api.unsuppress(client_id, address)
    except RowRefused:
        return  # it is not on the list (any more)


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What runs that were killed left in a client."""

    lists: Sequence[NamedList]
    suppressed: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.lists or self.suppressed)

    def in_words(self) -> str:
        said = [f"list {each.list_id} {each.name!r}" for each in self.lists]
        return ", ".join([*said, *(f"suppressed address {each}" for each in self.suppressed)])


def is_scratch(title: str) -> bool:
    """Is this the title of a scratch list?"""
    return _TITLE.fullmatch(title) is not None


def leftovers(api: CampaignMonitor, client_id: str) -> Leftovers:
    """What is there of scratch lists, and among the newest 1000 suppressed addresses: two calls."""
    lists = [each for each in api.lists(client_id) if is_scratch(each.name)]
    newest = api.suppression_list(client_id, order_direction="desc").results
    suppressed = [each.email_address for each in newest if _ADDRESS.fullmatch(each.email_address)]
    return Leftovers(lists, suppressed)


def remove(api: CampaignMonitor, client_id: str, found: Leftovers, say: Say) -> bool:
    """Remove what was left over; -> was all of it done? What was not is said."""
    done = all([_lift(api, client_id, each, say) for each in found.suppressed])  # noqa: C419 - all of them
    for each in found.lists:
        scratch = Scratch(api, client_id, "", list_id=each.list_id)
        done = clear_up(scratch, say) and done
    return done


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep Ctrl-C and a polite kill from breaking off what has to be finished."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: dict[signal.Signals, Any] = {
        each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for each, handler in held.items():
            signal.signal(each, handler)
